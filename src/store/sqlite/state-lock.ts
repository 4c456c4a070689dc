/**
 * One gateway per state directory: a lock that the operating system drops when its holder dies,
 * however it dies.
 *
 * It is a database file of its own, held in an exclusive transaction for the life of the process,
 * so that the real one stays readable for other programs.
 */
import { DatabaseSync } from "node:sqlite";
import { keepPrivate } from "./private-file.ts";
import { storeFault } from "./storage-fault.ts";

const SQLITE_BUSY = 5;

/**
 * @returns a function that lets go; null when another process holds the lock.
 * @throws {Fault} DISK_FULL, STORE_CORRUPT, STORE_IO, STORE_FAILED  nobody holds it, and it cannot be had.
 */
export function holdStateLock(file: string): (() => void) | null {
  keepPrivate(file);
  const db = new DatabaseSync(file);
  try {
    db.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
  } catch (cause) {
    db.close();
    if (((cause as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return null;
    throw storeFault(cause, file);
  }
  return () => db.close();
}
