/**
 * One gateway per state directory: a lock that the operating system drops when its holder dies,
 * however it dies.
 *
 * It is a database file of its own, held in an exclusive transaction for the life of the process,
 * so that the real one stays readable for other programs.
 */
import { DatabaseSync } from "node:sqlite";

/** @returns a function that lets go; null when another process holds the lock. */
export function holdStateLock(file: string): (() => void) | null {
  const db = new DatabaseSync(file);
  try {
    db.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
  } catch {
    db.close();
    return null;
  }
  return () => db.close();
}
