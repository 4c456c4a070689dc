/**
 * A task: the record of one spawned child, and its life.
 *
 *     queued ──start──▶ running ◀──wake── waiting
 *        │                 │  └──yield──────▶ │
 *        │                 ▼                  ▼
 *        └──cancel──▶ succeeded | failed | timed_out | cancelled | lost       final: never changes again
 *
 *     running, waiting ──retry──▶ queued       an attempt failed and its policy has another
 */
import type { FlowId, PlanId, SessionKey, TaskId, TurnId } from "../base/ids.ts";
import type { Json, JsonObject } from "../base/json.ts";
import type { Budget, BudgetView } from "./budget.ts";
import type { Usage } from "./chat.ts";
import type { FaultRecord } from "./faults.ts";
import type { OnEnd, Supervision } from "./supervision.ts";

export const TASK_STATES = ["queued", "running", "waiting", "succeeded", "failed", "timed_out", "cancelled", "lost"] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const TASK_MOVES = {
  queued: { start: "running", retry: "queued", cancel: "cancelled", deadline: "timed_out", lose: "lost" },
  running: { yield: "waiting", retry: "queued", succeed: "succeeded", fail: "failed", cancel: "cancelled", deadline: "timed_out", lose: "lost" },
  waiting: { wake: "running", retry: "queued", succeed: "succeeded", fail: "failed", cancel: "cancelled", deadline: "timed_out", lose: "lost" },
  succeeded: {},
  failed: {},
  timed_out: {},
  cancelled: {},
  lost: {},
} as const satisfies Record<TaskState, Readonly<Record<string, TaskState>>>;

export function hasEnded(state: TaskState): boolean {
  return Object.keys(TASK_MOVES[state]).length === 0;
}

export const TASK_KINDS = ["subagent", "acp"] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

/**
 * Where a child's result goes: into a message to its parent, into a notice to the person, onto the
 * task board alone, or to a web address. A parent that waits for the child gets it in any case.
 */
export const DELIVERIES = ["digest", "notify", "board", "webhook"] as const;
export type Delivery = (typeof DELIVERIES)[number];

/** Largest task text, bytes of UTF-8. */
export const TASK_BYTES_MAX = 200_000;
export const LABEL_LENGTH_MAX = 100;

export interface NewSpawn {
  readonly task: string;
  readonly label: string | null;
  readonly parent: SessionKey | null;
  /** The parent's turn that asks; children of one turn are one flow. */
  readonly turnId: TurnId | null;
  readonly agent: string;
  readonly kind: TaskKind;
  readonly model: string | null;
  readonly context: "isolated" | "fork";
  readonly cwd: string | null;
  readonly deadlineSeconds: number | null;
  readonly delivery: Delivery;
  readonly cleanup: "keep" | "delete";
  readonly claims: readonly string[];
  /** The folder from which the paths of claims are read; set by the door. */
  readonly workspace?: string;
  /** What is not named comes from the settings. */
  readonly supervision?: Partial<Supervision>;
  /** The same key never spawns twice: the first task is returned. */
  readonly idempotencyKey: string | null;
  /** The plan that it works for; after the plan's end it is not admitted. */
  readonly plan?: PlanId;
  /** For `delivery: webhook`: where the result is posted. */
  readonly callback?: string | null;
  /** Children that were asked for together; those of one turn are a batch without it. */
  readonly batch?: string | null;
  /** What it may spend, with everything below it; set aside in its parent's budget. */
  readonly budget?: Budget;
  /** Its result must be JSON that fits this schema. */
  readonly outputSchema?: JsonObject;
}

/** Limits on a spawn, from settings, at the moment it is asked for. */
export interface SpawnLimits {
  readonly depthMax: number;
  /** Children of one session that may be active at once; further ones wait in line. */
  readonly childrenMax: number;
  /** What a tree may spend when settings say so; only its `children` count here. */
  readonly tree?: Budget;
}

export interface Task {
  readonly taskId: TaskId;
  readonly flowId: FlowId;
  readonly label: string;
  readonly task: string;
  readonly kind: TaskKind;
  readonly state: TaskState;
  readonly parentSession: SessionKey | null;
  readonly parentTask: TaskId | null;
  readonly session: SessionKey;
  readonly agent: string;
  readonly model: string | null;
  readonly depth: number;
  readonly delivery: Delivery;
  readonly queuedAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly deadlineAt: number | null;
  readonly result: string | null;
  readonly fault: FaultRecord | null;
  readonly usage: Usage;
  readonly claims: readonly string[];
  /** What is left of its own budget; null when it has none. */
  readonly budget: BudgetView | null;
  /** Its result as JSON, for a child that had to fit a schema. */
  readonly output: Json | null;
  /** When a step of its present attempt last ended; null before the first, and once it has ended. */
  readonly aliveAt: number | null;
  /** 1 for the first; grows with each retry. */
  readonly attempt: number;
  /** The last attempt that its policy allows. */
  readonly attemptLast: number;
  readonly onEnd: OnEnd;
  readonly category: string | null;
  /** Names the children that were asked for together; null for one that was asked for alone. */
  readonly batch: string | null;
  /** When its result first reached somebody. */
  readonly deliveredAt: number | null;
}
