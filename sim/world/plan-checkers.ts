/**
 * What must be true of plans, from what git itself shows: which commits landed when, which worktrees
 * were made on what, and which are there at the end. The gateway's own rows say only what it believes.
 */
import type { JsonObject } from "../../src/base/json.ts";
import type { Merge } from "../../src/model/merge.ts";
import { MERGE_AT_REST } from "../../src/model/merge.ts";
import { claimsOverlap } from "../../src/model/path-claims.ts";
import type { PlanRun } from "../../src/model/plan-run.ts";
import { predecessors, type Plan } from "../../src/model/plan.ts";
import type { Workspace } from "../../src/model/workspace.ts";
import type { GitNews } from "./fake-git.ts";

/** What happened to plans, in order: git's own news, and what the tables told. */
export type PlanNews =
  | GitNews
  | { readonly kind: "plan.started" | "plan.task" | "plan.signal" | "plan.phase" | "plan.waiting" | "plan.ended" | `workspace.${string}` | `merge.${string}`; readonly data: JsonObject }
  /** A person put a merge back in line. */
  | { readonly kind: "retried"; readonly merge: string }
  /** Of a child that works on a plan; `key` is `<plan>/<task>/<what for>`. */
  | { readonly kind: "task.accepted" | "task.ended"; readonly taskId: string; readonly key: string; readonly data: JsonObject };

export interface SeenPlan {
  /** As whoever wrote it meant it. */
  readonly plan: Plan;
  readonly mode: "parallel" | "sequential" | null;
  readonly run: PlanRun;
}

export interface SeenPlans {
  readonly plans: readonly SeenPlan[];
  readonly news: readonly PlanNews[];
  /** Folders of the worktrees that git knows of at the end. */
  readonly worktrees: readonly string[];
  /** Folders that are there at the end. */
  readonly folders: readonly string[];
  readonly workspaces: readonly Workspace[];
  readonly merges: readonly Merge[];
  /** What people took back, and is on the branch again. */
  readonly backAgain: readonly string[];
  /** What landed, and its workspace could not claim just then. */
  readonly outside: readonly string[];
  readonly isOver: boolean;
}

export type PlanChecker = (seen: SeenPlans) => string[];

export const PLAN_CHECKERS: Readonly<Record<string, PlanChecker>> = {
  doneHasLanded,
  workLandsOnce,
  takenBackIsGone,
  landsInsideItsClaim,
  tasksWaitForWhatTheyNeed,
  cancelledPlansRest,
  oneChildAtATime,
  clashesAreApart,
  stuckForAReason,
  nothingIsLeftBehind,
};

export function checkPlans(seen: SeenPlans): string[] {
  return Object.entries(PLAN_CHECKERS).flatMap(([name, check]) => check(seen).map((violation) => `${name}: ${violation}`));
}

/** A task is called done when its work is on the branch, and a plan when all of its tasks are. */
export function doneHasLanded({ plans, news }: SeenPlans): string[] {
  const violations: string[] = [];
  const landed = new Set<string>();
  for (const one of news) {
    if (one.kind === "ref") for (const { plan, task, changed } of one.landed) {
      landed.add(`${plan}/${task}`);
      if (changed.length === 0) violations.push(`what landed of ${plan}/${task} changes nothing`);
    }
    if (one.kind === "plan.task" && one.data["state"] === "done" && !landed.has(nameOf(one.data))) violations.push(`${nameOf(one.data)} is done, and nothing of it is on the branch`);
    if (one.kind !== "plan.ended" || one.data["state"] !== "done") continue;
    const seen = plans.find(({ run }) => run.planId === one.data["planId"]);
    for (const { id } of seen?.plan.tasks ?? []) if (!landed.has(`${String(one.data["planId"])}/${id}`)) violations.push(`${String(one.data["planId"])} is done without ${id}`);
  }
  return violations;
}

