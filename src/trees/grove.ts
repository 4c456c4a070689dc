/** The one door for children: commands, tools, HTTP and the command line all come through here. */
import { isAbsolute } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { FlowId, SessionKey, TaskId } from "../base/ids.ts";
import type { Settings } from "../base/setting.ts";
import type { Budget, BudgetUnit } from "../model/budget.ts";
import type { ModelClient } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { schemaProblem } from "../model/output-schema.ts";
import type { HarnessCatalogue } from "../model/harness.ts";
import type { Accepted } from "../model/message.ts";
import { LABEL_LENGTH_MAX, TASK_BYTES_MAX, hasEnded, type NewSpawn, type SpawnLimits, type Task } from "../model/task.ts";
import { claimProblem } from "../model/path-claims.ts";
import { parseSessionKey } from "../model/session.ts";
import type { Supervision } from "../model/supervision.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Cancelled, Store } from "../store/store.ts";
import { checkedAddresses, checkedUrl, systemResolve } from "../tools/checked-address.ts";
import { scopeBudgets, treeSeconds } from "../turns/budget-settings.ts";
import { agentIds, agentsList, findAgent } from "../turns/agents-list.ts";
import { acpEnabled } from "../agents/acp/settings.ts";
import { attemptsOfChildren, backoffSeconds, circuitFailures, circuitOpenSeconds, maxChildrenPerAgent, maxSpawnDepth, onConflict, onEnd, progressSeconds, retryModel, runTimeoutSeconds, webhookAllowPrivate } from "./settings.ts";
import type { Trees } from "./trees.ts";

/** How long a spawn waits for the look-up of its callback's host. */
const CALLBACK_LOOKUP_MS_MAX = 2_000;

export interface GroveDeps {
  readonly store: Store;
  readonly sessions: Pick<Sessions, "watch" | "refusal">;
  readonly settings: Settings;
  readonly models: ModelClient;
  /** Null where no harness can be started. */
  readonly harnesses: HarnessCatalogue | null;
  readonly clock: Clock;
  /** The folder in which a session of this agent works. */
  readonly workspaceFor: (cwd: string | null, agent: string) => string;
  readonly kick: () => void;
  readonly steeringCame: (session: SessionKey) => void;
}

/** What only model calls spend, as people call it. */
const UNIT_WORDS = { tokens: "tokens", costMicros: "cost", calls: "calls" } as const satisfies Partial<Record<BudgetUnit, string>>;
const MODEL_UNITS = Object.keys(UNIT_WORDS) as readonly (keyof typeof UNIT_WORDS)[];
/** Above how many a task can be at the most. */
const DEPTH_MAX = 10;

export class Grove implements Trees {
  readonly #deps: GroveDeps;

  constructor(deps: GroveDeps) {
    this.#deps = deps;
  }

  async spawn(spawn: NewSpawn): Promise<{ task: Task; created: boolean }> {
    const admitted = this.#deps.store.admitSpawn({ spawn: await this.#ready(spawn), limits: this.#limits() });
    this.#deps.kick();
    return admitted;
  }

  async spawnAll(spawns: readonly NewSpawn[]): Promise<readonly { task: Task; created: boolean }[]> {
    const ready = await Promise.all(spawns.map((spawn) => this.#ready(spawn)));
    const admitted = this.#deps.store.admitSpawns({ spawns: ready, limits: this.#limits() });
    this.#deps.kick();
    return admitted;
  }

  #limits(): SpawnLimits {
    const { settings } = this.#deps;
    return { depthMax: settings.get(maxSpawnDepth), childrenMax: settings.get(maxChildrenPerAgent), tree: scopeBudgets(settings)?.tree ?? {} };
  }

  /** The spawn as the store takes it. @throws {Fault} what is wrong with it. */
  async #ready(spawn: NewSpawn): Promise<NewSpawn> {
    const { settings, sessions } = this.#deps;
    // What a running turn asks for is kept and done after the next start: a drain must not change its answer.
    if (sessions.refusal !== null && spawn.turnId === null) throw sessions.refusal;
    this.#check(spawn);
    if (spawn.kind === "acp") await this.#checkKept(spawn);
    if (spawn.callback) await this.#checkCallback(spawn.callback);
    const longest = settings.get(treeSeconds);
    const seconds = Math.min(spawn.deadlineSeconds ?? (settings.get(runTimeoutSeconds) || Infinity), longest || Infinity);
    const supervision = supervisionBy(settings, spawn.supervision ?? {});
    const workspace = spawn.claims.length === 0 ? undefined : await this.#workspaceOf(spawn);
    return { ...spawn, deadlineSeconds: Number.isFinite(seconds) ? seconds : null, supervision, ...(workspace === undefined ? {} : { workspace }) };
  }

