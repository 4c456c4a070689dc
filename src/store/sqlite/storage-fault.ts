/** What SQLite and the disk under it say, as faults of the table. */
import { Fault } from "../../model/faults.ts";

const SQLITE_FULL = 13;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
/** The index of the log lies in memory that the disk must back; no room for it is a full disk. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** What went wrong in SQLite, as a fault of the table; faults pass through. */
export function storeFault(thrown: unknown, file: string): unknown {
  // The store parses only what it wrote itself: what cannot be parsed is not what was written.
  if (thrown instanceof SyntaxError) return new Fault("STORE_CORRUPT", { file, problem: "a stored value cannot be read" }, { cause: thrown });
  if (thrown instanceof Fault || !isSqliteError(thrown)) return thrown;
  const code = thrown.errcode & 0xff;
  const problem = thrown.message;
  if (code === SQLITE_FULL || thrown.errcode === SQLITE_IOERR_SHMSIZE) return new Fault("DISK_FULL", { problem }, { cause: thrown, retryAfterMs: 5_000 });
  if (code === SQLITE_IOERR) return new Fault("STORE_IO", { file, problem: `${problem}, SQLite error ${thrown.errcode}` }, { cause: thrown });
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) return new Fault("STORE_CORRUPT", { file, problem }, { cause: thrown });
  return new Fault("STORE_FAILED", { problem }, { cause: thrown });
}

function isSqliteError(thrown: unknown): thrown is Error & { errcode: number } {
  return thrown instanceof Error && typeof (thrown as { errcode?: unknown }).errcode === "number";
}
