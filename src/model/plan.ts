/**
 * Plans: work on one repository as a graph of tasks in phases.
 *
 * A task owns paths, may wait for others (`after`) or for a commit of another (`when`), and lies in
 * one phase. A phase begins when the one before it is over and its gate has opened. Both kinds of
 * plan file, PLAN.md and plan.yaml, are read into this one shape.
 */

export const PLAN_TASKS_MAX = 200;
export const PLAN_PHASES_MAX = 50;
export const PLAN_STEPS_MAX = 200;
/** Paths that all tasks own together, each alternative in braces counted. */
export const PLAN_PATTERNS_MAX = 1_000;
export const PLAN_BYTES_MAX = 262_144;
/** The longest a task may be said to take, minutes. */
export const SIZE_MINUTES_MAX = 7 * 24 * 60;

/** A line of a task's checklist. */
export interface PlanStep {
  readonly text: string;
  /** Ticked in the file already. */
  readonly done: boolean;
}

/** What a task may spend. */
export interface PlanBudget {
  readonly tokens: number | null;
  readonly calls: number | null;
  /** US dollars. */
  readonly money: number | null;
}

export interface PlanTask {
  readonly id: string;
  readonly title: string;
  /** What stands below its heading, besides the checklist. */
  readonly text: string;
  readonly phase: number;
  /** Claims on paths, see path-claims.ts. None = it does not say what it changes. */
  readonly owns: readonly string[];
  /** Ids of tasks that must be merged before it begins. */
  readonly after: readonly string[];
  /** It begins on the first commit of another task whose subject begins with `commit`. */
  readonly when: { readonly task: string; readonly commit: string } | null;
  readonly agent: string | null;
  /** An external coding agent instead of an agent of the gateway. */
  readonly harness: string | null;
  readonly model: string | null;
  /** How long it takes one agent; null = not said. */
  readonly minutes: number | null;
  /** A line for the shell, run by the gateway in the task's workspace. */
  readonly tests: string | null;
  readonly budget: PlanBudget | null;
  readonly steps: readonly PlanStep[];
  /** Where it stands in its file. */
  readonly line: number;
}

/** What must hold at the end of a phase, besides that all its tasks are merged. */
export interface PlanGate {
  readonly tests: string | null;
  /** A commit on the integration branch whose subject begins with this. */
  readonly commit: string | null;
  /** A person has to say yes. */
  readonly approval: boolean;
}

export interface PlanPhase {
  readonly name: string;
  readonly gate: PlanGate;
  readonly line: number;
}

export interface Plan {
  readonly title: string;
  /** Branch, tag or commit to begin on; null = the branch that is checked out. */
  readonly base: string | null;
  /** The integration branch; null = `base`. */
  readonly onto: string | null;
  /** Run on the merged result after every merge. */
  readonly tests: string | null;
  /** Run in each new workspace. */
  readonly setup: string | null;
  /** Ignored files that each workspace gets a copy of. */
  readonly copy: readonly string[];
  /** The most agents at once; null = as the settings say. */
  readonly agents: number | null;
  /** Whether somebody has time to look; null = not said. */
  readonly watched: boolean | null;
  readonly phases: readonly PlanPhase[];
  readonly tasks: readonly PlanTask[];
}

/** One thing that is wrong with a plan file: where, what, how to mend it. */
export interface PlanProblem {
  readonly file: string;
  readonly line: number;
  readonly what: string;
  readonly mend: string;
}

/** What a task waits for by itself, without the phases. */
export function waitsFor(task: PlanTask): readonly string[] {
  return task.when === null ? task.after : [...new Set([...task.after, task.when.task])];
}

/**
 * For each task, every task that must come before it: by `after` and `when`, through others, and by phase.
 * The graph must have no cycle.
 */
export function predecessors(plan: Plan): ReadonlyMap<string, ReadonlySet<string>> {
  const byId = new Map(plan.tasks.map((task) => [task.id, task]));
  const found = new Map<string, Set<string>>();
  const of = (task: PlanTask): Set<string> => {
    const known = found.get(task.id);
    if (known !== undefined) return known;
    const before = new Set(plan.tasks.filter((other) => other.phase < task.phase).map(({ id }) => id));
    found.set(task.id, before);
    for (const id of waitsFor(task)) {
      before.add(id);
      for (const further of of(byId.get(id)!)) before.add(further);
    }
    return before;
  };
  for (const task of plan.tasks) of(task);
  return found;
}

/** Pairs of tasks that may run at the same time. */
export function concurrentPairs(plan: Plan, tasks: readonly PlanTask[] = plan.tasks): readonly (readonly [PlanTask, PlanTask])[] {
  const before = predecessors(plan);
  return tasks.flatMap((a, index) =>
    tasks.slice(index + 1).flatMap((b) => (before.get(a.id)!.has(b.id) || before.get(b.id)!.has(a.id) ? [] : [[a, b] as const])),
  );
}
