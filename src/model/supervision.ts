/**
 * Supervision: what becomes of a child that hangs, fails or says nothing, and of its own children
 * when it ends first. A spawn names it; the gateway keeps it, whatever the models do.
 *
 *     attempt 1 ──fails──▶ back-off ──▶ attempt 2 ──fails──▶ … ──▶ the child fails, with its last fault
 *
 * All attempts are one child: one task, one session, one announcement. Its deadline counts over all
 * of them and is never a reason to try again.
 */
import type { FaultCode } from "./faults.ts";
import type { TurnRef } from "./turn.ts";

/** A child that says it is done while children of its own run: it stays until they end, or its parent gets them. */
export const ON_END = ["wait", "handUp"] as const;
export type OnEnd = (typeof ON_END)[number];

/** A claim that overlaps another: the child waits in line, or the spawn is refused. */
export const ON_CONFLICT = ["wait", "refuse"] as const;
export type OnConflict = (typeof ON_CONFLICT)[number];

export const ATTEMPTS_MAX = 20;
export const BACKOFF_SECONDS_MAX = 86_400;
/** Back-offs double up to this. */
const BACKOFF_GROWN_MAX_MS = 600_000;
export const CATEGORY_LENGTH_MAX = 100;

export interface Supervision {
  /** An attempt that brings nothing new for so long while it runs is over: no new result of a tool, and no changed file while one runs. Null = no such limit. */
  readonly progressSeconds: number | null;
  /** How often it is tried in all. */
  readonly attempts: number;
  /** Pause before the second attempt; it doubles with each further one. */
  readonly backoffSeconds: number;
  /** Model of the second attempt and those after it; null = the same. */
  readonly retryModel: string | null;
  /** The kind of task, for the circuit breaker of (agent, category); null = no breaker. */
  readonly category: string | null;
  /** So many failures in a row open the circuit; 0 = never. */
  readonly circuitFailures: number;
  readonly circuitOpenSeconds: number;
  readonly onEnd: OnEnd;
  readonly onConflict: OnConflict;
}

export const UNSUPERVISED: Supervision = {
  progressSeconds: null,
  attempts: 1,
  backoffSeconds: 0,
  retryModel: null,
  category: null,
  circuitFailures: 0,
  circuitOpenSeconds: 0,
  onEnd: "wait",
  onConflict: "wait",
};

/** A child that may be tried again is given up for this attempt after so many crashes of the gateway in a row without a new step. */
export const CRASHES_OF_ONE_ATTEMPT_MAX = 2;

/** A child that works gives its parent's log one sign of life in each stretch of so long. */
export const HEARTBEAT_MS = 30_000;

/** Pause before attempt `attempt` (2 = the first one that is made again), milliseconds. */
export function backoffMs(backoffSeconds: number, attempt: number): number {
  return Math.min(backoffSeconds * 1000 * 2 ** Math.min(Math.max(0, attempt - 2), 30), Math.max(BACKOFF_GROWN_MAX_MS, backoffSeconds * 1000));
}

/** How long a child whose steps stand still is left alone for an answer about its files, before it is asked about again. */
export const QUIET_LOOK_MS = 10_000;

/**
 * The turn of a child whose time for progress is over by its steps, while a call of a tool runs that
 * may still bring something: whether it really stands still shows in its files.
 */
export interface QuietTurn extends TurnRef {
  /** When it last brought something new. */
  readonly since: number;
}

/** The newest change of a file that is not just output of a command. */
export interface FileChange {
  /** From the working folder. */
  readonly path: string;
  readonly at: number;
}

/** One try of a child that is over while the child goes on. */
export interface Attempt {
  readonly attempt: number;
  readonly model: string | null;
  readonly startedAt: number | null;
  readonly endedAt: number;
  readonly code: FaultCode;
  readonly message: string;
}
