/**
 * Plans of a world: what a seed draws of them, the people who run, help and stop them, and what the
 * agents of their tasks leave in their worktrees.
 *
 * A part of all worlds has some. Their people use the doors that people use; what they ask before the
 * healing is asked once, and afterwards somebody looks after every plan until it is over.
 */
import type { JsonObject } from "../../src/base/json.ts";
import type { MergeId, PlanId, SessionKey, WorkspaceId } from "../../src/base/ids.ts";
import type { ToolCallPart } from "../../src/model/chat.ts";
import type { YardEvent } from "../../src/model/event.ts";
import { mayChange } from "../../src/model/path-claims.ts";
import type { PlanRun } from "../../src/model/plan-run.ts";
import type { Plan } from "../../src/model/plan.ts";
import { readPlan } from "../../src/plans/read-plan.ts";
import { SIGNAL_FILE } from "../../src/plans/task-prompt.ts";
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import { VERBS } from "../../src/store/sqlite/verbs.ts";
import type { Askers } from "./askers.ts";
import { Dice, hashOf } from "./dice.ts";
import type { DiskFault } from "./faulty-disk.ts";
import { FakeGit, REPOSITORY, WORKTREES, type Landed } from "./fake-git.ts";
import type { GatewayProcess } from "./gateway-process.ts";
import { checkPlans, type PlanNews, type SeenPlan } from "./plan-checkers.ts";
import { isRefusal } from "./refusal.ts";
import type { Timeline } from "./timeline.ts";

/** How many worlds have plans. */
const PLANS_PART = 0.04;
const TASK_COUNTS = [2, 2, 3, 3, 4, 5, 8];
const ASKS_MAX = 12;
/** In how many worlds with plans people take merges back, and how many at most. */
const UNDO_PART = 0.4;
const UNDOS_MAX = 3;
const MISHAPS_MAX = 6;
/** How often somebody looks after the plans once all is well, milliseconds. */
const LOOK_MS = 60_000;
/** A plan that needed this many helping hands is given up by its people. */
const HELPS_MAX = 12;
const CANCEL_MS_MAX = 90_000;
const DIRTY_MS_MAX = 120_000;
const LEFT_STATES = ["making", "ready", "removing"] as const;
const BY = "a person";
const READ_MAX = 1_000;

/** What people do about plans. */
export type PlanAsk =
  | { readonly what: "run"; readonly n: number }
  | { readonly what: "cancel" | "approve" | "resume" | "resume-task" | "retry-merge" | "undo-merge" | "status"; readonly which: number }
  /** A person's own commit on the branch: in the way of a task, or the one that a gate waits for. */
  | { readonly what: "commit"; readonly which: number }
  /** A person changes files in the checkout, and commits none. */
  | { readonly what: "dirty"; readonly forMs: number };

type Mishap = { readonly kind: "crash"; readonly afterBatches: number; readonly downMs: number; readonly again: number; readonly awayMs: number } | { readonly kind: "disk"; readonly faults: readonly DiskFault[] };
export type PlannedAsk = ({ readonly kind: "plan"; readonly ask: PlanAsk } | Mishap) & { readonly atMs: number };

interface PlannedRun {
  readonly text: string;
  readonly session: number;
  readonly mode: "parallel" | "sequential" | null;
}

export function hasPlans(seed: number): boolean {
  return new Dice(seed, "plans").chance(PLANS_PART);
}

/** Without children no plan goes far; a few worlds show that it says so. */
export function depthMinOf(seed: number): number {
  return hasPlans(seed) && new Dice(seed, "depth of plans").chance(0.9) ? 1 : 0;
}

