/**
 * Finds the programs of harnesses on this machine: on PATH, then among those that `npx` has fetched
 * before. Looks only; runs nothing and installs nothing.
 */
import { accessSync, constants, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join } from "node:path";

/** Folders above a program in which its package.json is looked for. */
const PACKAGE_DEPTH_MAX = 6;
/** Packages that npx has fetched and that are looked into. */
const NPX_FOLDERS_MAX = 200;

export interface Programs {
  /** The program's path; null = it is not there. */
  find(command: string): string | null;
}

export function makePrograms({ path, home }: { path: string; home: string | undefined }): Programs {
  const folders = path.split(delimiter).filter(isAbsolute);
  return {
    find(command) {
      if (isAbsolute(command)) return isProgram(command) ? command : null;
      if (command.includes("/")) return null;
      return [...folders, ...npxFolders(home)].map((folder) => join(folder, command)).find(isProgram) ?? null;
    },
  };
}

function npxFolders(home: string | undefined): readonly string[] {
  if (home === undefined) return [];
  const cache = join(home, ".npm", "_npx");
  try {
    return readdirSync(cache).slice(0, NPX_FOLDERS_MAX).map((name) => join(cache, name, "node_modules", ".bin"));
  } catch {
    return [];
  }
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The version of the npm package that a program belongs to; null for any other program. */
export function packageVersionOf(program: string): string | null {
  try {
    let folder = dirname(realpathSync(program));
    for (let depth = 0; depth < PACKAGE_DEPTH_MAX; depth++, folder = dirname(folder)) {
      const version = versionIn(join(folder, "package.json"));
      if (version !== null) return version;
    }
  } catch {
    // It went away while it was looked at.
  }
  return null;
}

function versionIn(file: string): string | null {
  try {
    const { version } = JSON.parse(readFileSync(file, "utf8")) as { version?: unknown };
    return typeof version === "string" ? version : null;
  } catch {
    return null;
  }
}
