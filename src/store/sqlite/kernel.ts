/**
 * The ground that all verbs stand on: one connection, prepared statements by text, the clock, the
 * ids, and what a transaction has to tell the outside once it is committed.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { Clock } from "../../base/clock.ts";
import { IdMaker, type RandomBytes, type SessionKey, type TurnId } from "../../base/ids.ts";
import type { NewEvent, YardEvent } from "../../model/event.ts";

export type Row = Record<string, any>;

type LaneCounter = "last_seq" | "last_entry" | "last_message" | "last_batch" | "last_handle" | "epoch";

interface Prepared {
  readonly statement: StatementSync;
  readonly columns: readonly string[];
}

/**
 * SQLite looks into a limit that is bound, and so makes the statement anew at every call: 0.1 to 0.3 ms.
 * It does not look into an expression.
 */
const LIMIT_BOUND = /\bLIMIT \?/g;

function rowOf(columns: readonly string[], values: readonly unknown[]): Row {
  const row: Row = {};
  for (let i = 0; i < columns.length; i++) row[columns[i]!] = values[i];
  return row;
}

export class Kernel {
  readonly db: DatabaseSync;
  readonly ids: IdMaker;
  readonly #clock: Pick<Clock, "now" | "monotonic">;
  /** Where both clocks stood when the last transaction was over. */
  #followed: { readonly wall: number; readonly monotonic: number };
  readonly #statements = new Map<string, Prepared>();
  readonly #remembered = new Map<string, unknown>();
  #events: YardEvent[] = [];
  #stopped: TurnId[] = [];
  /** The start that this process made; null before it has recovered. What is forgotten after a failure leaves it as it is. */
  generation: number | null = null;

  constructor(db: DatabaseSync, clock: Pick<Clock, "now" | "monotonic">, random: RandomBytes) {
    this.db = db;
    this.#clock = clock;
    this.#followed = { wall: clock.now(), monotonic: clock.monotonic() };
    this.ids = new IdMaker(random);
  }

  /** Wall time, whole milliseconds. */
  now(): number {
    return Math.floor(this.#clock.now());
  }

  /** By how much wall time moved by itself since {@link clockFollowed}, milliseconds. */
  clockJump(): number {
    return this.#clock.now() - this.#followed.wall - (this.#clock.monotonic() - this.#followed.monotonic);
  }

  clockFollowed(): void {
    this.#followed = { wall: this.#clock.now(), monotonic: this.#clock.monotonic() };
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    const { statement, columns } = this.#prepared(sql);
    const found = statement.get(...values) as unknown as unknown[] | undefined;
    return found === undefined ? undefined : rowOf(columns, found);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    const { statement, columns } = this.#prepared(sql);
    return (statement.all(...values) as unknown as unknown[][]).map((found) => rowOf(columns, found));
  }

  /** How many rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepared(sql).statement.run(...values).changes);
  }

  count(sql: string, ...values: SQLInputValue[]): number {
    return Number(Object.values(this.get(sql, ...values)!)[0]);
  }

  /** Rows come as arrays and are named here: the library takes twice as long to make an object of twenty columns. */
  #prepared(sql: string): Prepared {
    let prepared = this.#statements.get(sql);
    if (prepared === undefined) {
      const statement = this.db.prepare(sql.replace(LIMIT_BOUND, "LIMIT +?"));
      statement.setReturnArrays(true);
      prepared = { statement, columns: statement.columns().map(({ name }) => name) };
      this.#statements.set(sql, prepared);
    }
    return prepared;
  }

  /** A value that changes so rarely that reading it for every verb would cost more than the verb. */
  remember<T>(name: string, read: () => T): T {
    if (!this.#remembered.has(name)) this.#remembered.set(name, read());
    return this.#remembered.get(name) as T;
  }

  /** After what was remembered was changed, or a change of it was rolled back. */
  forget(): void {
    this.#remembered.clear();
  }

  /**
   * Advances counters of a lane. @returns their new values; nothing when there is no such lane.
   * A read and a write: an UPDATE with RETURNING costs three times as much, and more the larger file and transaction are.
   */
  advance(session: SessionKey, by: Readonly<Partial<Record<LaneCounter, number>>>): Row | undefined {
    const names = Object.keys(by) as LaneCounter[];
    const lane = this.get(`SELECT ${names.map((name) => `${name} + ? AS ${name}`).join(", ")} FROM lane WHERE session = ?`, ...names.map((name) => by[name]!), session);
    if (lane !== undefined) this.run(`UPDATE lane SET ${names.map((name) => `${name} = ?`).join(", ")} WHERE session = ?`, ...names.map((name) => lane[name]), session);
    return lane;
  }

  /** Appends events to a session's log, with the next numbers. */
  emit(session: SessionKey, ...events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    const at = this.now();
    const lane = this.advance(session, { last_seq: events.length });
    if (lane === undefined) return; // the session was deleted; there is no log to write to
    let seq = lane["last_seq"] - events.length;
    for (const event of events) {
      seq++;
      const { lastInsertRowid } = this.#prepared("INSERT INTO event (session, seq, at, type, turn_id, task_id, data) VALUES (?,?,?,?,?,?,?)").statement.run(
        session, seq, at, event.type, event.turnId ?? null, event.taskId ?? null, JSON.stringify(event.data),
      );
      this.#events.push({
        seq,
        session,
        at,
        type: event.type,
        ...(event.turnId ? { turnId: event.turnId } : {}),
        ...(event.taskId ? { taskId: event.taskId } : {}),
        data: event.data,
        cursor: Number(lastInsertRowid),
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

  /** A part of a verb that may fail by itself: what it wrote and told is taken back then, and the verb can go on. */
  wholly<T>(part: () => T): T {
    const mark = this.newsMark();
    this.db.exec("SAVEPOINT part");
    try {
      const value = part();
      this.db.exec("RELEASE part");
      return value;
    } catch (cause) {
      if (this.db.isTransaction) this.db.exec("ROLLBACK TO part; RELEASE part");
      this.forgetNewsSince(mark);
      this.forget();
      throw cause;
    }
  }

  forgetNewsSince(mark: { events: number; stopped: number }): void {
    this.#events.length = mark.events;
    this.#stopped.length = mark.stopped;
  }
}