/** The work of each task comes to the branch once; again only when people took it back and put it in line again, or when the queue itself took it back because no checkout could follow. */
export function workLandsOnce({ news }: SeenPlans): string[] {
  const violations: string[] = [];
  const moves: Extract<PlanNews, { readonly kind: "ref" }>[] = [];
  /** By merge, the task whose work it brought. */
  const there = new Map<unknown, string>();
  const takenBack = new Set<unknown>();
  for (const one of news) {
    if (one.kind === "merge.undone") {
      there.delete(one.data["merge"]);
      takenBack.add(one.data["merge"]);
    }
    if (one.kind === "retried") takenBack.delete(one.merge);
    if (one.kind !== "ref") continue;
    const taken = moves.find(({ ref, from, to }) => ref === one.ref && from === one.to && to === one.from);
    for (const { merge } of taken?.landed ?? []) there.delete(merge);
    for (const { plan, task, merge } of one.landed) {
      if ([...there.values()].includes(`${plan}/${task}`)) violations.push(`the work of ${plan}/${task} landed although it is there`);
      if (takenBack.has(merge)) violations.push(`the work of ${plan}/${task} was taken back, and landed again by itself`);
      there.set(merge, `${plan}/${task}`);
    }
    moves.push(one);
  }
  return violations;
}

/** Tasks, as `<plan>/<task>`, whose work people took back. */
function takenBackIn(news: readonly PlanNews[]): ReadonlySet<string> {
  const taskOf = new Map<unknown, string>();
  const tasks = new Set<string>();
  for (const one of news) {
    if (one.kind === "ref") for (const { plan, task, merge } of one.landed) taskOf.set(merge, `${plan}/${task}`);
    const task = one.kind === "merge.undone" ? taskOf.get(one.data["merge"]) : undefined;
    if (task !== undefined) tasks.add(task);
  }
  return tasks;
}

/** What people took back does not come back with somebody else's work. */
export function takenBackIsGone({ backAgain }: SeenPlans): string[] {
  return backAgain.map((what) => `${what} was taken back, and is on the branch`);
}

/** Nothing lands that its workspace might not change. */
export function landsInsideItsClaim({ outside }: SeenPlans): string[] {
  return outside.map((what) => `${what} landed outside of its claim`);
}

/** No agent begins before all that its task needs is on the branch, and its worktree holds it, unless the commit that it begins on clashes with that. */
export function tasksWaitForWhatTheyNeed({ plans, news }: SeenPlans): string[] {
  const violations: string[] = [];
  const landed = new Set<string>();
  const takenBack = takenBackIn(news);
  const labels = new Map(news.flatMap((one) => (one.kind === "workspace.making" ? [[String(one.data["workspace"]), String(one.data["label"])] as const] : [])));
  const needed = new Map<string, readonly string[]>(plans.flatMap(({ plan, run }) => {
    const before = predecessors(plan);
    return plan.tasks.map(({ id, when, phase }) => [`${run.planId}/${id}`, [...before.get(id)!].filter((other) => other !== when?.task && (when === null || isNeeded(plan, id, other, phase))).map((other) => `${run.planId}/${other}`)] as const);
  }));
  for (const one of news) {
    if (one.kind === "ref") for (const { plan, task } of one.landed) landed.add(`${plan}/${task}`);
    if (one.kind === "task.accepted") {
      const name = one.key.split("/").slice(0, 2).join("/");
      for (const other of needed.get(name) ?? []) if (!landed.has(other)) violations.push(`an agent began on ${name} before ${other} was on the branch`);
    }
    if (one.kind === "worktree" && !one.clashesWithBranch) {
      const label = labels.get(one.dir.slice(one.dir.lastIndexOf("/") + 1)) ?? "";
      for (const other of needed.get(label) ?? []) if (!one.holds.includes(other) && !takenBack.has(other)) violations.push(`the worktree of ${label} was made without ${other}`);
    }
  }
  return violations;
}

/** What a task that begins on another's commit needs besides: its own `after`, and all of earlier phases. */
function isNeeded(plan: Plan, id: string, other: string, phase: number): boolean {
  return plan.tasks.find((task) => task.id === id)!.after.includes(other) || plan.tasks.find((task) => task.id === other)!.phase < phase;
}

