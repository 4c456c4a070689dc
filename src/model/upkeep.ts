/** Upkeep: what the gateway does for itself again and again, without any model. Each piece is shown as a built-in job. */
import type { RunId } from "../base/ids.ts";
import type { FaultRecord } from "./faults.ts";

/** How the names of built-in jobs begin; no other job's may. */
export const BUILT_IN_PREFIX = "yard:";

/** Rows that the history of one built-in job has at most. */
export const UPKEEP_RUNS_MAX = 1_000;

export interface UpkeepTask {
  /** Begins with {@link BUILT_IN_PREFIX}. */
  readonly name: string;
  /** What it does, in one line. */
  readonly about: string;
  /** The key of the setting that says how often; null = that is fixed. */
  readonly setting: string | null;
  /** Whether it also goes on by itself in safe mode. */
  readonly inSafeMode: boolean;
  /** From the start to the first time; absent = one interval, milliseconds. */
  readonly firstMs?: number;
  /** From one end to the next time, milliseconds; 0 = only by hand. */
  everyMs(): number;
  /** The wall time before which it is not due, for what others may have done in its place. */
  dueAt?(): Promise<number>;
  /** @returns what was done, in a few words; null = there was nothing to do. @throws {Fault} as its work does. */
  run(signal: AbortSignal): Promise<string | null>;
}

/** One time that it ran. Kept in the history when it did something, failed, or was asked for by hand. */
export interface UpkeepRun {
  readonly id: RunId;
  readonly task: string;
  readonly source: "manual" | null;
  readonly startedAt: number;
  /** Null while it is at work. */
  readonly endedAt: number | null;
  readonly result: string | null;
  readonly fault: FaultRecord | null;
}