/** Drawn apart from the rest of a seed, which stays what it was. */
export function asksOfPlans(seed: number, healAtMs: number): readonly PlannedAsk[] {
  if (!hasPlans(seed)) return [];
  const dice = new Dice(seed, "asks about plans");
  const runs = dice.chance(0.3) ? 2 : 1;
  const asks: PlannedAsk[] = Array.from({ length: runs }, (_, n) => ({ kind: "plan", ask: { what: "run", n }, atMs: Math.floor(healAtMs * dice.next() * dice.pick([0.1, 0.6])) }));
  // Most plans are over before long; so some are cancelled while they are at work.
  for (const { atMs } of asks.slice(0, runs)) if (dice.chance(0.3)) asks.push({ kind: "plan", ask: { what: "cancel", which: dice.whole(0, 1_000) }, atMs: Math.min(atMs + dice.spread(500, CANCEL_MS_MAX), healAtMs) });
  // Moves of a plan are few and short; so that something falls between two of them there are more of these.
  for (let left = dice.chance(0.5) ? dice.whole(1, MISHAPS_MAX) : 0; left > 0; left--) asks.push({ ...mishap(dice), atMs: Math.floor(healAtMs * dice.next()) });
  for (let left = dice.whole(0, ASKS_MAX); left > 0; left--) {
    const what = dice.weighted({ cancel: 1.2, approve: 3, resume: 3, "resume-task": 2, "retry-merge": 1, status: 1, commit: 1.5, dirty: 1 });
    const which = dice.whole(0, 1_000);
    asks.push({ kind: "plan", ask: what === "dirty" ? { what, forMs: dice.spread(1_000, DIRTY_MS_MAX) } : { what, which }, atMs: Math.floor(healAtMs * dice.next()) });
  }
  const undos = new Dice(seed, "merges taken back");
  for (let left = undos.chance(UNDO_PART) ? undos.whole(1, UNDOS_MAX) : 0; left > 0; left--) asks.push({ kind: "plan", ask: { what: undos.chance(0.8) ? "undo-merge" : "retry-merge", which: undos.whole(0, 1_000) }, atMs: Math.floor(healAtMs * undos.next()) });
  return asks;
}

function mishap(dice: Dice): Mishap {
  if (dice.chance(0.5)) return { kind: "crash", afterBatches: dice.whole(1, 12), downMs: dice.chance(0.7) ? 0 : dice.spread(10, 60_000), again: 0, awayMs: 0 };
  const errors = ["busy", "full", "io"] as const;
  return { kind: "disk", faults: Array.from({ length: dice.whole(1, 6) }, (): DiskFault => (dice.chance(0.5) ? { at: "commit", error: dice.pick(errors) } : dice.chance(0.5) ? { at: "statement", n: dice.whole(1, 6), error: dice.pick(errors) } : { at: "after-commit", error: dice.pick(errors) })) };
}

/** The text of a plan, as a program writes it. */
function planText(seed: number, n: number, hasHarnesses: boolean): PlannedRun {
  const dice = new Dice(seed, "plan of tasks", n);
  const folder = `p${n}`;
  const phaseCount = dice.pick([1, 1, 2, 3]);
  const phases: { name: string; gate?: JsonObject; tasks: JsonObject[] }[] = Array.from({ length: phaseCount }, (_, phase) => {
    const gate = { ...(dice.chance(0.25) ? { tests: `test ${folder}` } : {}), ...(dice.chance(0.2) ? { commit: `feat: end of ${folder} ${phase}` } : {}), ...(dice.chance(0.25) ? { approval: true } : {}) };
    return { name: `phase ${phase}`, ...(Object.keys(gate).length === 0 ? {} : { gate }), tasks: [] };
  });
  const count = dice.pick(TASK_COUNTS);
  const isShared = dice.chance(0.3);
  for (let t = 0; t < count; t++) {
    const phase = Math.min(phaseCount - 1, Math.floor((t * phaseCount) / count));
    const earlier = Array.from({ length: t }, (_, before) => `t${before}`);
    const after = earlier.filter(() => dice.chance(0.25));
    const when = earlier.length > 0 && dice.chance(0.15) ? { task: dice.pick(earlier), commit: "feat: begin" } : null;
    phases[phase]!.tasks.push({
      id: `t${t}`,
      title: `Task ${t} of ${folder}`,
      owns: [`${folder}/t${t}/**`, ...(isShared && dice.chance(0.5) ? [`${folder}/shared.txt`] : [])],
      ...(after.length === 0 ? {} : { after }),
      ...(when === null ? {} : { when }),
      size: dice.pick(["10m", "45m", "2h"]),
      ...(dice.chance(0.5) ? { tests: `test ${folder}/t${t}` } : {}),
      ...(dice.chance(0.4) ? { steps: ["make the first part", "make the second part"] } : {}),
      // What a coding agent spends by itself cannot be kept to a budget.
      ...(hasHarnesses && dice.chance(0.3) ? { harness: "sim" } : dice.chance(0.1) ? { budget: { calls: dice.whole(3, 30) } } : {}),
    });
  }
  const plan = {
    title: `Plan ${n}`,
    onto: "main",
    ...(dice.chance(0.6) ? { tests: `test ${folder}` } : {}),
    ...(dice.chance(0.2) ? { setup: "set up" } : {}),
    ...(dice.chance(0.3) ? { agents: dice.whole(1, 3) } : {}),
    phases: phases.filter(({ tasks }) => tasks.length > 0),
  };
  return { text: JSON.stringify(plan, null, 1), session: dice.whole(0, 10), mode: dice.pick([null, null, "parallel", "sequential"]) };
}