  /** A host that cannot be looked up now may be there when the child has ended; one that lies inside is refused at once. */
  async #checkCallback(callback: string): Promise<void> {
    const { settings, clock } = this.#deps;
    const url = checkedUrl(callback);
    const late = new AbortController();
    const disarm = clock.after(CALLBACK_LOOKUP_MS_MAX, () => late.abort());
    try {
      await checkedAddresses(url, { allowed: settings.get(webhookAllowPrivate), setting: webhookAllowPrivate.key, resolve: systemResolve, signal: late.signal });
    } catch (error) {
      if (error instanceof Fault) throw error;
    } finally {
      disarm();
    }
  }

  #check(spawn: NewSpawn): void {
    const bytes = Buffer.byteLength(spawn.task);
    if (spawn.task.trim() === "") throw new Fault("BAD_REQUEST", { where: "task", problem: "is empty; say what the child is to do" });
    if (bytes > TASK_BYTES_MAX) throw new Fault("BODY_TOO_LARGE", { bytes, bytesMax: TASK_BYTES_MAX });
    if (spawn.label !== null && (spawn.label.trim() === "" || spawn.label.length > LABEL_LENGTH_MAX)) throw new Fault("BAD_REQUEST", { where: "label", problem: `must have 1 to ${LABEL_LENGTH_MAX} characters` });
    if ((spawn.delivery === "webhook") !== (typeof spawn.callback === "string")) throw new Fault("BAD_REQUEST", { where: "callback", problem: "and delivery webhook go together; give both or neither" });
    if (spawn.cwd !== null && !isAbsolute(spawn.cwd)) throw new Fault("BAD_REQUEST", { where: "cwd", problem: "must be an absolute path" });
    for (const claim of spawn.claims) {
      const problem = claimProblem(claim);
      if (problem !== null) throw new Fault("BAD_REQUEST", { where: "claims", problem: `${JSON.stringify(claim.slice(0, 80))} ${problem}` });
    }
    const problem = spawn.outputSchema === undefined ? null : schemaProblem(spawn.outputSchema);
    if (problem !== null) throw new Fault("BAD_REQUEST", { where: "outputSchema", problem });
    // A coding agent's models have names of its own.
    if (spawn.kind === "subagent") for (const model of [spawn.model, spawn.supervision?.retryModel ?? null]) this.#checkModel(model);
    const list = this.#deps.settings.get(agentsList);
    if (spawn.kind === "acp") this.#checkHarness(spawn.agent);
    else if (findAgent(list, spawn.agent) === null) throw new Fault("AGENT_NOT_FOUND", { agent: spawn.agent, known: agentIds(list).join(", "), isHarness: (this.#deps.harnesses?.find(spawn.agent) ?? null) !== null });
    if (spawn.turnId === null || spawn.parent === null) return;
    // A model asks: it may hand work only to whom its agent may.
    const { agent } = parseSessionKey(spawn.parent).parts;
    const allowed = findAgent(list, agent)?.subagents?.allowAgents;
    if (allowed !== undefined && spawn.agent !== agent && !allowed.includes(spawn.agent)) throw new Fault("AGENT_NOT_FOUND", { agent: spawn.agent, known: [agent, ...allowed].join(", ") });
  }

  /** Model calls that do not pass the gateway can neither be counted before they are made nor held back: a limit on them would be a promise that nobody keeps. */
  async #checkKept({ agent, parent, budget }: NewSpawn): Promise<void> {
    const { harnesses, store } = this.#deps;
    if (harnesses?.find(agent)?.proxied !== false) return;
    const refuse = (limit: Budget | undefined, whose: string): void => {
      const unit = MODEL_UNITS.find((one) => limit?.[one] !== undefined);
      if (unit !== undefined) throw new Fault("ACP_BUDGET_UNKEPT", { agent, unit: UNIT_WORDS[unit], whose });
    };
    refuse(budget, "its own budget");
    let taskId = parent === null ? null : ((await store.session(parent))?.taskId ?? null);
    for (let up = 0; taskId !== null && up < DEPTH_MAX; up++) {
      const task: Task | null = await store.task(taskId);
      refuse(task?.budget?.limit, `the budget of ${task?.label ?? taskId}`);
      taskId = task?.parentTask ?? null;
    }
  }

  #checkModel(model: string | null): void {
    if (model !== null && !this.#deps.models.knownModels().some((known) => known.split("/")[0] === model.split("/")[0])) {
      throw new Fault("MODEL_UNKNOWN", { model, known: this.#deps.models.knownModels().join(", ") });
    }
  }

  /** Where the child will work: claims are read from there. */
  async #workspaceOf({ cwd, parent, agent }: NewSpawn): Promise<string> {
    const inherited = cwd ?? (parent === null ? null : ((await this.#deps.store.session(parent))?.cwd ?? null));
    return this.#deps.workspaceFor(inherited, agent);
  }

  #checkHarness(agent: string): void {
    const { harnesses, settings } = this.#deps;
    if (harnesses === null || !settings.get(acpEnabled)) throw new Fault("ACP_DISABLED", {});
    if (harnesses.find(agent) === null) throw new Fault("ACP_AGENT_UNKNOWN", { agent, known: harnesses.list().map(({ id }) => id).join(", ") });
  }

  async waitFor(id: TaskId, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<Task> {
    const { store, sessions, clock } = this.#deps;
    const untilMs = clock.monotonic() + timeoutMs;
    const first = await this.#task(id);
    if (hasEnded(first.state)) return first;
    const log = first.parentSession ?? first.session;
    const row = await store.session(log);
    return new Promise((resolve, reject) => {
      let finished = false;
      const finish = (cause?: unknown, elsewhere = false): void => {
        if (finished) return;
        finished = true;
        close();
        disarm();
        signal?.removeEventListener("abort", onAbort);
        if (cause !== undefined) reject(cause);
        else if (elsewhere) this.waitFor(id, { timeoutMs: Math.max(0, untilMs - clock.monotonic()), ...(signal === undefined ? {} : { signal }) }).then(resolve, reject);
        else this.#task(id).then(resolve, reject);
      };
      const onAbort = (): void => finish(signal!.reason);
      const close = sessions.watch(
        { session: log, after: Math.max(0, (row?.lastSeq ?? 0) - 1) },
        {
          onEvent: (event) => {
            if (event.taskId !== id) return;
            if (event.type === "task.ended") finish();
            // From now on its events are told elsewhere.
            if (event.data["handedUpTo"] !== undefined) finish(undefined, true);
          },
          onFailure: finish,
        },
      );
      const disarm = clock.after(timeoutMs, () => finish());
      signal?.addEventListener("abort", onAbort, { once: true });
      // It may have ended between the first look and the watch.
      this.#task(id).then((task) => hasEnded(task.state) && finish(), finish);
    });
  }

  async cancelTask(name: TaskId, by: string): Promise<Cancelled> {
    const { taskId: id } = await this.named(name);
    const cancelling = this.#deps.store.cancelTask({ task: id, by });
    this.#deps.kick();
    const cancelled = await cancelling;
    if (cancelled === null) throw new Fault("TASK_NOT_FOUND", { task: id });
    return cancelled;
  }

  async cancelFlow(id: FlowId, by: string): Promise<Cancelled> {
    const cancelling = this.#deps.store.cancelFlow({ flow: id, by });
    this.#deps.kick();
    const cancelled = await cancelling;
    if (cancelled === null) throw new Fault("FLOW_NOT_FOUND", { flow: id });
    return cancelled;
  }

  async steer(name: TaskId, text: string, by: "operator" | "agent"): Promise<Accepted> {
    const task = await this.named(name);
    if (hasEnded(task.state)) throw new Fault("TASK_ENDED", { task: task.taskId, state: task.state });
    const accepted = this.#deps.store.steerSession({ session: task.session, text, provenance: by, channel: "steer" });
    this.#deps.kick();
    const result = await accepted;
    this.#deps.steeringCame(task.session);
    return result;
  }

  async retry(name: TaskId, by: string, { restart = false }: { restart?: boolean } = {}): Promise<Task> {
    const { taskId: id } = await this.named(name);
    const retrying = this.#deps.store.retryTask({ task: id, by, restart });
    this.#deps.kick();
    const task = await retrying;
    if (task === null) throw new Fault("TASK_NOT_FOUND", { task: id });
    return task;
  }

  async named(idOrLabel: string): Promise<Task> {
    const task = (await this.#deps.store.task(idOrLabel as TaskId)) ?? (await this.#deps.store.tasks({ label: idOrLabel, limit: 1 })).tasks[0];
    if (task === undefined) throw new Fault("TASK_NOT_FOUND", { task: idOrLabel });
    return task;
  }

  async #task(id: TaskId): Promise<Task> {
    const task = await this.#deps.store.task(id);
    if (task === null) throw new Fault("TASK_NOT_FOUND", { task: id });
    return task;
  }
}

/** What the spawn names, and for the rest what the settings say. */
function supervisionBy(settings: Settings, named: Partial<Supervision>): Supervision {
  const seconds = settings.get(progressSeconds);
  return {
    progressSeconds: seconds > 0 ? seconds : null,
    attempts: settings.get(attemptsOfChildren),
    backoffSeconds: settings.get(backoffSeconds),
    retryModel: settings.get(retryModel) || null,
    category: null,
    circuitFailures: settings.get(circuitFailures),
    circuitOpenSeconds: settings.get(circuitOpenSeconds),
    onEnd: settings.get(onEnd),
    onConflict: settings.get(onConflict),
    ...named,
  };
}