/** After its cancel no agent of a plan begins, and nothing of it lands but what had the right to, or what a person puts back in line. */
export function cancelledPlansRest({ news }: SeenPlans): string[] {
  const violations: string[] = [];
  const cancelled = new Set<string>();
  const mayLand = new Set<unknown>();
  /** By merge, the plans that were cancelled when it was given the right to move the branch. */
  const advancing = new Map<unknown, ReadonlySet<string>>();
  for (const one of news) {
    // Of which plan it is shows when it has landed.
    if (one.kind === "merge.advancing") advancing.set(one.data["merge"], new Set(cancelled));
    if (one.kind === "retried") mayLand.add(one.merge);
    if (one.kind === "plan.ended" && one.data["state"] === "cancelled") cancelled.add(String(one.data["planId"]));
    if (one.kind === "task.accepted" && cancelled.has(one.key.split("/")[0]!)) violations.push(`an agent began on ${one.key} after its plan was cancelled`);
    if (one.kind === "ref") for (const { plan, task, merge } of one.landed) if (cancelled.has(plan) && !mayLand.has(merge) && advancing.get(merge)?.has(plan) !== false) violations.push(`${plan}/${task} landed after its plan was cancelled`);
  }
  return violations;
}

/** A task has one agent at a time, and each attempt has one. */
export function oneChildAtATime({ news }: SeenPlans): string[] {
  const violations: string[] = [];
  const active = new Map<string, string>();
  const keys = new Set<string>();
  for (const one of news) {
    if (one.kind !== "task.accepted" && one.kind !== "task.ended") continue;
    const name = one.key.split("/").slice(0, 2).join("/");
    if (one.kind === "task.ended") {
      if (active.get(name) === one.taskId) active.delete(name);
      continue;
    }
    if (keys.has(one.key)) violations.push(`${one.key} has two agents`);
    keys.add(one.key);
    if (active.has(name)) violations.push(`${one.taskId} began on ${name} beside ${active.get(name)}`);
    active.set(name, one.taskId);
  }
  return violations;
}

/** Two tasks that own the same never have agents at once, unless a person wanted all side by side. */
export function clashesAreApart({ plans, news }: SeenPlans): string[] {
  const violations: string[] = [];
  const active = new Map<string, string>();
  for (const one of news) {
    if (one.kind === "task.ended") active.delete(one.taskId);
    if (one.kind !== "task.accepted") continue;
    const [planId, task] = one.key.split("/") as [string, string];
    const seen = plans.find(({ run }) => run.planId === planId);
    const ownedBy = (id: string): readonly string[] => seen?.plan.tasks.find((each) => each.id === id)?.owns ?? [];
    for (const other of active.values()) {
      const [otherPlan, otherTask] = other.split("/") as [string, string];
      if (otherPlan !== planId || otherTask === task || seen?.mode === "parallel") continue;
      if (ownedBy(task).some((claim) => ownedBy(otherTask).some((theirs) => claimsOverlap(claim, theirs)))) violations.push(`${task} and ${otherTask} of ${planId} are worked on at once, and own the same`);
    }
    active.set(one.taskId, one.key);
  }
  return violations;
}

/** A person is asked for help with the work, not with what the gateway did itself. */
export function stuckForAReason({ news }: SeenPlans): string[] {
  return news.flatMap((one) => {
    if (one.kind !== "plan.task" && one.kind !== "plan.waiting") return [];
    const problem = String(one.data["problem"] ?? one.data["waitsFor"] ?? "");
    return /was handed over: epoch|and this needs one that is|waits in line already|TypeError|INTERNAL/.test(problem) ? [`${nameOf(one.data)} waits for a person: ${problem.slice(0, 200)}`] : [];
  });
}

/** When all plans are over, their worktrees are gone, and nothing is half done. */
export function nothingIsLeftBehind({ worktrees, folders, workspaces, merges, isOver }: SeenPlans): string[] {
  if (!isOver) return [];
  const of = (dir: string): string => {
    const row = workspaces.find((one) => one.dir === dir);
    return row === undefined ? `${dir}, which no row knows` : `${dir} (${row.label}, ${row.state}${row.problem === null ? "" : `: ${row.problem}`})`;
  };
  return [
    ...worktrees.map((dir) => `the worktree ${of(dir)} is left`),
    ...folders.filter((dir) => !worktrees.includes(dir)).map((dir) => `the folder ${of(dir)} is left`),
    ...workspaces.filter(({ state }) => state === "making" || state === "removing" || state === "ready").map(({ label, state, dir }) => `the workspace ${label} at ${dir} is still ${state}`),
    ...merges.filter(({ state }) => !MERGE_AT_REST.includes(state)).map(({ id, state }) => `${id} is still ${state}`),
  ];
}

function nameOf(data: JsonObject): string {
  return `${String(data["planId"])}/${String(data["task"])}`;
}
