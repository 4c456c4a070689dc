/** Whether a harness may be started in a folder: one that is trusted, or that has no files by which it would act on its own. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Fault } from "../../model/faults.ts";
import type { HarnessSpec } from "../../model/harness.ts";
import type { HarnessFiles } from "./files.ts";

/** Folders above the one that it works in which are looked at: as many as a path can have. */
const FOLDERS_MAX = 2048;

export interface FolderRules {
  readonly files: HarnessFiles;
  readonly trusted: readonly string[];
  /** The person's home folder. */
  readonly home: string | undefined;
  /** The folder that another stands for as long as these files in it are as they were there, e.g. the checkout that a worktree was made of; null = none. */
  readonly likeness: (cwd: string, files: readonly string[]) => Promise<string | null>;
}

/** @returns whether the folder is trusted. @throws {Fault} ACP_SESSION_INIT_FAILED when it is not there, ACP_WORKSPACE_UNTRUSTED. */
export async function checkFolder({ files, trusted, home, likeness }: FolderRules, spec: HarnessSpec, cwd: string): Promise<boolean> {
  if (!(await files.isInside(cwd, cwd))) throw new Fault("ACP_SESSION_INIT_FAILED", { agent: spec.id, problem: `there is no folder ${cwd}`, hint: "make it, or name another with cwd" });
  const isTrusted = (place: string): boolean => trusted.some((folder) => place === folder || place.startsWith(`${folder.replace(/\/+$/, "")}/`));
  if (isTrusted(cwd)) return true;
  const found: string[] = [];
  // Most look for their settings up to the folder that is the repository.
  for (const folder of await foldersOf(cwd, home)) {
    if (folder !== cwd && isTrusted(folder)) continue;
    for (const name of spec.projectFiles) {
      const path = join(folder, name);
      // An empty file says nothing; a sandbox leaves such while another harness works in the folder.
      if ((await files.isInside(folder, path)) && !(await isEmptyFile(path))) found.push(folder === cwd ? name : path);
    }
  }
  const like = found.length === 0 ? null : await likeness(cwd, found);
  if (like !== null && isTrusted(like)) return true;
  if (found.length > 0) throw new Fault("ACP_WORKSPACE_UNTRUSTED", { agent: spec.id, cwd, files: found.join(", ") });
  return false;
}

/** The folder and those above it, up to the one that is the root of its repository; without a repository, up to the home folder, which is the person's own. */
async function foldersOf(cwd: string, home: string | undefined): Promise<readonly string[]> {
  const folders: string[] = [];
  for (let at = cwd; folders.length < FOLDERS_MAX; at = dirname(at)) {
    folders.push(at);
    if ((await stat(join(at, ".git")).catch(() => null)) !== null) return folders;
    if (dirname(at) === at) break;
  }
  const above = home === undefined ? -1 : folders.indexOf(home);
  return above > 0 ? folders.slice(0, above) : above === 0 ? [cwd] : folders;
}

async function isEmptyFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isFile() === true && found.size === 0;
}
