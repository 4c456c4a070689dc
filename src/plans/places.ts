/** Which tasks of a plan take the place of an agent, and how many places there are: questions to the rows of its run. */
import type { PlanRun, PlanTaskRun, PlanTaskState } from "../model/plan-run.ts";
import type { PlanTask } from "../model/plan.ts";
import type { Workspace } from "../model/workspace.ts";
import type { Store } from "../store/store.ts";

/** Plans that go on at a time, at most. */
export const ACTIVE_PLANS_MAX = 1_000;

/** States in which an agent, or what is done for one, is at work. */
export const BUSY_STATES: readonly PlanTaskState[] = ["preparing", "working", "checking"];

export function taskOf(run: PlanRun, id: string): PlanTask {
  return run.plan.tasks.find((task) => task.id === id)!;
}

export function stateOf(run: PlanRun, id: string): PlanTaskState {
  return run.tasks.find((task) => task.id === id)!.state;
}

/** The task of a plan that goes on, in one of these states, whose work a workspace holds. */
export async function workIn(store: Pick<Store, "plans">, { id }: Workspace, states: readonly PlanTaskState[]): Promise<{ readonly run: PlanRun; readonly row: PlanTaskRun } | null> {
  const { plans } = await store.plans({ active: true, limit: ACTIVE_PLANS_MAX });
  for (const run of plans) {
    const row = run.tasks.find(({ workspace, state }) => workspace === id && states.includes(state));
    if (row !== undefined) return { run, row };
  }
  return null;
}

/** Work that began on another's commit is merged after that one. */
export function waitsForMerge(run: PlanRun, id: string): boolean {
  const { when } = taskOf(run, id);
  return when !== null && stateOf(run, when.task) !== "done";
}

/** How many agents may work on it at once. @param agentsMax  the most that the settings allow. */
export function placesIn(run: PlanRun, agentsMax: number): number {
  return isSequential(run) ? 1 : Math.min(run.plan.agents ?? Infinity, agentsMax);
}

/** Whether a task takes the place of an agent; what only waits for another's merge does not. */
export function takesPlace(run: PlanRun, { id, state }: PlanTaskRun): boolean {
  if (state === "merging") return isSequential(run);
  return BUSY_STATES.includes(state) && !(state === "checking" && waitsForMerge(run, id));
}

/** How many places are taken before it is the turn of a task that is preparing. @param isAtWork  whether work on a task has begun. */
export function placesBefore(run: PlanRun, { id }: PlanTaskRun, isAtWork: (id: string) => boolean): number {
  const at = run.tasks.findIndex((row) => row.id === id);
  return run.tasks.filter((row, n) => takesPlace(run, row) && (row.state !== "preparing" || n < at || isAtWork(row.id))).length;
}

function isSequential(run: PlanRun): boolean {
  const mode = run.mode ?? run.verdict.phases.find(({ name }) => name === run.plan.phases[run.phase]!.name)?.mode;
  return (mode ?? "sequential") === "sequential";
}
