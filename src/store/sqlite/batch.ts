/**
 * Group commit: verbs that wait together run in one transaction and become durable together.
 *
 * Each verb has a savepoint of its own, so one that fails takes nothing of the others with it.
 * Nothing is answered before the commit; when nothing was saved, every verb of the batch failed.
 */
import type { TurnId } from "../../base/ids.ts";
import type { YardEvent } from "../../model/event.ts";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import { clockWasFollowed, followClock } from "./clock-jump.ts";
import { storeFault } from "./storage-fault.ts";
import type { Kernel } from "./kernel.ts";
import { VERBS } from "./verbs.ts";

export interface VerbCall {
  readonly id: number;
  readonly verb: keyof typeof VERBS;
  readonly input: unknown;
}

export type VerbAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly fault: FaultRecord }
  | { readonly id: number; readonly defect: string };

export interface BatchAnswer {
  readonly answers: readonly VerbAnswer[];
  readonly events: readonly YardEvent[];
  readonly stopped: readonly TurnId[];
}

export function runBatch(k: Kernel, calls: readonly VerbCall[], file: string): BatchAnswer {
  let answers: readonly VerbAnswer[] | null = null;
  let followedAt: number | null = null;
  try {
    k.db.exec("BEGIN IMMEDIATE");
    followedAt = followClock(k);
    answers = calls.map((call) => runVerb(k, call, file));
    k.db.exec("COMMIT");
    k.clockFollowed();
    return { answers, ...k.takeNews() };
  } catch (cause) {
    if (k.db.isTransaction) k.db.exec("ROLLBACK");
    k.forget();
    const news = k.takeNews();
    const { saved, followed } = answers === null ? { saved: false, followed: false } : whatWasSaved(k, news.events, followedAt);
    if (saved || followed) k.clockFollowed();
    if (answers !== null && saved) return { answers, ...news };
    return { answers: calls.map(({ id }) => failed(id, cause, file)), events: [], stopped: [] };
  }
}

/**
 * A commit can report a failure and yet be on disk. Then readers must hear of it and started turns
 * must run, so the log is asked. A batch without events needs neither: its callers may try again.
 * Events that went with their session still count: no number is given twice.
 */
function whatWasSaved(k: Kernel, events: readonly YardEvent[], followedAt: number | null): { readonly saved: boolean; readonly followed: boolean } {
  try {
    return { saved: wasSaved(k, events), followed: clockWasFollowed(k, followedAt) };
  } catch {
    return { saved: false, followed: false }; // The database cannot be read: nobody can be told that anything was saved.
  }
}

function wasSaved(k: Kernel, events: readonly YardEvent[]): boolean {
  if (events.some(({ cursor, session, seq }) => k.get("SELECT 1 FROM event WHERE cursor = ? AND session = ? AND seq = ?", cursor, session, seq) !== undefined)) return true;
  const last = events.at(-1);
  return last !== undefined && k.get("SELECT 1 FROM sqlite_sequence WHERE name = 'event' AND seq = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE cursor = ?1)", last.cursor) !== undefined;
}

function runVerb(k: Kernel, { id, verb, input }: VerbCall, file: string): VerbAnswer {
  const mark = k.newsMark();
  k.db.exec("SAVEPOINT verb");
  try {
    const value = (VERBS[verb] as (k: Kernel, input: unknown) => unknown)(k, input);
    k.db.exec("RELEASE verb");
    return { id, value };
  } catch (cause) {
    // Some failures (a full disk) end the whole transaction; then there is no savepoint to go back to.
    if (!k.db.isTransaction) throw cause;
    k.db.exec("ROLLBACK TO verb; RELEASE verb");
    k.forgetNewsSince(mark);
    k.forget();
    return failed(id, cause, file);
  }
}

function failed(id: number, cause: unknown, file: string): VerbAnswer {
  const fault = storeFault(cause, file);
  if (fault instanceof Fault) return { id, fault: fault.toRecord() };
  return { id, defect: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) };
}