export interface PlanWorldDeps {
  readonly seed: number;
  readonly timeline: Timeline;
  readonly observer: Kernel;
  readonly gateway: () => GatewayProcess | null;
  readonly askers: Askers;
  readonly sessions: () => readonly SessionKey[];
  readonly hasHarnesses: boolean;
  readonly report: (violation: string) => void;
  readonly note: (line: string) => void;
}

/** The plans of one world, over all its processes. */
export class PlanWorld {
  readonly git: FakeGit;
  readonly #deps: PlanWorldDeps;
  readonly #news: PlanNews[] = [];
  /** By its number, what the world knows of a plan that somebody runs. */
  readonly #asked = new Map<number, { readonly plan: Plan; readonly mode: PlannedRun["mode"]; id: PlanId | null }>();
  /** What landed outside of its claim. */
  readonly #outside: string[] = [];
  /** By call, what agents asked to own besides, and were not refused. */
  readonly #widened = new Map<string, { readonly task: string; readonly paths: readonly string[] }>();
  readonly #helps = new Map<PlanId, number>();
  readonly #works = new Map<string, number>();
  #isHealed = false;

  constructor(deps: PlanWorldDeps) {
    this.#deps = deps;
    this.git = new FakeGit(deps.timeline, (news) => {
      this.#news.push(news);
      if (news.kind === "ref") for (const one of news.landed) this.#lookAtClaim(one);
      if (news.kind !== "ref" || news.ref === "refs/heads/main") deps.note(`  git ${JSON.stringify(news).slice(0, 200)}`);
    });
  }

  do(ask: PlanAsk): void {
    switch (ask.what) {
      case "run":
        return this.#run(ask.n);
      case "dirty":
        this.git.dirtyUntilMs = this.#deps.timeline.nowMs + ask.forMs;
        return;
      case "commit":
        return this.#commit(ask.which);
      default:
        return this.#askFor(ask.what, ask.which);
    }
  }

  heal(): void {
    this.#isHealed = true;
    this.git.isHealed = true;
    this.git.dirtyUntilMs = 0;
    this.#look();
  }

