/**
 * The run of a plan, and of each of its tasks.
 *
 *     run:   running ◀──▶ waiting    a gate asks a person
 *               │   ◀──▶ stuck      nothing can go on until a person resumes a task
 *               └──▶ done | cancelled
 *
 *     task:  waiting ──start──▶ preparing ──▶ working ──end──▶ checking ──▶ merging ──▶ done
 *                                   │  ▲        │ │               │            │
 *                                   │  └──again─┼─┼───────────────┴────────────┤
 *                                   └───────────┴─┴──────▶ stuck ◀─────────────┘
 *                                                            └──resume──▶ working (a successor, same workspace)
 *
 * What runs next is decided from these rows alone, so that a run goes on after any crash. A task is
 * done when its work is merged, and it is merged only with evidence.
 */
import type { MergeId, PlanId, SessionKey, TaskId, WorkspaceId } from "../base/ids.ts";
import type { TestEvidence } from "./merge.ts";
import type { Plan } from "./plan.ts";
import type { Verdict } from "./verdict.ts";

export const PLAN_STATES = ["running", "waiting", "stuck", "done", "cancelled"] as const;
export type PlanState = (typeof PLAN_STATES)[number];

export const PLAN_TASK_STATES = ["waiting", "preparing", "working", "checking", "merging", "done", "stuck", "cancelled"] as const;
export type PlanTaskState = (typeof PLAN_TASK_STATES)[number];

/** Every legal move of a task. */
export const PLAN_TASK_MOVES = {
  waiting: { start: "preparing", cancel: "cancelled" },
  preparing: { spawn: "working", stick: "stuck", cancel: "cancelled" },
  working: { end: "checking", again: "preparing", stick: "stuck", cancel: "cancelled" },
  checking: { offer: "merging", again: "preparing", stick: "stuck", cancel: "cancelled" },
  merging: { land: "done", again: "preparing", stick: "stuck", cancel: "cancelled" },
  stuck: { resume: "preparing", offered: "merging", cancel: "cancelled" },
  done: {},
  cancelled: {},
} as const satisfies Record<PlanTaskState, Readonly<Record<string, PlanTaskState>>>;

export function mayMove(from: PlanTaskState, to: PlanTaskState): boolean {
  return (Object.values(PLAN_TASK_MOVES[from]) as readonly PlanTaskState[]).includes(to);
}

/** What an agent says of its own work. DONE is only heard; the evidence decides. */
export interface PlanSignal {
  readonly kind: "done" | "stuck";
  readonly reason: string | null;
  /** Numbers of checklist items that it says are done. */
  readonly steps: readonly number[];
  readonly by: "tool" | "file" | "trailer" | "answer";
  readonly at: number;
}

/** What the gateway itself found in a task's workspace. */
export interface PlanEvidence {
  readonly head: string;
  /** Subjects of its commits, oldest first. */
  readonly commits: readonly string[];
  readonly changed: readonly string[];
  /** Changed files outside of what it owns. */
  readonly outside: readonly string[];
  readonly tests: TestEvidence | null;
  readonly steps: readonly { readonly text: string; readonly ticked: boolean }[];
  /** What is missing; empty = it may be merged. */
  readonly missing: readonly string[];
  readonly at: number;
}

export interface PlanTaskRun {
  readonly id: string;
  readonly state: PlanTaskState;
  /** Agents that were put to work on it so far. */
  readonly attempt: number;
  /** The child that works on it, or did last. */
  readonly childTask: TaskId | null;
  readonly childSession: SessionKey | null;
  readonly workspace: WorkspaceId | null;
  readonly epoch: number;
  readonly merge: MergeId | null;
  readonly signal: PlanSignal | null;
  readonly evidence: PlanEvidence | null;
  /** Why it is stuck. */
  readonly problem: string | null;
  /** What a successor is told: why others stopped, what a person said. */
  readonly learned: readonly string[];
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}

export interface PlanRun {
  readonly planId: PlanId;
  readonly state: PlanState;
  readonly plan: Plan;
  readonly file: string;
  readonly verdict: Verdict;
  /** Top of the repository, absolute. */
  readonly repository: string;
  /** The commit that the run began on. */
  readonly base: string;
  /** The integration branch. */
  readonly onto: string;
  /** Where its events and notices go. */
  readonly session: SessionKey;
  /** Runs tasks one after the other, or side by side, whatever the verdict; null = as the verdict says. */
  readonly mode: "sequential" | "parallel" | null;
  /** Index of the phase that runs. */
  readonly phase: number;
  /** What the gate of that phase waits for. */
  readonly waitsFor: string | null;
  readonly problem: string | null;
  /** Evidence of the gates that opened. */
  readonly gates: readonly { readonly phase: number; readonly tests: TestEvidence | null; readonly approvedBy: string | null; readonly at: number }[];
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly tasks: readonly PlanTaskRun[];
}

export type PlanTaskChange = Partial<Omit<PlanTaskRun, "id" | "state">>;
export type PlanChange = Partial<Pick<PlanRun, "phase" | "waitsFor" | "problem" | "gates" | "endedAt">>;
