/**
 * The production kernel over real SQLite in memory, with a disk that can fail: before a statement,
 * at the commit, or after it, so that what was saved is reported as failed.
 *
 * A sabotage may change statements on their way, to prove that the checks would notice.
 */
import type { RandomBytes } from "../../src/base/ids.ts";
import { openDatabase } from "../../src/store/sqlite/database.ts";
import { Kernel, type Row } from "../../src/store/sqlite/kernel.ts";

export type Database = ReturnType<typeof openDatabase>;
type Prepared = ReturnType<Database["prepare"]>;
type Value = Parameters<Kernel["get"]>[1];

export type DiskFault =
  /** The n-th statement of the next batch fails, and with it its verb. */
  | { readonly at: "statement"; readonly n: number; readonly error: DiskError }
  /** Every statement that writes fails. */
  | { readonly at: "writes"; readonly error: DiskError }
  /** The commit fails and nothing of the batch was saved. */
  | { readonly at: "commit"; readonly error: DiskError }
  /** The batch was saved, and the commit reports a failure. */
  | { readonly at: "after-commit"; readonly error: DiskError };

export type DiskError = "full" | "io" | "busy";

const ERROR_CODES: Readonly<Record<DiskError, number>> = { full: 13, io: 10, busy: 5 };

const WRITES = /^\s*(?:INSERT|UPDATE|DELETE)/;

/** Changes what reaches the database; null = the statement does nothing. */
export type Tamper = (statement: Statement) => Statement | null;

export interface Statement {
  readonly sql: string;
  readonly values: readonly Value[];
}

export class FaultyKernel extends Kernel {
  readonly #disk: Disk;
  readonly #tamper: Tamper | null;

  constructor(database: Database, now: () => number, random: RandomBytes, disk: Disk, tamper: Tamper | null) {
    super(disk.under(database), now, random);
    this.#disk = disk;
    this.#tamper = tamper;
  }

  override get(sql: string, ...values: Value[]): Row | undefined {
    const statement = this.#pass(sql, values);
    return statement === null ? undefined : super.get(statement.sql, ...statement.values);
  }

  override all(sql: string, ...values: Value[]): Row[] {
    const statement = this.#pass(sql, values);
    return statement === null ? [] : super.all(statement.sql, ...statement.values);
  }

  override run(sql: string, ...values: Value[]): number {
    const statement = this.#pass(sql, values);
    return statement === null ? 0 : super.run(statement.sql, ...statement.values);
  }

  #pass(sql: string, values: readonly Value[]): Statement | null {
    this.#disk.statement(sql);
    return this.#tamper === null ? { sql, values } : this.#tamper({ sql, values });
  }
}

/** What the disk does with the batch that runs now. */
export class Disk {
  #fault: DiskFault | null = null;
  readonly #prepared = new Map<string, Prepared>();
  #statements = 0;
  /** A sabotage: a commit that failed is reported as done. */
  liesAboutCommits = false;

  /** The next batch meets this fault; null = none. */
  prepare(fault: DiskFault | null): void {
    this.#fault = fault;
    this.#statements = 0;
  }

  statement(sql: string): void {
    this.#statements++;
    if (this.#fault?.at === "writes" && WRITES.test(sql)) throw sqliteError(this.#fault.error);
    if (this.#fault?.at === "statement" && this.#statements === this.#fault.n) throw sqliteError(this.#fault.error);
  }

  /** The database as the kernel sees it. Statements are prepared once for all processes of a world, to save time. */
  under(database: Database): Database {
    const prepare = (sql: string): Prepared => {
      let statement = this.#prepared.get(sql);
      if (statement === undefined) this.#prepared.set(sql, (statement = database.prepare(sql)));
      return statement;
    };
    const exec = (sql: string): void => {
      if (sql !== "COMMIT" || (this.#fault?.at !== "commit" && this.#fault?.at !== "after-commit")) return database.exec(sql);
      const { at, error } = this.#fault;
      database.exec(at === "commit" ? "ROLLBACK" : "COMMIT");
      if (at === "commit" && this.liesAboutCommits) return;
      throw sqliteError(error);
    };
    return new Proxy(database, {
      get(target, name) {
        if (name === "exec") return exec;
        if (name === "prepare") return prepare;
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

function sqliteError(error: DiskError): Error {
  return Object.assign(new Error({ full: "database or disk is full", io: "disk I/O error", busy: "database is locked" }[error]), { errcode: ERROR_CODES[error] });
}
