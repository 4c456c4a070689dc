/** Opens the database file as the guarantees need it: WAL, every commit synced, one writer. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Fault } from "../../model/faults.ts";
import { keepPrivate } from "./private-file.ts";
import { migrate, MIGRATIONS } from "./schema.ts";
import { storeFault } from "./storage-fault.ts";

/** How long a statement waits for another program that reads the file, milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;
/** Page cache, KiB. */
const CACHE_KIB = 16_384;
/** A file up to this size is read through before it is used, bytes: about 30 ms. Larger ones are looked at by "yard doctor". */
const CHECKED_BYTES_MAX = 16 * 1024 * 1024;
/** The log file is cut back to this after a checkpoint, bytes. */
const WAL_BYTES_KEPT = 16 * 1024 * 1024;

/**
 * @param file  a path, or `:memory:` for tests and the simulator.
 * @throws {Fault} STORE_LIBRARY_UNSAFE, STORE_NEWER_SCHEMA, STORE_CORRUPT, STORE_IO, DISK_FULL, STORE_FAILED.
 */
export function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    checkLength(file);
    if (file !== ":memory:") keepPrivate(file);
    db = new DatabaseSync(file);
    checkLibrary(db);
    // Before anything is written: a damaged file is left as it was found.
    checkFile(db, file);
    db.exec(`
      PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA fullfsync = ON;
      PRAGMA checkpoint_fullfsync = ON;
      PRAGMA foreign_keys = ON;
      PRAGMA trusted_schema = OFF;
      PRAGMA temp_store = MEMORY;
      PRAGMA cache_size = -${CACHE_KIB};
      PRAGMA journal_size_limit = ${WAL_BYTES_KEPT};
    `);
    migrate(db, file);
    return db;
  } catch (cause) {
    db?.close();
    throw storeFault(cause, file);
  }
}

/**
 * Opens a file to look at it: nothing is written, whatever is wrong with it.
 * @throws {Fault} STORE_LIBRARY_UNSAFE, STORE_NEWER_SCHEMA, STORE_CORRUPT, STORE_IO.
 */
export function openToLook(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    checkLength(file);
    db = new DatabaseSync(file, { readOnly: true });
    checkLibrary(db);
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY`);
    const { user_version: found } = db.prepare("PRAGMA user_version").get() as { user_version: number };
    if (found > MIGRATIONS.length) throw new Fault("STORE_NEWER_SCHEMA", { file, found, known: MIGRATIONS.length });
    return db;
  } catch (cause) {
    db?.close();
    throw storeFault(cause, file);
  }
}

/** The head of a file says its length in pages, at this place; SQLite itself takes a file that was cut off within its first page for a new one. */
const HEAD_BYTES = 100;
const PAGE_SIZE_AT = 16;
const CHANGES_AT = 24;
const PAGES_AT = 28;
const PAGES_VALID_FOR_AT = 92;
/** How the page size 65536 is written in two bytes. */
const LARGEST_PAGE = 1;

/** @throws {Fault} STORE_CORRUPT  the file is shorter than it says. */
function checkLength(file: string): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return;
  const cutOff = (): Fault => new Fault("STORE_CORRUPT", { file, problem: `it was cut off at ${size} bytes` });
  // An empty one is new, unless a gateway has used it before and left its reserve beside it.
  if (size === 0 && !existsSync(reserveOf(file))) return;
  if (size < HEAD_BYTES) throw cutOff();
  const head = headOf(file);
  const pageBytes = head.readUInt16BE(PAGE_SIZE_AT) === LARGEST_PAGE ? 65_536 : head.readUInt16BE(PAGE_SIZE_AT);
  // While there is a log, the rest may still be in it.
  const isWhole = (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0 && head.readUInt32BE(CHANGES_AT) === head.readUInt32BE(PAGES_VALID_FOR_AT);
  if (size < pageBytes || (isWhole && size < head.readUInt32BE(PAGES_AT) * pageBytes)) throw cutOff();
}

function headOf(file: string): Buffer {
  const handle = openSync(file, "r");
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    readSync(handle, head, 0, HEAD_BYTES, 0);
    return head;
  } finally {
    closeSync(handle);
  }
}

/** Room on the disk that is given up when it is full; see disk-guard.ts. */
export function reserveOf(file: string): string {
  return `${file}-reserve`;
}

function checkFile(db: DatabaseSync, file: string): void {
  const bytes = [file, `${file}-wal`].reduce((sum, each) => sum + (statSync(each, { throwIfNoEntry: false })?.size ?? 0), 0);
  if (bytes === 0 || bytes > CHECKED_BYTES_MAX) return;
  const { quick_check: found } = db.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
  if (found !== "ok") throw new Fault("STORE_CORRUPT", { file, problem: found.split("\n").at(-1)! });
}

/** Versions in which two connections that write and checkpoint at once can corrupt a WAL database are refused. */
function checkLibrary(db: DatabaseSync): void {
  const { version } = db.prepare("SELECT sqlite_version() AS version").get() as { version: string };
  if (!isSafeLibrary(version)) throw new Fault("STORE_LIBRARY_UNSAFE", { version });
}

export function isSafeLibrary(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  if (major !== 3) return major > 3;
  if (minor === 44) return patch >= 6;
  if (minor === 50) return patch >= 7;
  if (minor === 51) return patch >= 3;
  return minor > 51;
}
