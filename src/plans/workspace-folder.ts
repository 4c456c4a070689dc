/**
 * The folder of a workspace, where a plan looks into it itself: what an agent left there to be read,
 * and files that its successor gets once more.
 *
 * An agent wrote in it before, so no link in it is followed.
 */
import { constants } from "node:fs";
import { copyFile, lstat, readFile, realpath, rm } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { SIGNAL_FILE } from "./task-prompt.ts";

const SIGNAL_FILE_BYTES_MAX = 10_000;

export interface WorkspaceFolder {
  /** What an agent without our tools wrote into its signal file, which is gone afterwards; null = nothing that can be read. */
  takeSignal(dir: string): Promise<string | null>;
  /**
   * Copied files may be what was missing, e.g. a key in `.env`; the successor gets them as they are now.
   * @param paths  from the top of `repository`; those that lead out of it, or are no plain files, are left out.
   */
  copyAgain(repository: string, dir: string, paths: readonly string[]): Promise<void>;
}

export const workspaceFolder: WorkspaceFolder = {
  async takeSignal(dir) {
    const file = join(dir, SIGNAL_FILE);
    const info = await lstat(file).catch(() => null);
    if (info === null) return null;
    const text = info.isFile() && info.size <= SIGNAL_FILE_BYTES_MAX ? await readFile(file, "utf8") : null;
    await rm(file, { force: true, recursive: true });
    return text;
  },

  async copyAgain(repository, dir, paths) {
    for (const path of paths) {
      const way = normalize(path);
      const from = join(repository, way);
      if (way.startsWith("..") || way.startsWith("/") || !(await lstat(from).catch(() => null))?.isFile()) continue;
      const to = join(dir, way);
      // A link that an agent put there would lead the copy out of its folder.
      const [folder, top] = await Promise.all([realpath(dirname(to)).catch(() => null), realpath(dir)]);
      if (folder === null || !`${folder}/`.startsWith(`${top}/`)) continue;
      await rm(to, { force: true });
      await copyFile(from, to, constants.COPYFILE_EXCL);
    }
  },
};
