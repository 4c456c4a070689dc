/** What is in the database is nobody's business but its owner's, also where the folder around it is opened one day. */
import { closeSync, fchmodSync, fstatSync, openSync } from "node:fs";

const PRIVATE = 0o600;
const OTHERS = 0o077;

/**
 * Makes a file, or takes others' rights from one that is there. SQLite gives the files that it puts
 * beside it the same rights. A file that cannot be had is left to whoever opens it next, who says why.
 */
export function keepPrivate(file: string): void {
  let handle: number;
  try {
    handle = openSync(file, "a", PRIVATE);
  } catch {
    return;
  }
  try {
    if ((fstatSync(handle).mode & OTHERS) !== 0) fchmodSync(handle, PRIVATE);
  } catch {
    // A file system without such rights, or somebody else's file.
  } finally {
    closeSync(handle);
  }
}
