/**
 * Backups: whole, checked copies of the database in a folder beside it.
 *
 * Always true: a file with a backup's name is complete, was checked, and is on disk; it is made under
 * another name first. An older one is removed only after a newer one is there.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statfsSync, statSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../model/faults.ts";
import type { Backup } from "../store-files.ts";
import { backupFolderOf, listBackups } from "./backup-folder.ts";
import { openToLook } from "./database.ts";

const DRAFT = ".draft";
/** Room that must be left on the disk besides the copy, bytes: a backup must not be what fills it. */
const ROOM_LEFT_BYTES = 8 * 1024 * 1024;

/** @throws {Fault} BACKUP_FAILED */
export function makeBackup(file: string, at: number, keep: number): Backup {
  const folder = backupFolderOf(file);
  const name = `yard-${new Date(at).toISOString().replaceAll(":", "-")}.sqlite`;
  const draft = join(folder, name + DRAFT);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const left of readdirSync(folder)) if (left.endsWith(DRAFT)) rmSync(join(folder, left));
    copy(file, draft, folder);
    checkCopy(draft);
    sync(draft);
    renameSync(draft, join(folder, name));
    sync(folder);
    for (const { name: old } of listBackups(folder).slice(keep)) rmSync(join(folder, old));
    return { name, at, bytes: statSync(join(folder, name)).size };
  } catch (cause) {
    try {
      rmSync(draft, { force: true });
    } catch {
      // The disk that failed may not let go of it; the next backup tries again.
    }
    throw new Fault("BACKUP_FAILED", { folder, problem: cause instanceof Error ? cause.message : String(cause) }, { cause });
  }
}

/** Copies one moment of a database that may be written to meanwhile. Also closes the gaps in it. */
function copy(file: string, draft: string, folder: string): void {
  const db = openToLook(file);
  try {
    const { bytes } = db.prepare("SELECT (page_count - freelist_count) * page_size AS bytes FROM pragma_page_count, pragma_freelist_count, pragma_page_size").get() as { bytes: number };
    const disk = statfsSync(folder);
    const free = disk.bavail * disk.bsize;
    if (free < bytes + ROOM_LEFT_BYTES) throw new Error(`the disk has ${free} bytes free, and ${bytes + ROOM_LEFT_BYTES} are needed`);
    // Made first, so that nobody else can ever read it.
    closeSync(openSync(draft, "wx", 0o600));
    db.prepare("VACUUM INTO ?").run(draft);
    chmodSync(draft, 0o600);
  } finally {
    db.close();
  }
}

/** @throws {Fault} STORE_CORRUPT */
export function checkCopy(file: string): void {
  const db = openToLook(file);
  try {
    const { quick_check: found } = db.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (found !== "ok") throw new Fault("STORE_CORRUPT", { file, problem: found });
  } finally {
    db.close();
  }
}

export function sync(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
