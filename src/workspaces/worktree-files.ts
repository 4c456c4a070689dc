/** The files around worktrees, as the worktrees need them: their folders, and what lies beside a repository's settings. */
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, statfs } from "node:fs/promises";
import { copyIgnored } from "./copy-ignored.ts";

export interface WorktreeFiles {
  /** Makes a folder that only the gateway's user may look into, when it is not there. */
  makeFolder(folder: string): Promise<void>;
  /** Where a path really leads. */
  realPath(path: string): Promise<string>;
  /** Room for what is not the machine's administrator's, bytes. */
  freeBytes(folder: string): Promise<number>;
  /** Names in a folder; none when it is not there. */
  namesIn(folder: string): Promise<readonly string[]>;
  isThere(path: string): Promise<boolean>;
  /** What stands at a path itself, links not followed; null = nothing. */
  look(path: string): Promise<{ readonly isFile: boolean } | null>;
  /** Rejects when it cannot be read. */
  text(path: string): Promise<string>;
  /** False: there was nothing. */
  moveAway(from: string, to: string): Promise<boolean>;
  /** A file or a folder with everything in it; nothing there is fine. */
  remove(path: string): Promise<void>;
  /** See copy-ignored.ts. */
  copyIgnored(from: string, to: string, path: string): Promise<string | null>;
}

export const worktreeFiles: WorktreeFiles = {
  makeFolder: async (folder) => void (await mkdir(folder, { recursive: true, mode: 0o700 })),
  realPath: (path) => realpath(path),
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
  namesIn: (folder) => readdir(folder).catch(() => []),
  isThere: (path) => stat(path).then(() => true, () => false),
  look: (path) => lstat(path).then((info) => ({ isFile: info.isFile() }), () => null),
  text: (path) => readFile(path, "utf8"),
  moveAway: (from, to) => rename(from, to).then(() => true, (cause: NodeJS.ErrnoException) => cause.code !== "ENOENT" && Promise.reject(cause)),
  remove: (path) => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  copyIgnored,
};
