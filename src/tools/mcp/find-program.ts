/** Finds the one program that a command names, so that what runs is what was looked at, not whatever a changed folder offers. */
import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";

/** @returns an absolute path. @throws {Error} it is not there, or may not be run. */
export async function findProgram(command: string, path: string, cwd: string): Promise<string> {
  const isPath = command.includes("/");
  // An entry that is no absolute path would depend on the folder; nothing is looked up there.
  const candidates = isPath ? [resolve(cwd, command)] : path.split(delimiter).filter(isAbsolute).map((folder) => join(folder, command));
  for (const candidate of candidates) if (await isProgram(candidate)) return isPath ? await realpath(candidate) : candidate;
  throw new Error(isPath ? `${candidates[0]} is no program that may be run` : `there is no program ${command} on PATH (${path}); name it by its full path`);
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
