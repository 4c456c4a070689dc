/**
 * A job: a named timer that becomes messages, and its occurrences.
 *
 *     active ──pause──▶ paused ──resume──▶ active
 *        ├──its moment is over, or its plan is done──▶ done
 *        └──errors that do not pass, or no next time──▶ disabled ──resume──▶ active
 *
 * An occurrence is one moment of a job, a row whatever becomes of it:
 *
 *     running ──turn ends──▶ ran | failed | cancelled
 *        │ ▲ └──a newer one takes its place──▶ superseded
 *  failed│ │due again, or the one before it is complete
 *        ▼ │
 *     waiting
 *     skipped | missed | superseded      never ran; `reason` says why
 *
 * That the turn is over (`endedAt`) and that all it set going is over (`completedAt`) are two things:
 * a run that spawned eight children is complete when the eight have ended.
 */
import type { JobId, MessageId, RunId, SessionKey, TaskId } from "../base/ids.ts";
import type { FaultRecord } from "./faults.ts";

export const JOB_STATES = ["active", "paused", "disabled", "done"] as const;
export type JobState = (typeof JOB_STATES)[number];

export const RUN_STATES = ["waiting", "running", "ran", "failed", "cancelled", "skipped", "missed", "superseded"] as const;
export type RunState = (typeof RUN_STATES)[number];

/** When a job is due. The last two are set off by something that happens, not by the clock. */
export type Schedule =
  | { readonly kind: "at"; readonly at: number }
  | { readonly kind: "every"; readonly everyMs: number }
  | { readonly kind: "cron"; readonly expr: string; readonly tz: string }
  /** A spawned task with this label ended; null = any. */
  | { readonly kind: "task"; readonly label: string | null }
  /** A file came, went or changed; also a branch, as the name of a ref in a repository. */
  | { readonly kind: "file"; readonly path: string; readonly ref: string | null };

export const WATCHDOG_ACTIONS = ["surface", "retry", "cancel-and-retry"] as const;
export type WatchdogAction = (typeof WATCHDOG_ACTIONS)[number];

export type WatchTarget = { readonly task: TaskId } | { readonly label: string } | { readonly session: SessionKey };

export type Payload =
  | { readonly kind: "systemEvent"; readonly text: string }
  | { readonly kind: "agentTurn"; readonly message: string; readonly model: string | null }
  | { readonly kind: "watchdog"; readonly target: WatchTarget; readonly action: WatchdogAction; readonly text: string | null }
  | { readonly kind: "heartbeat"; readonly quietToken: string; readonly model: string | null }
  | { readonly kind: "iterate"; readonly folder: string; readonly plan: string; readonly message: string | null; readonly model: string | null };

/** Where a run works: the agent's own session, a fresh one each time, one of the job's own, or a named one. */
export type RunTarget = { readonly kind: "main" } | { readonly kind: "isolated" } | { readonly kind: "job" } | { readonly kind: "session"; readonly session: SessionKey } | { readonly kind: "label"; readonly label: string };

/** What becomes of moments that passed while nobody could run them. */
export type Misfire =
  | { readonly policy: "skip" }
  /** Only the newest is run, unless it is older than the grace. */
  | { readonly policy: "latest"; readonly graceMs: number }
  /** The newest `max` are run, one after the other. */
  | { readonly policy: "all"; readonly max: number };

/** A gateway that was busy, or asleep for a moment, is not late, milliseconds. */
export const ON_TIME_MS = 30_000;

/** How late a single moment may be run, milliseconds. */
export function graceOf(misfire: Misfire): number {
  return misfire.policy === "all" ? Infinity : misfire.policy === "latest" ? Math.max(misfire.graceMs, ON_TIME_MS) : ON_TIME_MS;
}

/** What to do when a run is due and the one before it is not complete. */
export const OVERLAPS = ["skip", "queue", "cancel"] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** Hours of the day in the job's zone, minutes since midnight; `to` before `from` goes over midnight. */
export interface ActiveHours {
  readonly from: number;
  readonly to: number;
  readonly tz: string;
}

