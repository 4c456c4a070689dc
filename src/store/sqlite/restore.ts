/**
 * Puts a backup in the place of a damaged database.
 *
 * Always true: what was there is kept, in a folder of its own; at every moment the place holds either
 * the damaged database or the whole restored one; nothing that was unfinished when the backup was made
 * is begun again by itself, because it may long have been done.
 */
import { chmodSync, copyFileSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { Backup } from "../store-files.ts";
import { backupFolderOf, listBackups } from "./backup-folder.ts";
import { sync } from "./backups.ts";
import { checkUp } from "./checkup.ts";
import { openDatabase } from "./database.ts";
import { storeFault } from "./storage-fault.ts";
import { Kernel } from "./kernel.ts";
import { cancelSession, cancelTask } from "./tasks.ts";

const BY = "the restore from a backup";
/** What belongs to a database: itself, its log, the index of its log. */
const PARTS = ["", "-wal", "-shm"];

/** The newest backup in which nothing is wrong. */
export function findGoodBackup(file: string, clock: Clock): { backup: Backup | null; tried: number; backupFolder: string } {
  const backupFolder = backupFolderOf(file);
  let tried = 0;
  for (const backup of listBackups(backupFolder)) {
    tried++;
    if (isGood(join(backupFolder, backup.name), clock)) return { backup, tried, backupFolder };
  }
  return { backup: null, tried, backupFolder };
}

function isGood(file: string, clock: Clock): boolean {
  try {
    return checkUp(file, clock).problems.length === 0;
  } catch {
    return false; // It cannot be read: as good as none.
  }
}

/** The caller holds the lock of the state directory. @returns the folder that keeps what was there. @throws {Fault} DISK_FULL, STORE_* */
export function restoreBackup(file: string, backup: Backup, parts: { clock: Clock; random: RandomBytes }): string {
  const home = dirname(file);
  const draft = `${file}.restoring`;
  const aside = join(home, `damaged-${new Date(parts.clock.now()).toISOString().replaceAll(":", "-")}`);
  try {
    for (const part of PARTS) rmSync(draft + part, { force: true });
    copyFileSync(join(backupFolderOf(file), backup.name), draft);
    chmodSync(draft, 0o600);
    stopUnfinished(draft, parts);
    sync(draft);
    mkdirSync(aside, { mode: 0o700 });
    const there = PARTS.filter((part) => statSync(file + part, { throwIfNoEntry: false }) !== undefined);
    for (const part of there) linkSync(file + part, join(aside, `yard.sqlite${part}`));
    sync(aside);
    // The old log must be gone before the new file is there: it would be played into it.
    for (const part of there.filter((each) => each !== "")) rmSync(file + part);
    sync(home);
    renameSync(draft, file);
    sync(home);
    return aside;
  } catch (cause) {
    for (const part of PARTS) rmSync(draft + part, { force: true });
    throw storeFault(cause, file);
  }
}

function stopUnfinished(file: string, { clock, random }: { clock: Clock; random: RandomBytes }): void {
  const kernel = new Kernel(openDatabase(file), clock, random);
  try {
    kernel.db.exec("BEGIN IMMEDIATE");
    for (const { session } of kernel.all("SELECT session FROM lane l WHERE state <> 'idle' OR EXISTS (SELECT 1 FROM turn t WHERE t.session = l.session AND t.state = 'running')")) {
      cancelSession(kernel, { key: session, by: BY, tree: true, queue: true });
    }
    for (const { id } of kernel.all("SELECT id FROM task WHERE ended_at IS NULL ORDER BY n")) cancelTask(kernel, { task: id, by: BY });
    kernel.db.exec("COMMIT");
  } finally {
    kernel.db.close();
  }
}