  /** Every plan that was asked for has ended, and its workspaces are gone: what could not be removed is tried again a minute later. */
  isOver(): boolean {
    return this.git.worktrees.size === 0 && VERBS.workspaces(this.#deps.observer, { states: LEFT_STATES, limit: 1 }).length === 0 && this.#haveEnded();
  }

  #haveEnded(): boolean {
    return [...this.#asked.values()].every(({ id }) => id !== null) && this.#open().length === 0;
  }

  #lookAtClaim({ plan, task, changed }: Landed): void {
    const owns = VERBS.planRun(this.#deps.observer, plan as PlanId)?.plan.tasks.find(({ id }) => id === task)?.owns ?? [];
    const claims = [...owns, ...[...this.#widened.values()].filter((asked) => asked.task === `${plan}/${task}`).flatMap(({ paths }) => paths)];
    this.#outside.push(...changed.filter((path) => !mayChange(claims, path)).map((path) => `${path} of ${plan}/${task}`));
  }

  /** What became of it in the tables, in the order in which git's own news came between. */
  saw(events: readonly YardEvent[]): void {
    for (const { type, session, taskId, data } of events) {
      if (type === "tool.started" && data["tool"] === "claim_widen") this.#asksForMore(session, data);
      if (type === "tool.ended" && data["ok"] === false) this.#widened.delete(`${session} ${String(data["callId"])}`);
      if (type.startsWith("plan.") || type.startsWith("workspace.") || type === "merge.advancing" || type === "merge.undone") this.#news.push({ kind: type as "plan.task", data });
      if ((type === "task.accepted" || type === "task.ended") && taskId !== undefined) {
        const key = this.#deps.observer.get("SELECT spawn_key FROM task WHERE id = ?", taskId)?.["spawn_key"];
        if (typeof key === "string" && key.startsWith("plan_")) this.#news.push({ kind: type, taskId, key, data });
      }
    }
  }

  #asksForMore(session: SessionKey, { callId, input }: JsonObject): void {
    const workspace = this.#dirOf(session)?.slice(WORKTREES.length + 1);
    const label = workspace === undefined ? undefined : VERBS.workspace(this.#deps.observer, workspace as WorkspaceId)?.label;
    if (label !== undefined) this.#widened.set(`${session} ${String(callId)}`, { task: label, paths: (JSON.parse(String(input)) as { paths: string[] }).paths });
  }

  /** Claims are paths of a worktree: those of two worktrees never meet. */
  inPlaces<T extends { readonly session: string; readonly claims: readonly string[] }>(tasks: readonly T[]): readonly T[] {
    return tasks.map((task) => {
      const dir = this.#dirOf(task.session);
      return dir === null ? task : { ...task, claims: task.claims.map((claim) => `${dir.slice(WORKTREES.length + 1)}/${claim}`) };
    });
  }

  /** At the end of the world, which is long after the last plan's end. */
  violations(): string[] {
    const plans = [...this.#asked.values()].flatMap(({ plan, mode, id }): SeenPlan[] => {
      const run = id === null ? null : VERBS.planRun(this.#deps.observer, id);
      return run === null ? [] : [{ plan, mode, run }];
    });
    const { observer } = this.#deps;
    const merges = VERBS.merges(observer, { limit: READ_MAX });
    return checkPlans({
      plans,
      news: this.#news,
      worktrees: [...this.git.worktrees.values()].map(({ dir }) => dir),
      folders: [...this.git.folders.keys()],
      workspaces: VERBS.workspaces(observer, { limit: READ_MAX }),
      merges,
      backAgain: merges.filter(({ state }) => state === "undone").flatMap(({ id, from, to }) => this.git.broughtBy(from!, to!).map((path) => `${path} of ${id}`)),
      outside: this.#outside,
      isOver: this.#haveEnded(),
    });
  }

  // ── agents ────────────────────────────────────────────────────────────────────────────────

  /** What an agent of a plan says instead of what its model would have said; null = nothing. */
  says(session: string | undefined, question: string, attempt: number): { readonly text: string } | Omit<ToolCallPart, "callId"> | null {
    if (session === undefined || this.#isHealed || this.#dirOf(session) === null) return null;
    const dice = new Dice(this.#deps.seed, "words of an agent", question, attempt);
    const how = dice.weighted({ nothing: 12, stuck: 0.5, signals: 1, "signals stuck": 0.4, widens: 1 });
    if (how === "nothing") return null;
    if (how === "stuck") return { text: "STUCK: a key is missing" };
    if (how === "widens") return { type: "tool-call", tool: "claim_widen", input: { paths: [dice.pick(["README", ...["p0", "p1"].flatMap((folder) => ["elsewhere.txt", "shared.txt", "t0/**", "t1/**"].map((path) => `${folder}/${path}`))])] } };
    return { type: "tool-call", tool: "task_signal", input: how === "signals" ? { signal: "done", ...(dice.chance(0.5) ? { steps: "1, 2" } : {}) } : { signal: "stuck", reason: "a key is missing" } };
  }

  /** An agent was at work in its worktree; `isEnd`: it will say that it is done. */
  worked(session: string | undefined, isEnd: boolean): void {
    const dir = session === undefined ? null : this.#dirOf(session);
    if (session === undefined || dir === null || !this.git.folders.has(dir) || !this.git.worktrees.has(dir.slice(WORKTREES.length + 1))) return;
    const times = (this.#works.get(dir) ?? 0) + 1;
    this.#works.set(dir, times);
    const dice = new Dice(this.#deps.seed, "work", session, times);
    const key = this.#deps.observer.get("SELECT k.label, p.file FROM task k LEFT JOIN plan_task t ON t.child_session = k.session LEFT JOIN plan p ON p.id = t.plan_id WHERE k.session = ?", session);
    const task = String(key?.["label"]);
    const folder = typeof key?.["file"] === "string" ? key["file"].replace(".json", "") : null;
    if (folder === null) return;
    const files = this.git.filesIn(dir);
    const isGood = this.#isHealed || dice.chance(0.8);
    for (const [path, text] of files) if (text.includes("<<<<<<<") && (this.#isHealed || dice.chance(0.7))) files.set(path, `good, mended by ${task}\n`);
    if (this.#isHealed ? isEnd : dice.chance(isEnd ? 0.8 : 0.4)) {
      files.set(`${folder}/${task}/work.txt`, `${isGood ? "good" : "bad"} work ${times} of ${task}\n`);
      if (dice.chance(this.#ownsShared(folder, task) ? 0.6 : this.#isHealed ? 0 : 0.03)) files.set(`${folder}/shared.txt`, `line of ${task}, ${times}\n${files.get(`${folder}/shared.txt`) ?? ""}`);
    }
    if (this.#isHealed) for (const path of files.keys()) if (!path.startsWith(`${folder}/${task}/`) && !(path.endsWith("/shared.txt") && this.#ownsShared(folder, task))) this.#takeBack(dir, files, path);
    if (!this.#isHealed && dice.chance(0.05)) files.set(`${folder}/elsewhere.txt`, `by ${task}\n`);
    if (!this.#isHealed && dice.chance(0.05)) files.set(SIGNAL_FILE, dice.pick(["DONE", "STUCK: a key is missing"]));
    const commits = this.#isHealed ? isEnd : dice.chance(0.5);
    if (commits) this.git.commitIn(dir, `${dice.pick(["feat: begin", "make the first part", "more"])}\n\n${this.#isHealed || dice.chance(0.6) ? "Steps: all" : ""}${!this.#isHealed && dice.chance(0.03) ? "\nYard-Signal: STUCK no key" : ""}`, "an agent");
  }

  #ownsShared(folder: string, task: string): boolean {
    const plan = this.#asked.get(Number(folder.slice(1)))?.plan;
    return plan?.tasks.find(({ id }) => id === task)?.owns.includes(`${folder}/shared.txt`) === true;
  }

  /** As the branch has it. */
  #takeBack(dir: string, files: Map<string, string>, path: string): void {
    const was = this.git.filesOf(this.git.head).get(path);
    if (was === undefined) files.delete(path);
    else if (this.git.folders.has(dir)) files.set(path, was);
  }

  #dirOf(session: string): string | null {
    const cwd = this.#deps.observer.get("SELECT cwd FROM session WHERE key = ?", session)?.["cwd"];
    return typeof cwd === "string" && cwd.startsWith(`${WORKTREES}/`) ? cwd : null;
  }

  // ── people ────────────────────────────────────────────────────────────────────────────────

  #run(n: number): void {
    const { seed, hasHarnesses, askers } = this.#deps;
    const sessions = this.#deps.sessions();
    const planned = planText(seed, n, hasHarnesses);
    const { text, mode } = planned;
    const file = `p${n}.json`;
    const asked = this.#asked.get(n) ?? { plan: readPlan(file, text), mode, id: null };
    this.#asked.set(n, asked);
    const session = sessions[planned.session % sessions.length]!;
    askers.untilDone("whoever asked for a plan", async (gateway) => {
      const { planId } = await gateway.plans!.run({ file, text, repository: REPOSITORY, session, mode, watched: true, idempotencyKey: `plan ${n}` });
      if (gateway.clock.isRunning) asked.id = planId;
    }, { alsoRefused: true });
  }

  #askFor(what: Exclude<PlanAsk["what"], "run" | "dirty" | "commit">, which: number): void {
    const runs = VERBS.plans(this.#deps.observer, { limit: READ_MAX }).plans;
    const run = runs[which % runs.length];
    if (run === undefined) return;
    const stuck = run.tasks.filter(({ state }) => state === "stuck");
    this.#ask(what, (gateway) => {
      switch (what) {
        case "cancel":
          return gateway.plans!.cancel(run.planId, BY);
        case "approve":
          return gateway.plans!.approve(run.planId, BY);
        case "resume":
          return gateway.plans!.resume(run.planId, { task: null, note: "go on", by: BY });
        case "resume-task":
          return gateway.plans!.resume(run.planId, { task: stuck[which % stuck.length]?.id ?? "t0", note: null, by: BY });
        case "status":
          return gateway.plans!.status(run.planId);
        case "undo-merge": {
          const landed = VERBS.merges(this.#deps.observer, { states: ["landed"], limit: READ_MAX });
          return landed.length === 0 ? Promise.resolve() : gateway.merges!.undo(landed[which % landed.length]!.id);
        }
        case "retry-merge": {
          const merges = run.tasks.flatMap(({ merge }) => (merge === null ? [] : [merge]));
          if (merges.length === 0) return Promise.resolve();
          const merge = merges[which % merges.length] as MergeId;
          this.#news.push({ kind: "retried", merge });
          return gateway.merges!.retry(merge);
        }
      }
    });
  }

  #ask(what: string, askFor: (gateway: GatewayProcess) => Promise<unknown>): void {
    const gateway = this.#deps.gateway();
    if (gateway === null) return;
    this.#deps.note(`asked for ${what}`);
    askFor(gateway).catch((cause: unknown) => {
      if (gateway.clock.isRunning && !isRefusal(cause)) this.#deps.report(`${what} of a plan was answered with a defect: ${String(cause)}`);
      else if (gateway.clock.isRunning) this.#deps.note(`${what} was refused: ${String(cause)}`);
    });
  }

  #commit(which: number): void {
    const dice = new Dice(this.#deps.seed, "a person's commit", which);
    const n = which % Math.max(1, this.#asked.size);
    const plan = this.#asked.get(n)?.plan;
    const gate = plan?.phases.find(({ gate: { commit } }) => commit !== null)?.gate.commit;
    if (gate != null && dice.chance(0.4)) return this.git.commitOnMain((files) => files.set(`p${n}-gate.txt`, `${which}\n`), gate);
    const path = dice.pick([`p${n}/t${dice.whole(0, 4)}/work.txt`, `p${n}/shared.txt`, "README"]);
    this.git.commitOnMain((files) => files.set(path, `good, by a person, ${which}\n`), "a person's change");
  }

  #open(): readonly PlanRun[] {
    return VERBS.plans(this.#deps.observer, { active: true, limit: READ_MAX }).plans;
  }

  /** Somebody looks after what waits, until nothing does. */
  #look(): void {
    for (const run of this.#open()) {
      if (run.state === "running" && !run.tasks.some(({ state }) => state === "stuck")) continue;
      const helps = (this.#helps.get(run.planId) ?? 0) + 1;
      this.#helps.set(run.planId, helps);
      const folder = run.file.replace(".json", "");
      if (helps > HELPS_MAX) this.#ask("cancel", ({ plans }) => plans!.cancel(run.planId, BY));
      else if (run.state === "waiting" && run.waitsFor?.startsWith("a commit ") === true) this.git.commitOnMain((files) => files.set(`${folder}-gate.txt`, `${helps}\n`), run.plan.phases[run.phase]!.gate.commit!);
      else if (run.state === "waiting") {
        if (run.waitsFor?.startsWith("green tests") === true) this.#mend(folder);
        this.#ask("approve", ({ plans }) => plans!.approve(run.planId, BY));
      } else {
        if (helps > HELPS_MAX / 2) this.#mend(folder);
        this.#ask("resume", ({ plans }) => plans!.resume(run.planId, { task: null, note: "all is well again", by: BY }));
      }
    }
    if (!this.isOver()) this.#deps.timeline.after(LOOK_MS, () => this.#look());
  }

  /** A person takes out what is bad on the branch. */
  #mend(folder: string): void {
    this.git.commitOnMain((files) => {
      for (const [path, text] of files) if (path.startsWith(`${folder}/`) && text.includes("bad")) files.set(path, "good, mended by a person\n");
    }, "mended");
  }
}

/** A seed for ids of a process's plans. */
export function planIdsSeed(seed: number, process: number): number {
  return hashOf(`${seed}/ids of plans/${process}`);
}
