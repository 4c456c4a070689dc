/**
 * Migrates a file through a made-up history and kills itself at its n-th statement: `node killed-migration.ts FILE N`.
 *
 * With an N that is never reached (Infinity) it ends by itself.
 */
import { DatabaseSync } from "node:sqlite";
import { migrate } from "../../src/store/sqlite/schema.ts";

const [file = "", killAt = "1"] = process.argv.slice(2);
let left = Number(killAt);

const STEPS: readonly (readonly string[])[] = [
  ["CREATE TABLE place (name TEXT PRIMARY KEY) STRICT", "INSERT INTO place VALUES ('north')", "INSERT INTO place VALUES ('south')"],
  ["CREATE TABLE stop (name TEXT PRIMARY KEY, length INTEGER NOT NULL) STRICT", "INSERT INTO stop SELECT name, length(name) FROM place", "DROP TABLE place"],
  ["CREATE INDEX stop_length ON stop (length)"],
];

const database = new DatabaseSync(file);
database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
database.function("statement_done", () => {
  if (--left === 0) process.kill(process.pid, "SIGKILL");
  return 0;
});
migrate(database, file, STEPS.map((statements) => statements.map((statement) => `SELECT statement_done(); ${statement}; SELECT statement_done();`).join(" ")));
database.close();
