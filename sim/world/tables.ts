/**
 * The tables of a world: real SQLite in memory. Making them anew for every world takes a quarter of
 * a world's time, so whoever runs many lends the same ones to one after the other.
 *
 * Always true: a world finds them as a fresh file has them. So a lent one gives the same trace.
 */
import { openDatabase } from "../../src/store/sqlite/database.ts";
import type { Database, PreparedOnce } from "./faulty-disk.ts";

export class Tables {
  readonly database: Database = openDatabase(":memory:");
  /** Prepared once for all processes of all worlds. */
  readonly prepared = new Map<string, PreparedOnce>();
  readonly #fresh: readonly { readonly table: string; readonly rows: readonly (readonly (string | number)[])[] }[];

  constructor() {
    this.#fresh = this.#names().map((table) => ({ table, rows: this.database.prepare(`SELECT * FROM ${table}`).all().map((row) => Object.values(row) as (string | number)[]) }));
  }

  /** For the next world. */
  empty(): void {
    const { database } = this;
    database.exec("PRAGMA foreign_keys = OFF; BEGIN");
    for (const { table, rows } of this.#fresh) {
      database.exec(`DELETE FROM ${table}`);
      for (const row of rows) database.prepare(`INSERT INTO ${table} VALUES (${row.map(() => "?").join()})`).run(...row);
    }
    database.exec("COMMIT; PRAGMA foreign_keys = ON");
  }

  close(): void {
    this.database.close();
  }

  #names(): string[] {
    const found = this.database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND (name = 'sqlite_sequence' OR name NOT LIKE 'sqlite_%')").all() as { name: string }[];
    return found.map(({ name }) => name);
  }
}
