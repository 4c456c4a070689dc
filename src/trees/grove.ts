/** The one door for children: commands, tools, HTTP and the command line all come through here. */
import { isAbsolute } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { FlowId, SessionKey, TaskId } from "../base/ids.ts";
import type { Settings } from "../base/setting.ts";
import type { ModelClient } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { schemaProblem } from "../model/output-schema.ts";
import type { Accepted } from "../model/message.ts";
import { LABEL_LENGTH_MAX, TASK_BYTES_MAX, hasEnded, type NewSpawn, type SpawnLimits, type Task } from "../model/task.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Cancelled, Store } from "../store/store.ts";
import { checkedAddresses, checkedUrl, systemResolve } from "../tools/checked-address.ts";
import { scopeBudgets, treeSeconds } from "../turns/budget-settings.ts";
import { agentIds, agentsList, findAgent } from "../turns/agents-list.ts";
import { maxChildrenPerAgent, maxSpawnDepth, runTimeoutSeconds, webhookAllowPrivate } from "./settings.ts";
import type { Trees } from "./trees.ts";

/** How long a spawn waits for the look-up of its callback's host. */
const CALLBACK_LOOKUP_MS_MAX = 2_000;

export interface GroveDeps {
  readonly store: Store;
  readonly sessions: Pick<Sessions, "watch" | "draining">;
  readonly settings: Settings;
  readonly models: ModelClient;
  readonly clock: Clock;
  readonly kick: () => void;
  readonly steeringCame: (session: SessionKey) => void;
}

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
    if (sessions.draining && spawn.turnId === null) throw new Fault("DRAINING", {});
    this.#check(spawn);
    if (spawn.callback) await this.#checkCallback(spawn.callback);
    const longest = settings.get(treeSeconds);
    const seconds = Math.min(spawn.deadlineSeconds ?? (settings.get(runTimeoutSeconds) || Infinity), longest || Infinity);
    return { ...spawn, deadlineSeconds: Number.isFinite(seconds) ? seconds : null };
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
    if (spawn.kind === "acp") throw new Fault("BAD_REQUEST", { where: "runtime", problem: "acp is not available in this version; use subagent" });
    if (spawn.cwd !== null && !isAbsolute(spawn.cwd)) throw new Fault("BAD_REQUEST", { where: "cwd", problem: "must be an absolute path" });
    if (spawn.model !== null && !this.#deps.models.knownModels().some((known) => known.split("/")[0] === spawn.model!.split("/")[0])) {
      throw new Fault("MODEL_UNKNOWN", { model: spawn.model, known: this.#deps.models.knownModels().join(", ") });
    }
    const problem = spawn.outputSchema === undefined ? null : schemaProblem(spawn.outputSchema);
    if (problem !== null) throw new Fault("BAD_REQUEST", { where: "outputSchema", problem });
    const list = this.#deps.settings.get(agentsList);
    if (findAgent(list, spawn.agent) === null) throw new Fault("AGENT_NOT_FOUND", { agent: spawn.agent, known: agentIds(list).join(", ") });
  }

  async waitFor(id: TaskId, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<Task> {
    const { store, sessions, clock } = this.#deps;
    const first = await this.#task(id);
    if (hasEnded(first.state)) return first;
    const log = first.parentSession ?? first.session;
    const row = await store.session(log);
    return new Promise((resolve, reject) => {
      let finished = false;
      const finish = (cause?: unknown): void => {
        if (finished) return;
        finished = true;
        close();
        disarm();
        signal?.removeEventListener("abort", onAbort);
        if (cause !== undefined) reject(cause);
        else this.#task(id).then(resolve, reject);
      };
      const onAbort = (): void => finish(signal!.reason);
      const close = sessions.watch(
        { session: log, after: Math.max(0, (row?.lastSeq ?? 0) - 1) },
        {
          onEvent: (event) => {
            if (event.taskId === id && event.type === "task.ended") finish();
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

  async cancelTask(id: TaskId, by: string): Promise<Cancelled> {
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

  async steer(id: TaskId, text: string, by: "operator" | "agent"): Promise<Accepted> {
    const task = await this.#task(id);
    if (hasEnded(task.state)) throw new Fault("TASK_ENDED", { task: id, state: task.state });
    const accepted = this.#deps.store.steerSession({ session: task.session, text, provenance: by, channel: "steer" });
    this.#deps.kick();
    const result = await accepted;
    this.#deps.steeringCame(task.session);
    return result;
  }

  async retry(id: TaskId, by: string): Promise<Task> {
    const retrying = this.#deps.store.retryTask({ task: id, by });
    this.#deps.kick();
    const task = await retrying;
    if (task === null) throw new Fault("TASK_NOT_FOUND", { task: id });
    return task;
  }

  async #task(id: TaskId): Promise<Task> {
    const task = await this.#deps.store.task(id);
    if (task === null) throw new Fault("TASK_NOT_FOUND", { task: id });
    return task;
  }
}
