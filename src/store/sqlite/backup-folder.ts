/** The folder of backups beside a database: its name, and what is in it. */
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Backup } from "../store-files.ts";

/** A file with this name is a whole, checked copy. */
const NAME = /^yard-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z)\.sqlite$/;

export function backupFolderOf(file: string): string {
  return join(dirname(file), "backups");
}

/** The newest first. */
export function listBackups(folder: string): Backup[] {
  const names = statSync(folder, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(folder);
  return names
    .flatMap((name) => {
      const at = NAME.exec(name)?.[1];
      return at === undefined ? [] : [{ name, at: Date.parse(at.replace(/T(\d\d)-(\d\d)-/, "T$1:$2:")), bytes: statSync(join(folder, name)).size }];
    })
    .sort((a, b) => b.at - a.at);
}
