/**
 * Copies files that git ignores, such as `.env`, from a checkout to a worktree.
 *
 * Refuses: paths that lead out of either through `..` or a symlink, anything but plain files, and
 * files that are there already. A repository chooses its own symlinks, so both ends are checked.
 */
import { constants } from "node:fs";
import { copyFile, lstat, mkdir, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize, sep } from "node:path";

/** @returns what is wrong with a path, or null when it was copied or is not there. */
export async function copyIgnored(from: string, to: string, path: string): Promise<string | null> {
  const clean = normalize(path);
  if (path === "" || path.includes("\0") || isAbsolute(path) || clean.split(sep).includes("..") || clean.split(sep).includes(".git")) return `${JSON.stringify(path)} must be a path inside the repository`;
  const source = join(from, clean);
  const found = await lstat(source).catch(() => null);
  if (found === null) return null;
  if (!found.isFile()) return `${path} is no plain file`;
  if (!isBelow(await realpath(from), await realpath(source))) return `${path} leads out of the repository`;
  const target = join(to, clean);
  const top = await realpath(to);
  // The deepest folder that is there decides where a new one would lie.
  for (let folder = dirname(target); ; folder = dirname(folder)) {
    const real = await realpath(folder).catch(() => null);
    if (real === null) continue;
    if (real !== top && !isBelow(top, real)) return `${path} leads out of the workspace`;
    break;
  }
  await mkdir(dirname(target), { recursive: true });
  return copyFile(source, target, constants.COPYFILE_EXCL).then(() => null, (cause: NodeJS.ErrnoException) => (cause.code === "EEXIST" ? null : `${path}: ${cause.message}`));
}

function isBelow(top: string, path: string): boolean {
  return path.startsWith(top + sep);
}
