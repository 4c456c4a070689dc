/**
 * The state directory: where it is, that only its owner can touch it, and how files in it are written.
 *
 * Always true: the directory is 0700 and files in it 0600; a file is replaced whole or not at all.
 * Refused: a directory or token that other users of the machine can reach, because everything that
 * agents may do hangs on them.
 */
import { randomBytes } from "node:crypto";
import { chmod, link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Fault } from "../model/faults.ts";
import type { Environment } from "./environment.ts";

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const WRITABLE_BY_OTHERS = 0o022;
const REACHABLE_BY_OTHERS = 0o077;
const TOKEN_BYTES = 32;

/** `YARD_HOME`, or `.yardmaster` in the person's home. Absolute. */
export function stateDirOf(environment: Environment): string {
  const named = environment["YARD_HOME"];
  return named === undefined || named === "" ? join(environment["HOME"] || homedir(), ".yardmaster") : resolve(named);
}

export function configFileIn(home: string): string {
  return join(home, "yardmaster.json5");
}
/** Holds the token of a gateway that was given one by its environment, while it runs. */
export function givenTokenFileIn(home: string): string {
  return join(home, "token.given");
}

export function tokenFileIn(home: string): string {
  return join(home, "token");
}

/**
 * Makes the directory when it is missing and checks that it is safe.
 * @throws {Fault} STATE_DIR_UNSAFE  with the remedy.
 */
export async function openStateDir(home: string): Promise<void> {
  let made: boolean;
  try {
    made = await makeFolders(home);
  } catch (cause) {
    throw unsafe(home, `cannot be made (${messageOf(cause)})`, "make it yourself, or set YARD_HOME to a directory that you may write", cause);
  }
  if (made) await chmod(home, DIRECTORY_MODE); // the umask may have taken bits away
  await checkStateDir(home);
}

/** Folder by folder: asked for all at once, Node tries for ever where a file system takes none, as `/proc`. @returns false = it was there. */
async function makeFolders(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: DIRECTORY_MODE });
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    const above = dirname(folder);
    if (code !== "ENOENT" || above === folder || (await stat(above).catch(() => null)) !== null) throw cause;
  }
  await makeFolders(dirname(folder));
  return makeFolders(folder);
}

/** @throws {Fault} STATE_DIR_UNSAFE  it belongs to somebody else, or others may write in it. */
export async function checkStateDir(home: string): Promise<void> {
  const found = await stat(home);
  if (!found.isDirectory()) throw unsafe(home, "is not a directory", "move it away, or set YARD_HOME to a directory");
  const user = process.getuid?.();
  if (user === undefined) return; // Windows: access lists, not modes
  if (found.uid !== user && user !== 0) throw unsafe(home, `belongs to user id ${found.uid}`, "run yard as that user, or set YARD_HOME to a directory of your own");
  if ((found.mode & WRITABLE_BY_OTHERS) !== 0) throw unsafe(home, `can be written by other users (mode ${modeOf(found.mode)})`, `run: chmod 700 ${home}`);
  if ((found.mode & REACHABLE_BY_OTHERS) !== 0) await chmod(home, DIRECTORY_MODE);
}

/**
 * The token in the state directory; made at the first start.
 * @throws {Fault} STATE_DIR_UNSAFE  other users can read it, or it is empty.
 */
export async function readOrMakeToken(home: string): Promise<string> {
  const file = tokenFileIn(home);
  return (await readToken(file)) ?? (await makeToken(file)) ?? (await readToken(file))!;
}

/** Puts a new token in place of the old one. */
export async function replaceToken(home: string): Promise<string> {
  const token = newToken();
  await writeWhole(tokenFileIn(home), `${token}\n`);
  return token;
}

/** Replaces a file in one step: after a crash it is the old one or the new one. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const draft = await writeDraft(file, text);
  try {
    await rename(draft, file);
  } catch (cause) {
    await rm(draft, { force: true });
    throw cause;
  }
  await syncDirectory(dirname(file));
}

/** The text of a file, or null when there is none. */
export async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw cause;
  }
}

async function readToken(file: string): Promise<string | null> {
  const text = await readIfThere(file);
  if (text === null) return null;
  const { mode } = await stat(file);
  if (process.getuid !== undefined && (mode & REACHABLE_BY_OTHERS) !== 0) {
    throw unsafe(file, `can be read by other users (mode ${modeOf(mode)})`, `run: chmod 600 ${file}, and then "yard token --rotate" in case somebody has read it`);
  }
  const token = text.trim();
  if (token === "") throw unsafe(file, "is empty", "remove it; the next start makes a new one");
  return token;
}

/** Null when another process made one at the same moment. */
async function makeToken(file: string): Promise<string | null> {
  const token = newToken();
  const draft = await writeDraft(file, `${token}\n`);
  try {
    await link(draft, file); // unlike rename, this refuses to replace
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return null;
    throw cause;
  } finally {
    await rm(draft, { force: true });
  }
  await syncDirectory(dirname(file));
  return token;
}

function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString("hex");
}

const DRAFT = /\.(\d+)\.[0-9a-f]{12}\.draft$/;

/** Removes what processes left that were killed while they wrote a file. */
export async function removeDrafts(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const [, pid] = DRAFT.exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(home, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

async function writeDraft(file: string, text: string): Promise<string> {
  const draft = `${file}.${process.pid}.${randomBytes(6).toString("hex")}.draft`;
  const handle = await open(draft, "wx", FILE_MODE);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return draft;
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unsafe(dir: string, problem: string, remedy: string, cause?: unknown): Fault {
  return new Fault("STATE_DIR_UNSAFE", { dir, problem, remedy }, { cause });
}

function modeOf(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
