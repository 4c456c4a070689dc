/** The conditions of one listing: only those that were asked for, so that each finds its own index. */
import type { SQLInputValue } from "node:sqlite";

export class Where {
  readonly #parts: string[] = [];
  readonly values: SQLInputValue[] = [];

  /** @param condition  SQL with a `?` for each value. */
  and(condition: string, ...values: readonly SQLInputValue[]): void {
    this.#parts.push(`(${condition})`);
    this.values.push(...values);
  }

  /** One of the columns holds the text; case of ASCII letters does not matter. */
  holds(columns: readonly string[], text: string): void {
    const pattern = `%${text.replace(/[\\%_]/g, (character) => `\\${character}`)}%`;
    this.and(columns.map((column) => `${column} LIKE ? ESCAPE '\\'`).join(" OR "), ...columns.map(() => pattern));
  }

  get sql(): string {
    return this.#parts.length === 0 ? "" : `WHERE ${this.#parts.join(" AND ")}`;
  }
}
