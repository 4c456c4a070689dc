/**
 * The ground that all verbs stand on: one connection, prepared statements by text, the clock, the
 * ids, and what a transaction has to tell the outside once it is committed.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { IdMaker, type RandomBytes, type SessionKey, type TurnId } from "../../base/ids.ts";
import type { NewEvent, YardEvent } from "../../model/event.ts";

export type Row = Record<string, any>;

export class Kernel {
  readonly db: DatabaseSync;
  readonly ids: IdMaker;
  readonly #now: () => number;
  readonly #statements = new Map<string, StatementSync>();
  #events: YardEvent[] = [];
  #stopped: TurnId[] = [];

  constructor(db: DatabaseSync, now: () => number, random: RandomBytes) {
    this.db = db;
    this.#now = now;
    this.ids = new IdMaker(random);
  }

  /** Wall time, whole milliseconds. */
  now(): number {
    return Math.floor(this.#now());
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values) as Row | undefined;
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  /** How many rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  count(sql: string, ...values: SQLInputValue[]): number {
    return Number(Object.values(this.get(sql, ...values)!)[0]);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Appends events to a session's log, with the next numbers. */
  emit(session: SessionKey, ...events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    const at = this.now();
    const lane = this.get("UPDATE lane SET last_seq = last_seq + ? WHERE session = ? RETURNING last_seq", events.length, session);
    if (lane === undefined) return; // the session was deleted; there is no log to write to
    let seq = lane["last_seq"] - events.length;
    for (const event of events) {
      seq++;
      const row = this.get(
        "INSERT INTO event (session, seq, at, type, turn_id, task_id, data) VALUES (?,?,?,?,?,?,?) RETURNING cursor",
        session, seq, at, event.type, event.turnId ?? null, event.taskId ?? null, JSON.stringify(event.data),
      )!;
      this.#events.push({
        seq,
        session,
        at,
        type: event.type,
        ...(event.turnId ? { turnId: event.turnId } : {}),
        ...(event.taskId ? { taskId: event.taskId } : {}),
        data: event.data,
        cursor: row["cursor"],
      });
    }
  }

  /** The turn's right to write is gone; whoever runs it is told after the commit. */
  stopped(turn: TurnId): void {
    this.#stopped.push(turn);
  }

  /** What the outside must be told of since the last call. */
  takeNews(): { events: YardEvent[]; stopped: TurnId[] } {
    const news = { events: this.#events, stopped: this.#stopped };
    this.#events = [];
    this.#stopped = [];
    return news;
  }

  /** A mark to come back to when a verb fails; see {@link forgetNewsSince}. */
  newsMark(): { events: number; stopped: number } {
    return { events: this.#events.length, stopped: this.#stopped.length };
  }

  forgetNewsSince(mark: { events: number; stopped: number }): void {
    this.#events.length = mark.events;
    this.#stopped.length = mark.stopped;
  }
}