export interface JobSpec {
  readonly name: string;
  readonly agent: string;
  readonly schedule: Schedule;
  readonly payload: Payload;
  readonly target: RunTarget;
  readonly misfire: Misfire;
  readonly overlap: Overlap;
  /** Runs that fall on a full hour start up to this much later, always the same for one job. */
  readonly staggerMs: number;
  readonly activeHours: ActiveHours | null;
  /** How the result reaches somebody: not at all, as a notice in a session (and so in its channel), or posted to a web address. */
  readonly delivery: { readonly mode: "none" } | { readonly mode: "notice"; readonly session: SessionKey } | { readonly mode: "webhook"; readonly url: string };
}

export interface Job {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly origin: "made" | "config";
  readonly state: JobState;
  /** Why it is disabled or done. */
  readonly why: string | null;
  /** The next occurrence; null for jobs that wait for something to happen, and those that are not active. */
  readonly nextFor: number | null;
  /** When that is run: its moment and its stagger. */
  readonly dueAt: number | null;
  /** The newest moment that has its row. */
  readonly lastFor: number | null;
  /** What a watched file was like; for a job that waits for tasks, since when. */
  readonly fingerprint: string | null;
  readonly failures: number;
  readonly createdAt: number;
}

export interface Run {
  readonly id: RunId;
  readonly jobId: JobId;
  readonly scheduledFor: number;
  /** What set it off besides the clock: `manual`, `task:<id>`, `file:<fingerprint>`. */
  readonly source: string | null;
  /** For a long stretch of missed moments: where it ends. */
  readonly until: number;
  readonly state: RunState;
  readonly reason: string | null;
  readonly attempt: number;
  readonly retryAt: number | null;
  readonly session: SessionKey | null;
  readonly messageId: MessageId | null;
  readonly firedAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly completedAt: number | null;
  readonly spawned: number;
  readonly shipped: number;
  readonly result: string | null;
  readonly fault: FaultRecord | null;
}

/** One piece of work of a plan that a run may claim. */
export interface PlanItem {
  readonly item: string;
  readonly text: string;
}

/** What a run does, decided before its transaction. */
export type RunPlan =
  | { readonly kind: "message"; readonly text: string; readonly model: string | null }
  /** The first item that no open run holds. */
  | { readonly kind: "item"; readonly folder: string; readonly items: readonly PlanItem[]; readonly model: string | null }
  | { readonly kind: "watchdog"; readonly target: WatchTarget; readonly action: WatchdogAction; readonly text: string | null }
  | { readonly kind: "skip"; readonly reason: string };

/** A moment that is over without a run. */
export interface PassedMoment {
  readonly scheduledFor: number;
  readonly until: number;
  readonly state: "missed" | "superseded";
  readonly reason: string;
}

export interface Firing {
  readonly jobId: JobId;
  /** The job's `nextFor` when this was decided; when it is another by now, nothing is written. */
  readonly expected: number | null;
  readonly passed: readonly PassedMoment[];
  readonly run: { readonly scheduledFor: number; readonly source: string | null; readonly plan: RunPlan; readonly queue: boolean } | null;
  readonly next: { readonly nextFor: number; readonly dueAt: number } | null;
  /** What a watched file is like now. */
  readonly fingerprint?: string | null;
  /** Set: the job is over, for this reason. */
  readonly done?: string;
  readonly rules: RunRules;
}

/** Settings that decide what becomes of failures. */
export interface RunRules {
  /** For estimates, milliseconds. */
  readonly meanTurnMs: number;
  readonly retriesMax: number;
  readonly backoffMs: number;
  /** Failures in a row that raise an alert; 0 = none. */
  readonly alertAfter: number;
  readonly alertCooldownMs: number;
  /** Errors in a row that will not pass by themselves, after which the job is switched off; 0 = never. */
  readonly disableAfter: number;
}

export const JOB_NAME_LENGTH_MAX = 100;
/** Shortest interval, milliseconds. */
export const EVERY_MIN_MS = 1_000;
/** Runs of one job that may wait for the one before; further ones are skipped. */
export const WAITING_RUNS_MAX = 100;
/** Characters of a run's result that its row keeps. */
export const RUN_RESULT_LENGTH_MAX = 2_000;
