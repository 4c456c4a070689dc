/**
 * Real SQLite in memory behind a disk that can fail: before a statement, at the commit, or after
 * it, so that what was saved is reported as failed.
 *
 * A sabotage may change statements on their way, to prove that the checks would notice.
 */
import type { openDatabase } from "../../src/store/sqlite/database.ts";
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import type { Tables } from "./tables.ts";

export type Database = ReturnType<typeof openDatabase>;
type Prepared = ReturnType<Database["prepare"]>;
type Value = Parameters<Kernel["run"]>[1];

/** A statement and its columns, which SQLite is asked for once: that takes longer than most statements. */
export interface PreparedOnce {
  readonly statement: Prepared;
  readonly columns: ReturnType<Prepared["columns"]>;
}

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

const ERRORS: Readonly<Record<DiskError, { readonly errcode: number; readonly text: string }>> = {
  full: { errcode: 13, text: "database or disk is full" },
  io: { errcode: 10, text: "disk I/O error" },
  busy: { errcode: 5, text: "database is locked" },
};

const WRITES = /^\s*(?:INSERT|UPDATE|DELETE|WITH[\s\S]*\b(?:UPDATE|DELETE)\b)/;

export interface Statement {
  readonly sql: string;
  readonly values: readonly Value[];
}

/** Changes what reaches the database; null = the statement does nothing. */
export type Tamper = (statement: Statement) => Statement | null;

/** What a sabotage makes of the disk itself. */
export interface BrokenDisk {
  /** A commit that failed is reported as done. */
  readonly liesAboutCommits?: boolean;
  /** What a verb did before it failed is kept. */
  readonly keepsHalves?: boolean;
}

/** The disk of one world, and what it does with the batch that runs now. */
export class Disk {
  readonly #database: Database;
  readonly #broken: BrokenDisk;
  readonly #prepared: Tables["prepared"];
  #fault: DiskFault | null = null;
  #statements = 0;
  /** How often a sabotage took effect. */
  tampered = 0;

  constructor({ database, prepared }: Tables, broken: BrokenDisk = {}) {
    this.#database = database;
    this.#prepared = prepared;
    this.#broken = broken;
  }

  /** The next batch meets this fault; null = none. */
  prepare(fault: DiskFault | null): void {
    this.#fault = fault;
    this.#statements = 0;
  }

  /** The database as a process sees it. */
  connect(tamper: Tamper | null): Database {
    return new Proxy(this.#database, {
      get: (database, name) => {
        if (name === "exec") return (sql: string) => this.#exec(sql);
        if (name === "prepare") return (sql: string) => this.#prepare(sql, tamper);
        const value = Reflect.get(database, name, database) as unknown;
        return typeof value === "function" ? value.bind(database) : value;
      },
    });
  }

  #exec(sql: string): void {
    const fault = this.#fault;
    if (sql.startsWith("ROLLBACK TO") && this.#broken.keepsHalves === true) {
      this.tampered++;
      return this.#database.exec(sql.slice(sql.indexOf("RELEASE")));
    }
    if (sql !== "COMMIT" || (fault?.at !== "commit" && fault?.at !== "after-commit")) return this.#database.exec(sql);
    this.#database.exec(fault.at === "commit" ? "ROLLBACK" : "COMMIT");
    if (fault.at === "after-commit" || this.#broken.liesAboutCommits !== true) throw sqliteError(fault.error);
    this.tampered++;
  }

  #prepare(sql: string, tamper: Tamper | null) {
    const { statement, columns } = this.#real(sql);
    const pass = <Result>(values: Value[], none: Result, use: (real: Prepared, values: readonly Value[]) => Result): Result => {
      this.#meet(sql);
      const wanted = { sql, values };
      const given = tamper === null ? wanted : tamper(wanted);
      if (given === wanted) return use(statement, values);
      this.tampered++;
      return given === null ? none : use(this.#real(given.sql).statement, given.values);
    };
    return {
      get: (...values: Value[]) => pass(values, undefined, (real, given) => real.get(...given)),
      all: (...values: Value[]) => pass(values, [], (real, given) => real.all(...given)),
      run: (...values: Value[]) => pass(values, { changes: 0, lastInsertRowid: 0 }, (real, given) => real.run(...given)),
      columns: () => columns,
      setReturnArrays: () => {},
    };
  }

  /** Rows come as arrays, as the kernel wants them. */
  #real(sql: string): PreparedOnce {
    let prepared = this.#prepared.get(sql);
    if (prepared === undefined) {
      const statement = this.#database.prepare(sql);
      statement.setReturnArrays(true);
      prepared = { statement, columns: statement.columns() };
      this.#prepared.set(sql, prepared);
    }
    return prepared;
  }

  #meet(sql: string): void {
    this.#statements++;
    const fault = this.#fault;
    if ((fault?.at === "writes" && WRITES.test(sql)) || (fault?.at === "statement" && this.#statements === fault.n)) throw sqliteError(fault.error);
  }
}

function sqliteError(error: DiskError): Error {
  const { errcode, text } = ERRORS[error];
  return Object.assign(new Error(text), { errcode });
}
