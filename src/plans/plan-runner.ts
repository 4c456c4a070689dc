/**
 * Runs plans: starts what became ready, looks for evidence, offers work for merging, opens gates.
 *
 *     wake(plan) ──▶ advance: read the rows, do everything that can be done now, one move at a time
 *                       │  long work (workspaces, tests, merges) goes on beside it under a key
 *                       └──▶ and wakes the plan again when it is over
 *
 * Nothing is decided from memory: after a crash `start` wakes every plan that is not over, and each
 * piece of long work can be begun again without being done twice (keys of spawns, labels of workspaces,
 * the merge that a workspace already has).
 *
 * Not here: git, merging, how agents run. Refused: to call a task done for any other reason than evidence.
 */
import { sleep, type Clock } from "../base/clock.ts";
import { IdMaker, type PlanId, type RandomBytes, type SessionKey, type TaskId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { Merges } from "../merges/merges.ts";
import { asFault, Fault } from "../model/faults.ts";
import { MERGE_AT_REST } from "../model/merge.ts";
import { claimProblem, claimsOverlap } from "../model/path-claims.ts";
import type { PlanRun, PlanSignal, PlanTaskChange, PlanTaskRun, PlanTaskState } from "../model/plan-run.ts";
import type { Plan, PlanTask } from "../model/plan.ts";
import { hasEnded, type Task } from "../model/task.ts";
import type { Workspace, WorkspaceState } from "../model/workspace.ts";
import type { Store } from "../store/store.ts";
import type { Trees } from "../trees/trees.ts";
import type { Workspaces } from "../workspaces/workspaces.ts";
import { judgeEvidence, readSignal } from "./evidence.ts";
import { Gates } from "./gates.ts";
import { landingMessage } from "./landing-message.ts";
import type { NewRun, Plans, PlanSource } from "./plans.ts";
import { quoted, tell } from "./notices.ts";
import { ACTIVE_PLANS_MAX, BUSY_STATES, placesBefore, placesIn, stateOf, takesPlace, taskOf, waitsForMerge, workIn } from "./places.ts";
import { readFacts } from "./repository-facts.ts";
import { planAgentsMax, planAttemptsMax, planTaskSeconds, testOf } from "./settings.ts";
import { statusOf, toldStatus } from "./status.ts";
import { agentOf } from "./task-agent.ts";
import { learnt, taskPrompt } from "./task-prompt.ts";
import { judge } from "./verdict.ts";
import type { WorkspaceFolder } from "./workspace-folder.ts";

/** How often the commits of a builder are looked at while another task waits for one of them. */
const COMMIT_LOOK_MS = 2_000;
/** How long after a passing failure (a full machine, a busy lock) it is tried again. */
const AGAIN_AFTER_MS = 5_000;
const OUTPUT_SHOWN_CHARS = 1_000;
/** Why a merge did not land, where only the branch's own checkout or its pace is in the way. */
const OF_THE_TARGET: readonly string[] = ["MERGE_TARGET_DIRTY", "MERGE_MOVING_TARGET"];
/** How long after a workspace of a plan that is over could not be removed it is tried again. */
const TIDY_AGAIN_MS = 60_000;
/** Labels of workspaces are `<plan>/<what for>`. */
const PLAN_OF_LABEL = /^(plan_[^/]+)\//;
/** Workspaces that may be removed. */
const LEFT_STATES: readonly WorkspaceState[] = ["ready", "removing"];
/** Plans that a conversation is told of with its children, and how long after their end. */
const PLANS_TOLD_MAX = 3;
const ENDED_TOLD_MS = 24 * 3_600_000;
/** Branches that are tried when a plan names none. */
const USUAL_BRANCHES = ["main", "master", "trunk", "develop"];

export interface PlanRunnerDeps {
  readonly store: Store;
  readonly trees: Trees;
  readonly workspaces: Workspaces;
  readonly merges: Merges;
  readonly folder: WorkspaceFolder;
  /** Reads a plan file, see read-plan.ts; nearly all starts of the gateway do without it. */
  readonly readPlan: (file: string, text: string) => Promise<Plan>;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  /** Why nothing new is begun just now; null = it is. */
  readonly refusal: () => Fault | null;
}

export class PlanRunner implements Plans {
  readonly #deps: PlanRunnerDeps;
  readonly #ids: IdMaker;
  readonly #gates: Gates;
  readonly #stopping = new AbortController();
  /** Long work by `<plan>/<task>`. */
  readonly #beside = new Map<string, Promise<void>>();
  /** Plans whose rows are being read; true = look once more afterwards. */
  readonly #advancing = new Map<PlanId, { again: boolean; promise: Promise<void> }>();
  /** By plan, what ends its set-ups, tests and waits when it is cancelled. */
  readonly #cancels = new Map<PlanId, AbortController>();
  /** Children that work on a plan, so that other children cost no look at the rows. */
  readonly #children = new Map<TaskId, PlanId>();
  readonly #timers = new Map<PlanId, () => void>();
  #unlisten: () => void = () => {};
  #isStarted = false;

  constructor(deps: PlanRunnerDeps) {
    this.#deps = deps;
    this.#ids = new IdMaker(deps.random);
    this.#gates = new Gates({ ...deps, status: (id) => this.status(id) });
  }

  /** Goes on with every plan that is not over. */
  async start(): Promise<void> {
    const { store } = this.#deps;
    this.#isStarted = true;
    this.#unlisten = store.onEvents((events) => {
      for (const { type, taskId } of events) {
        const plan = type === "task.ended" && taskId !== undefined ? this.#children.get(taskId) : undefined;
        if (plan !== undefined) this.#wake(plan);
      }
    });
    const { plans } = await store.plans({ active: true, limit: ACTIVE_PLANS_MAX });
    // One that ended just before a crash may have left workspaces.
    const left = (await this.#deps.workspaces.list({ states: LEFT_STATES })).flatMap(({ label }) => PLAN_OF_LABEL.exec(label)?.[1] ?? []);
    for (const id of new Set([...plans.map(({ planId }) => planId), ...(left as PlanId[])])) this.#wake(id);
  }

  /** Lets go of what runs; the rows say where to go on. */
  async stop(): Promise<void> {
    this.#unlisten();
    this.#stopping.abort(new Fault("DRAINING", {}));
    for (const disarm of this.#timers.values()) disarm();
    await Promise.all([...this.#beside.values(), ...[...this.#advancing.values()].map(({ promise }) => promise)]);
  }

  // ── what others ask ───────────────────────────────────────────────────────────────────────

  async check({ file, text, repository }: PlanSource, { watched }: { readonly watched: boolean | null }) {
    const plan = await this.#deps.readPlan(file, text);
    const facts = await readFacts(this.#deps.workspaces, repository, plan.base);
    return { plan, verdict: judge(plan, facts, { watched, agentsMax: this.#deps.settings.get(planAgentsMax) }) };
  }

  async run(request: NewRun): Promise<PlanRun> {
    const { store, workspaces } = this.#deps;
    const refusal = this.#stopping.signal.aborted ? new Fault("DRAINING", {}) : this.#deps.refusal();
    if (refusal !== null) throw refusal;
    const { plan, verdict } = await this.check(request, request);
    const onto = plan.onto ?? plan.base ?? (await this.#usualBranch(request.repository));
    if ((await workspaces.resolve(request.repository, `refs/heads/${onto}`)) === null) throw new Fault("BAD_REQUEST", { where: "onto", problem: `there is no branch ${onto} in ${request.repository}; name one in the plan, e.g. onto: main` });
    const base = await workspaces.resolve(request.repository, plan.base ?? onto);
    if (base === null) throw new Fault("BAD_REQUEST", { where: "base", problem: `there is no commit ${plan.base} in ${request.repository}` });
    const { run } = await store.beginPlan({
      id: this.#ids.plan(), plan, verdict, file: request.file, repository: request.repository, base, onto, session: request.session, mode: request.mode, startKey: request.idempotencyKey,
    });
    this.#wake(run.planId);
    return run;
  }

  async get(id: PlanId): Promise<PlanRun> {
    const run = await this.#deps.store.planRun(id);
    if (run === null) throw new Fault("PLAN_NOT_FOUND", { plan: id });
    return run;
  }

  async status(id: PlanId) {
    const { store, workspaces, clock } = this.#deps;
    return statusOf(await this.get(id), { store, workspaces, nowMs: () => clock.now() });
  }

  /** The plans of a conversation that go on, or ended lately. */
  async toldTo(session: SessionKey): Promise<readonly JsonObject[]> {
    const { store, clock } = this.#deps;
    const { plans } = await store.plans({ session, limit: PLANS_TOLD_MAX });
    const lately = plans.filter(({ endedAt }) => endedAt === null || clock.now() - endedAt < ENDED_TOLD_MS);
    return Promise.all(lately.map(async ({ planId }) => toldStatus(await this.status(planId))));
  }

  list(query: { readonly after?: PlanId; readonly limit: number }) {
    return this.#deps.store.plans(query);
  }

  async cancel(id: PlanId, by: string): Promise<PlanRun> {
    const { store } = this.#deps;
    let before = await this.get(id);
    // It may go on, or come to rest, between the look and the move.
    for (; before.endedAt === null; before = await this.get(id)) {
      if (await store.movePlan({ plan: id, from: before.state, to: "cancelled", change: { problem: `cancelled by ${by}` }, event: { type: "plan.ended", data: { by } } })) break;
    }
    if (before.endedAt !== null) return before;
    this.#cancels.get(id)?.abort(new Fault("PLAN_NOT_WAITING", { plan: id, what: "more work", state: "cancelled" }));
    try {
      await this.#stopWork(before, by);
      // Long work sees that its plan is over at its next move; only then do the folders go.
      await Promise.all(this.#workOf(id));
      const after = await this.get(id);
      await this.#tidy(after);
      return after;
    } catch (cause) {
      this.#wakeAfter(id, AGAIN_AFTER_MS);
      throw cause;
    }
  }

  /** What works on a plan that is over stops. */
  async #stopWork({ tasks }: PlanRun, by: string): Promise<void> {
    const { store, trees } = this.#deps;
    for (const { childTask } of tasks) {
      const child = childTask === null ? null : await store.task(childTask);
      if (child !== null && !hasEnded(child.state)) await trees.cancelTask(child.taskId, by);
    }
  }

  /** Takes away what a plan that is over left: agents that a crash kept from being stopped, and workspaces. Tries again until nothing is left. */
  async #tidy(run: PlanRun): Promise<void> {
    const { workspaces, log } = this.#deps;
    if (this.#workOf(run.planId).length > 0) return; // and wakes the plan when it is over
    this.#cancels.delete(run.planId);
    await this.#stopWork(run, "the end of its plan");
    for (const { id, label } of await workspaces.list({ states: LEFT_STATES })) {
      if (PLAN_OF_LABEL.exec(label)?.[1] !== run.planId) continue;
      await workspaces.remove(id).catch((cause: unknown) => {
        log.warn("plan.workspace-not-removed", { plan: run.planId, cause });
        this.#wakeAfter(run.planId, TIDY_AGAIN_MS);
      });
    }
  }

  #signalOf({ planId }: PlanRun): AbortSignal {
    let own = this.#cancels.get(planId);
    if (own === undefined) this.#cancels.set(planId, (own = new AbortController()));
    return AbortSignal.any([this.#stopping.signal, own.signal]);
  }

  #workOf(id: PlanId): readonly Promise<void>[] {
    return [...this.#beside].filter(([key]) => key.startsWith(`${id}/`)).map(([, work]) => work);
  }

  async approve(id: PlanId, by: string): Promise<PlanRun> {
    const run = await this.get(id);
    const gates = [...run.gates.filter(({ phase }) => phase !== run.phase), { phase: run.phase, tests: null, approvedBy: by, at: this.#deps.clock.now() }];
    if (!(await this.#deps.store.movePlan({ plan: id, from: "waiting", to: "running", change: { gates } }))) throw new Fault("PLAN_NOT_WAITING", { plan: id, what: "approval", state: run.state });
    this.#wake(id);
    return this.get(id);
  }

  async resume(id: PlanId, { task: only, note, by }: { readonly task: string | null; readonly note: string | null; readonly by: string }): Promise<PlanRun> {
    const { store, merges, workspaces } = this.#deps;
    const run = await this.get(id);
    const stuck = run.tasks.filter((task) => task.state === "stuck" && (only === null || task.id === only));
    // One that rests as a whole, after a long absence of the gateway, has no stuck task.
    if (stuck.length === 0 && !(run.state === "stuck" && only === null)) throw new Fault("PLAN_NOT_WAITING", { plan: id, what: only === null ? "a person to resume it" : `a person to resume ${only}`, state: only === null ? run.state : (run.tasks.find((task) => task.id === only)?.state ?? "not a task of it") });
    for (const task of stuck) {
      const merge = task.merge === null ? null : await merges.get(task.merge);
      // One of an earlier holder of the workspace cannot land any more.
      const isOfNow = merge !== null && (await this.#epochOf(task)).epoch === merge.epoch;
      // A person may have mended the merge itself; then there is nothing left to do for an agent.
      const isOnItsWay = merge?.state === "landed" || (isOfNow && !MERGE_AT_REST.includes(merge.state));
      // Nothing was wrong with the work itself: it is offered again, and no agent is put to it.
      const isGood = isOfNow && task.evidence?.missing.length === 0 && OF_THE_TARGET.includes(merge.problem?.code ?? "");
      if (isGood && !isOnItsWay) await merges.retry(merge.id, { plan: id });
      if (isGood || isOnItsWay) {
        await store.movePlanTask({ plan: id, task: task.id, from: "stuck", to: "merging" });
        continue;
      }
      const learned = learnt(task.learned, `it was stuck: ${task.problem}`, note === null ? null : `${by} says: ${note}`);
      if (task.workspace !== null) {
        const { dir } = await workspaces.handOver(task.workspace, null);
        await this.#deps.folder.copyAgain(run.repository, dir, run.plan.copy);
      }
      await this.#move(run, task.id, "stuck", "preparing", { learned, ...(await this.#epochOf(task)) }, { by });
    }
    await store.movePlan({ plan: id, from: "stuck", to: "running" });
    this.#wake(id);
    return this.get(id);
  }

  async signal(session: SessionKey, signal: Omit<PlanSignal, "at">) {
    const { store, clock } = this.#deps;
    const found = await store.planTaskOfSession(session);
    if (found === null || found.task.state !== "working") return null;
    const { plan, task } = found;
    await store.movePlanTask({ plan: plan.planId, task: task.id, from: "working", to: "working", change: { signal: { ...signal, at: clock.now() } }, data: { signal: signal.kind, reason: signal.reason } });
    return { plan: plan.planId, task: task.id };
  }

  /** Whether an agent may have more than its task owns: not what another task of the plan owns and has not merged. The conversation is told. */
  async mayWiden(workspace: Workspace, claims: readonly string[]): Promise<void> {
    const found = await workIn(this.#deps.store, workspace, ["working", "merging"]);
    if (found === null) return;
    const { run, row } = found;
    for (const other of run.tasks) {
      const { owns, title } = taskOf(run, other.id);
      const held = other.id === row.id || other.endedAt !== null ? undefined : claims.find((claim) => claimProblem(claim) === null && owns.some((theirs) => claimsOverlap(claim, theirs)));
      if (held !== undefined) throw new Fault("CLAIM_PLANNED", { claim: held, task: other.id, title });
    }
    await tell(this.#deps.store, run, `${row.id} asks for more than it owns: ${claims.map((claim) => JSON.stringify(claim)).join(", ")}`);
  }

  // ── one look at a plan ────────────────────────────────────────────────────────────────────

  #wake(id: PlanId): void {
    // One that was not started, in safe mode, only shows and stops.
    if (!this.#isStarted || this.#stopping.signal.aborted) return;
    const running = this.#advancing.get(id);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    const entry = { again: false, promise: Promise.resolve() };
    this.#advancing.set(id, entry);
    entry.promise = this.#advance(id)
      .catch((cause: unknown) => {
        this.#deps.log.error("plan.not-advanced", { plan: id, cause });
        this.#wakeAfter(id, AGAIN_AFTER_MS);
      })
      .finally(() => {
        this.#advancing.delete(id);
        if (entry.again) this.#wake(id);
      });
  }

  #wakeAfter(id: PlanId, ms: number): void {
    if (this.#timers.has(id) || this.#stopping.signal.aborted) return;
    const disarm = this.#deps.clock.after(ms, () => {
      this.#timers.delete(id);
      this.#wake(id);
    });
    this.#timers.set(id, disarm);
  }

  async #advance(id: PlanId): Promise<void> {
    const { store } = this.#deps;
    const run = await store.planRun(id);
    if (run?.state === "waiting") return this.#openForCommit(run);
    if (run !== null && run.endedAt !== null) return this.#tidy(run);
    if (run === null || run.state !== "running") return;
    for (const task of run.tasks) await this.#goOn(run, task);
    const started = await this.#startReady(run);
    if (started > 0) return;
    if (run.tasks.every((task) => taskOf(run, task.id).phase > run.phase || task.state === "done")) return this.#besideWork(id, "gate", (now) => (now.phase === run.phase ? this.#openGate(now) : Promise.resolve()));
    const canMove = run.tasks.some(({ state }) => BUSY_STATES.includes(state) || state === "merging");
    if (canMove) return;
    const stuck = run.tasks.filter(({ state }) => state === "stuck");
    if (stuck.length === 0) return;
    const names = stuck.map(({ id: name }) => name).join(", ");
    if (await store.movePlan({ plan: id, from: "running", to: "stuck", event: { type: "plan.waiting", data: { waitsFor: "a person to resume what is stuck", stuck: stuck.map((task) => task.id) } } })) {
      await tell(this.#deps.store, run, `The plan "${run.plan.title}" cannot go on: ${names} ${stuck.length === 1 ? "is" : "are"} stuck. After the fix: yard plan resume ${id}`);
    }
  }

  async #openGate(run: PlanRun): Promise<void> {
    if (await this.#gates.open(run, this.#signalOf(run))) this.#wakeAfter(run.planId, COMMIT_LOOK_MS);
  }

  async #openForCommit(run: PlanRun): Promise<void> {
    const isOpen = await this.#gates.openForCommit(run);
    if (isOpen === true) this.#wake(run.planId);
    else if (isOpen === false) this.#wakeAfter(run.planId, COMMIT_LOOK_MS);
  }

  async #goOn(run: PlanRun, task: PlanTaskRun): Promise<void> {
    const isAtWork = (id: string): boolean => this.#beside.has(`${run.planId}/${id}`);
    switch (task.state) {
      case "preparing":
        // Those that a person resumed together begin as there is room.
        if (!isAtWork(task.id) && placesBefore(run, task, isAtWork) >= this.#placesIn(run)) return;
        return this.#workBeside(run, task, (now, row) => this.#prepare(now, row));
      case "working": {
        this.#children.set(task.childTask!, run.planId);
        const child = await this.#deps.store.task(task.childTask!);
        if (child === null || hasEnded(child.state)) return this.#workBeside(run, task, (now, row) => this.#afterWork(now, row, child));
        return;
      }
      case "checking":
        if (waitsForMerge(run, task.id)) return;
        return this.#workBeside(run, task, (now, row) => this.#gather(now, row));
      case "merging":
        return this.#workBeside(run, task, (now, row) => this.#awaitMerge(now, row));
      default:
    }
  }

  #placesIn(run: PlanRun): number {
    return placesIn(run, this.#deps.settings.get(planAgentsMax));
  }

  /** Starts as many tasks as may run. @returns how many. */
  async #startReady(run: PlanRun): Promise<number> {
    const taken = run.tasks.filter((row) => takesPlace(run, row)).length;
    const places = this.#placesIn(run);
    let started = 0;
    for (const row of run.tasks) {
      const task = taskOf(run, row.id);
      if (row.state !== "waiting" || task.phase !== run.phase || taken + started >= places) continue;
      if (!task.after.every((id) => stateOf(run, id) === "done")) continue;
      if (task.when !== null && (await this.#commitOf(run, task.when)) === null) {
        this.#wakeAfter(run.planId, COMMIT_LOOK_MS);
        continue;
      }
      if (await this.#move(run, row.id, "waiting", "preparing")) started++;
    }
    if (started > 0) this.#wake(run.planId);
    return started;
  }

  /** The commit of another task that one waits for: in its workspace, or merged already. */
  async #commitOf(run: PlanRun, { task, commit }: NonNullable<PlanTask["when"]>): Promise<string | null> {
    const { workspaces } = this.#deps;
    const row = run.tasks.find(({ id }) => id === task)!;
    if (row.state === "done") return run.onto;
    if (row.workspace === null) return null;
    try {
      const { commits } = await workspaces.status(row.workspace);
      return commits.find(({ subject }) => subject.startsWith(commit))?.id ?? null;
    } catch (cause) {
      // Its work may have landed, and its workspace be gone, since the rows were read.
      const now = await this.get(run.planId);
      if (stateOf(now, task) === row.state) throw cause;
      return this.#commitOf(now, { task, commit });
    }
  }

  // ── the life of one task ──────────────────────────────────────────────────────────────────

  async #prepare(run: PlanRun, row: PlanTaskRun): Promise<void> {
    const { trees, settings } = this.#deps;
    const task = taskOf(run, row.id);
    const workspace = await this.#workspaceFor(run, row);
    const attempt = row.attempt + 1;
    const { task: child } = await trees.spawn({
      ...agentOf(run, task, workspace),
      task: taskPrompt({ plan: run.plan, task, learned: row.learned }),
      deadlineSeconds: settings.get(planTaskSeconds) || null,
      idempotencyKey: `${run.planId}/${task.id}/${attempt}`,
    });
    this.#children.set(child.taskId, run.planId);
    const change = { attempt, childTask: child.taskId, childSession: child.session, workspace: workspace.id, epoch: workspace.epoch, signal: null };
    if (!(await this.#move(run, row.id, "preparing", "working", change, { attempt, session: child.session, workspace: workspace.dir }))) {
      await trees.cancelTask(child.taskId, "the end of its plan");
    }
  }

  async #workspaceFor(run: PlanRun, row: PlanTaskRun): Promise<Workspace> {
    const { workspaces } = this.#deps;
    const known = row.workspace === null ? null : await workspaces.get(row.workspace);
    if (known?.state === "ready") return known;
    const label = `${run.planId}/${row.id}`;
    // A gateway that died between making it and writing it down left one with this label.
    const made = (await workspaces.list({ repository: run.repository, states: ["ready"] })).find((each) => each.label === label);
    if (made !== undefined) return made;
    const { owns, when } = taskOf(run, row.id);
    const commit = when === null ? null : await this.#commitOf(run, when);
    // What was merged since is part of it too, unless the two conflict; then the agent begins on the commit alone.
    const base = commit === null ? run.onto : ((await workspaces.together(run.repository, commit, run.onto)) ?? commit);
    const { copy, setup } = run.plan;
    return workspaces.create({ repository: run.repository, base, label, claims: owns, session: run.session, copy, ...(setup === null ? {} : { setup }) }, this.#signalOf(run));
  }

  async #afterWork(run: PlanRun, row: PlanTaskRun, child: Task | null): Promise<void> {
    if (row.childTask !== null) this.#children.delete(row.childTask);
    const signal = (await this.#signalIn(row, child)) ?? row.signal;
    if (signal?.kind === "stuck") return void (await this.#stick(run, row.id, "working", signal.reason ?? "it says that it is stuck, but not why", { signal }));
    if (child?.state === "succeeded") return void (await this.#move(run, row.id, "working", "checking", signal === null ? {} : { signal }));
    if (child?.state === "cancelled") return void (await this.#stick(run, row.id, "working", "its agent was stopped"));
    await this.#tryAgain(run, row, "working", child === null ? "its agent's record is gone" : `its agent ${child.state === "timed_out" ? "took too long" : "failed"}: ${child.fault?.message ?? child.state}`);
  }

  /** What an agent without our tools says: in a file, a commit's trailer, or the first line of its answer. */
  async #signalIn(row: PlanTaskRun, child: Task | null): Promise<PlanSignal | null> {
    const { workspaces, folder, clock } = this.#deps;
    const workspace = await workspaces.get(row.workspace!);
    if (workspace?.state !== "ready") return null;
    const text = await folder.takeSignal(workspace.dir);
    const trailer = (await workspaces.status(workspace.id)).commits[0]?.body.match(/^Yard-Signal:.*$/m)?.[0] ?? null;
    const answer = child?.result?.trimStart().match(/^STUCK\b.*/)?.[0] ?? null;
    for (const [said, by] of [[text, "file"], [trailer, "trailer"], [answer, "answer"]] as const) {
      const found = said === null ? null : readSignal(said);
      if (found !== null) return { ...found, steps: [], by, at: clock.now() };
    }
    return null;
  }

  /** Commits what is left, runs the tests, and offers the work for merging when nothing is missing. */
  async #gather(run: PlanRun, seen: PlanTaskRun): Promise<void> {
    const { workspaces, merges, settings, clock } = this.#deps;
    const task = taskOf(run, seen.id);
    // A hand-over to the next attempt may have been cut off before its row was moved; nobody else holds the workspace.
    const row: PlanTaskRun = { ...seen, ...(await this.#epochOf(seen)) };
    if (row.epoch !== seen.epoch && !(await this.#move(run, row.id, "checking", "checking", { epoch: row.epoch }))) return;
    const offered = (await merges.list({ workspace: row.workspace!, limit: 100 })).find(({ epoch, state }) => epoch === row.epoch && (state === "landed" || !MERGE_AT_REST.includes(state)));
    if (offered !== undefined) return void (await this.#move(run, row.id, "checking", "merging", { merge: offered.id }));
    const steps = row.signal?.steps ?? [];
    await workspaces.commit(row.workspace!, row.epoch, `${task.title}${steps.length === 0 ? "" : `\n\nSteps: ${steps.join(", ")}`}`);
    const tests = task.tests === null ? null : await workspaces.test(row.workspace!, testOf(task.tests, settings), this.#signalOf(run));
    const status = await workspaces.status(row.workspace!);
    const planFiles = status.changed.filter((path) => /(^|\/)[^/]*plan[^/]*\.md$/i.test(path));
    const planTexts = await Promise.all(planFiles.map((path) => workspaces.fileAt(run.repository, status.head, path)));
    // What came along from the integration branch is not its own work.
    const own = new Set((await workspaces.diffNames(run.repository, run.onto, status.head)).map(({ path }) => path));
    const isOwn = (path: string): boolean => own.has(path);
    const evidence = judgeEvidence(task, { ...status, changed: status.changed.filter(isOwn), outside: status.outside.filter(isOwn) }, tests, planTexts.filter((text) => text !== null), clock.now());
    if (evidence.missing.length > 0) return this.#tryAgain(run, row, "checking", evidence.missing.join("; "), { evidence });
    const merge = await merges.enqueue({
      workspace: row.workspace!,
      epoch: row.epoch,
      onto: run.onto,
      // Who builds on its commits needs them as they are.
      ...(run.plan.tasks.some(({ when }) => when?.task === task.id) ? { style: "merge" as const } : {}),
      message: landingMessage(task, status.commits),
      trailers: [`Yard-Plan: ${run.planId}`, `Yard-Task: ${task.id}`],
      tests: run.plan.tests === null ? [] : [testOf(run.plan.tests, settings)],
      session: run.session,
    });
    await this.#move(run, row.id, "checking", "merging", { evidence, merge: merge.id }, { commits: evidence.commits.length, tests: tests?.exitCode ?? null });
  }

  async #awaitMerge(run: PlanRun, row: PlanTaskRun): Promise<void> {
    const { merges, workspaces, store } = this.#deps;
    const merge = await merges.watch(row.merge!, this.#signalOf(run));
    const now = (await store.planRun(run.planId))?.tasks.find(({ id }) => id === row.id);
    if (merge.state === "landed") {
      if (!(await this.#move(run, row.id, "merging", "done", {}, { commit: merge.to }))) return;
      // Kept when it cannot be removed now: `yard workspaces list` shows it.
      if (now?.workspace) await workspaces.remove(now.workspace).catch((cause: unknown) => this.#deps.log.warn("plan.workspace-not-removed", { plan: run.planId, cause }));
      return;
    }
    const culprit = merge.evidence.find(({ exitCode }) => exitCode !== 0);
    if (merge.state === "failed" && culprit !== undefined) {
      const branch = (await workspaces.get(merge.workspace))?.branch.replace("refs/heads/", "") ?? merge.workspace;
      const why = `its own work is good, but with branch ${branch} merged into ${run.onto}, "${culprit.command}" ended with ${culprit.exitCode ?? "a time-out"}; merge ${run.onto} into the branch to see it:\n${culprit.output.slice(-OUTPUT_SHOWN_CHARS)}`;
      return this.#tryAgain(run, row, "merging", why);
    }
    const why = merge.state === "conflict" ? `it conflicts in ${merge.conflict?.files.map(({ path }) => path).join(", ") ?? "files that changed meanwhile"}` : (merge.problem?.text ?? `its merge is ${merge.state}`);
    await this.#stick(run, row.id, "merging", why);
  }

  async #tryAgain(run: PlanRun, row: PlanTaskRun, from: "working" | "checking" | "merging", why: string, change: PlanTaskChange = {}): Promise<void> {
    const { workspaces, settings } = this.#deps;
    if ((row.attempt % settings.get(planAttemptsMax)) === 0) return this.#stick(run, row.id, from, why, change);
    await workspaces.handOver(row.workspace!, null);
    await this.#move(run, row.id, from, "preparing", { ...change, ...(await this.#epochOf(row)), learned: learnt(row.learned, why) }, { why });
  }

  async #stick(run: PlanRun, task: string, from: PlanTaskState, problem: string, change: PlanTaskChange = {}): Promise<void> {
    if (await this.#move(run, task, from, "stuck", { ...change, problem })) await tell(this.#deps.store, run, `${task} is stuck:\n${quoted(problem)}`, "warn");
  }

  // ── parts ─────────────────────────────────────────────────────────────────────────────────

  /** Long work on a task, if its row still is where it was seen. */
  #workBeside({ planId }: PlanRun, seen: PlanTaskRun, work: (run: PlanRun, row: PlanTaskRun) => Promise<void>): void {
    this.#besideWork(planId, seen.id, async (run) => {
      const row = run.tasks.find(({ id }) => id === seen.id)!;
      if (row.state === seen.state && row.childTask === seen.childTask) await work(run, row);
    });
  }

  /** Runs long work once at a time per task, on rows that are read when it begins, and wakes the plan when it is over. */
  #besideWork(id: PlanId, name: string, work: (run: PlanRun) => Promise<void>): void {
    const key = `${id}/${name}`;
    if (this.#beside.has(key) || this.#stopping.signal.aborted) return;
    const begin = async (): Promise<void> => {
      // Whoever called may have read the rows before the last piece of work was over.
      const run = await this.#deps.store.planRun(id);
      if (run?.state !== "running") return;
      await work(run).catch((thrown: unknown) => this.#workFailed(run, name, thrown));
    };
    const promise = begin()
      .catch((cause: unknown) => this.#deps.log.error("plan.work-lost", { plan: id, task: name, cause }))
      .finally(() => {
        this.#beside.delete(key);
        this.#wake(id);
      });
    this.#beside.set(key, promise);
  }

  async #workFailed(run: PlanRun, name: string, thrown: unknown): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const fault = asFault(thrown);
    this.#deps.log.warn("plan.work-failed", { plan: run.planId, task: name, cause: thrown });
    // The key stays taken meanwhile, so that nobody tries again sooner.
    if (fault.retryable) return sleep(this.#deps.clock, AGAIN_AFTER_MS, this.#stopping.signal).catch(() => {});
    const row = (await this.#deps.store.planRun(run.planId))?.tasks.find(({ id }) => id === name);
    if (row !== undefined && row.state in { preparing: 1, working: 1, checking: 1, merging: 1 }) return this.#stick(run, name, row.state, fault.message);
    await this.#deps.store.movePlan({ plan: run.planId, from: "running", to: "waiting", change: { waitsFor: fault.message }, event: { type: "plan.waiting", data: { waitsFor: fault.message } } });
  }

  #move(run: PlanRun, task: string, from: PlanTaskState, to: PlanTaskState, change: PlanTaskChange = {}, data: Readonly<Record<string, string | number | null>> = {}): Promise<boolean> {
    return this.#deps.store.movePlanTask({ plan: run.planId, task, from, to, change, data });
  }

  async #epochOf(row: PlanTaskRun): Promise<{ readonly epoch?: number }> {
    const workspace = row.workspace === null ? null : await this.#deps.workspaces.get(row.workspace);
    return workspace === null ? {} : { epoch: workspace.epoch };
  }

  async #usualBranch(repository: string): Promise<string> {
    const { workspaces } = this.#deps;
    const head = await workspaces.resolve(repository, "HEAD");
    for (const branch of USUAL_BRANCHES) if (head !== null && (await workspaces.resolve(repository, `refs/heads/${branch}`)) === head) return branch;
    throw new Fault("BAD_REQUEST", { where: "onto", problem: "the plan does not say onto which branch to merge; add e.g. onto: main" });
  }
}
