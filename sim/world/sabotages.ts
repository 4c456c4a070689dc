import type { Database, Tamper } from "./faulty-kernel.ts";
export interface Sabotage {
  readonly name: string;
  readonly liesAboutCommits?: boolean;
  readonly prepare?: (database: Database) => void;
  readonly tamper?: (database: Database) => Tamper;
}
