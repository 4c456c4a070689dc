/**
 * A delivery: the result of one child, or of one run of a job, on its way to a web address, and its life.
 *
 *     prepared ──claim──▶ dispatching ──▶ delivered        the receiver took it
 *        ▲                    ├─────────▶ rejected         it said no for good, or was never reached
 *        └──later, or a crash─┤
 *                             └─────────▶ unknown          given up, and it may have arrived
 *
 * Always true: the id is the same for every attempt, so that a receiver can drop a second copy; the
 * address is that of the spawn or the job; what is delivered is never sent again.
 */
import type { RunId, TaskId } from "../base/ids.ts";

export const DELIVERY_STATES = ["prepared", "dispatching", "delivered", "rejected", "unknown"] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

export interface Delivery {
  readonly deliveryId: string;
  /** Whose result it is: a task's, or a run's of a job. */
  readonly taskId: TaskId | null;
  readonly runId: RunId | null;
  readonly url: string;
  readonly state: DeliveryState;
  readonly attempts: number;
  /** When the next attempt falls due; null when none will. */
  readonly nextAt: number | null;
  /** The receiver's last answer. */
  readonly httpStatus: number | null;
  readonly problem: string | null;
  readonly createdAt: number;
  readonly endedAt: number | null;
}

/** What an attempt came to. `inDoubt`: the request may have been taken although no answer said so. */
export type AttemptEnd =
  | { readonly outcome: "delivered"; readonly httpStatus: number }
  | { readonly outcome: "rejected"; readonly httpStatus: number | null; readonly problem: string }
  | { readonly outcome: "later"; readonly afterMs: number; readonly httpStatus: number | null; readonly problem: string; readonly inDoubt: boolean }
  | { readonly outcome: "given up"; readonly httpStatus: number | null; readonly problem: string; readonly inDoubt: boolean };
