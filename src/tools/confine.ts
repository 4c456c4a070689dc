/**
 * The one way from a path that a model wrote to a file: nothing outside the workspace is reached.
 *
 * A path is walked one name at a time. Each folder is opened without following links, and the next
 * name is looked up in that open folder (`/proc/self/fd/<n>/<name>` on Linux: what openat does), so
 * it does not matter when somebody swaps a folder for a link meanwhile. A link is read and its
 * target walked by the same rules; `..` goes up in what was really walked; whatever would leave the
 * workspace is refused.
 *
 * Always true:
 *   - containment is decided by names one by one and by open folders, never by comparing beginnings of strings
 *   - only regular files are opened, without waiting: a FIFO, socket or device is refused
 *   - a file is replaced whole (temporary file in the same folder, then rename), never written through a link
 *
 * Elsewhere than on Linux there is no openat: then a folder's real path is compared before and after.
 * Hard links cannot be told from files; making one to a file outside takes rights over that file.
 */
import { constants, type Dir, type Stats } from "node:fs";
import { access, lstat, mkdir, open, opendir, readlink, realpath, rename, unlink, type FileHandle } from "node:fs/promises";
import { isAbsolute, posix } from "node:path";
import type { RandomBytes } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";

/** The longest path that is looked at, characters. */
const PATH_MAX_CHARS = 4096;
/** The most names, links and steps back on one walk. */
const STEPS_MAX = 400;

const OPEN_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const OPEN_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const CREATE_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** An open folder inside the workspace. Close it. */
export interface Folder {
  /** A path that means `name` in this very folder, wherever the folder's own path leads by now. */
  at(name: string): string;
  /** Opens a folder in this one; never through a link. @throws ENOTDIR or ELOOP for a link. */
  enter(name: string): Promise<Folder>;
  /** Opens a regular file in this folder for reading, without waiting; never through a link. @throws {Fault} PATH_REFUSED, or the system's error. */
  openFile(name: string): Promise<OpenFile>;
  entries(): Promise<Dir>;
  /** @throws {Fault} PATH_REFUSED when the folder is not in the workspace any more. */
  realPath(): Promise<string>;
  close(): Promise<void>;
}

/** A name in an open folder; `name` is null for the workspace itself. */
interface Place {
  readonly folder: Folder;
  readonly name: string | null;
  readonly stats: Stats | null;
}

export interface OpenFile {
  readonly handle: FileHandle;
  readonly stats: Stats;
}

export interface ReplaceOptions {
  /** Refuses when the file is not the one that was read. */
  readonly unchangedSince?: Stats;
  /** Throws when the file, where it really lies, may not be changed; its path from the top of the workspace. */
  readonly check?: (path: string) => void;
}

export class Workspace {
  readonly #given: readonly string[];
  readonly #root: string;
  readonly #random: RandomBytes;
  readonly #hasOpenat: boolean;

  private constructor(given: string, root: string, random: RandomBytes, hasOpenat: boolean) {
    this.#given = namesIn(given);
    this.#root = root;
    this.#random = random;
    this.#hasOpenat = hasOpenat;
  }

  /**
   * @param path    absolute; may itself lead through links, which are trusted.
   * @param options.openat  false: as on a system without /proc; for tests.
   * @throws {Fault} PATH_REFUSED when it is not there.
   */
  static async open(path: string, random: RandomBytes, options: { openat?: boolean } = {}): Promise<Workspace> {
    const hasOpenat = options.openat ?? (await access("/proc/self/fd").then(() => true, () => false));
    const root = await realpath(path).catch((error: unknown) => refuseFor(path, error));
    return new Workspace(path, root, random, hasOpenat);
  }

  /** Its real path: the same for all ways to name this workspace. */
  get root(): string {
    return this.#root;
  }

  /** Opens a regular file for reading. @throws {Fault} PATH_REFUSED */
  async openFile(path: string): Promise<OpenFile> {
    return this.#with(path, {}, async ({ folder, name, stats }) => {
      if (stats === null) return refuse(path, "no such file");
      if (name === null || stats.isDirectory()) return refuse(path, "is a folder, not a file");
      if (!stats.isFile()) return refuse(path, `is ${kindOf(stats)}, not a regular file`);
      const file = await folder.openFile(name);
      if (isSameFile(file.stats, stats)) return file;
      await file.handle.close();
      return refuse(path, "changed while it was opened; try again");
    });
  }

  /** What is there; null for nothing. @throws {Fault} PATH_REFUSED */
  async kind(path: string): Promise<"file" | "folder" | "other" | null> {
    return this.#with(path, {}, async ({ stats }) => {
      if (stats === null) return null;
      return stats.isFile() ? "file" : stats.isDirectory() ? "folder" : "other";
    });
  }

  /** Opens a folder; the caller closes it. @throws {Fault} PATH_REFUSED */
  async openFolder(path: string): Promise<Folder> {
    return this.#with(path, {}, async ({ folder, name, stats }) => {
      if (stats === null) return refuse(path, "no such folder");
      if (name === null) return folder;
      if (!stats.isDirectory()) return refuse(path, `is ${kindOf(stats)}, not a folder`);
      return folder.enter(name);
    });
  }

  /** The real path of a folder, e.g. to start a command in. @throws {Fault} PATH_REFUSED */
  async realFolder(path: string): Promise<string> {
    const folder = await this.openFolder(path);
    try {
      return await folder.realPath();
    } finally {
      await folder.close();
    }
  }

  /**
   * Puts `bytes` in the place of a file: all of them or, after a crash, none. Makes missing folders; keeps the mode of an existing file.
   * @returns whether the file was there before.
   * @throws {Fault} PATH_REFUSED
   */
  async replaceFile(path: string, bytes: Uint8Array, options: ReplaceOptions = {}): Promise<boolean> {
    return this.#with(path, { makeFolders: true }, async ({ folder, name, stats }) => {
      if (name === null || stats?.isDirectory()) return refuse(path, "is a folder, not a file");
      if (stats !== null && !stats.isFile()) return refuse(path, `is ${kindOf(stats)}, not a regular file`);
      options.check?.(posix.join(posix.relative(this.#root, await folder.realPath()), name));
      const temporary = folder.at(`.yard-${Buffer.from(this.#random(8)).toString("hex")}.tmp`);
      const handle = await open(temporary, CREATE_FILE, 0o666);
      try {
        await handle.writeFile(bytes);
        if (stats !== null) await handle.chmod(stats.mode & 0o777);
        await handle.datasync();
        await folder.realPath();
        if (options.unchangedSince !== undefined && !isUnchanged(options.unchangedSince, await lstat(folder.at(name)))) {
          refuse(path, "was changed by somebody else meanwhile; read it again");
        }
        await rename(temporary, folder.at(name));
      } catch (error) {
        await unlink(temporary).catch(() => {});
        throw error;
      } finally {
        await handle.close();
      }
      return stats !== null;
    });
  }

  /** Walks to a path and closes the folder where it ended, unless that is what `use` returns. */
  async #with<T>(path: string, options: { makeFolders?: boolean }, use: (place: Place) => Promise<T>): Promise<T> {
    const pending = this.#namesInside(path);
    const place = await this.#walk(path, pending, options.makeFolders ?? false).catch((error: unknown) => refuseFor(path, error));
    let result: T | undefined;
    try {
      return (result = await use(place).catch((error: unknown) => refuseFor(path, error)));
    } finally {
      if ((result as unknown) !== place.folder) await place.folder.close();
    }
  }

  async #walk(path: string, names: readonly string[], makeFolders: boolean): Promise<Place> {
    const pending = names.toReversed();
    const walked: string[] = [];
    let folder = await this.#openRoot();
    const restart = async (): Promise<void> => {
      await folder.close();
      folder = await this.#openRoot();
      pending.push(...walked.splice(0).reverse());
    };
    try {
      for (let steps = 0; steps < STEPS_MAX; steps++) {
        const name = pending.pop();
        if (name === undefined) return { folder, name: null, stats: await lstat(folder.at(".")) };
        if (name === "..") {
          if (walked.pop() === undefined) refuse(path, "leads out of the workspace");
          await restart();
          continue;
        }
        const stats = await lstat(folder.at(name)).catch(nullWhenMissing);
        if (stats?.isSymbolicLink()) {
          const target = await readlink(folder.at(name));
          if (isAbsolute(target)) {
            const inside = namesBelow(namesIn(this.#root), namesIn(target)) ?? refuse(path, "is a link that leads out of the workspace");
            walked.length = 0;
            pending.push(...inside.toReversed());
            await restart();
          } else {
            pending.push(...namesIn(target).reverse());
          }
          continue;
        }
        if (pending.length === 0) return { folder, name, stats };
        if (stats === null) {
          if (!makeFolders) refuse(path, `no such folder ${[...walked, name].join("/")}`);
          if (pending.includes("..")) refuse(path, "goes up from a folder that does not exist");
          await mkdir(folder.at(name)).catch(ignoreExisting);
        }
        const entered = await folder.enter(name);
        await folder.close();
        folder = entered;
        walked.push(name);
      }
      return refuse(path, "has too many folders or links");
    } catch (error) {
      await folder.close();
      throw error;
    }
  }

  #namesInside(path: string): readonly string[] {
    if (path.includes("\0")) refuse(path.replaceAll("\0", "\\0"), "holds a NUL character");
    if (path.length > PATH_MAX_CHARS) refuse(`${path.slice(0, 80)}...`, `is longer than ${PATH_MAX_CHARS} characters`);
    const names = namesIn(path);
    if (path.startsWith("\\\\") || names[0] === "~") refuse(path, "name it relative to the workspace");
    if (!isAbsolute(path)) return names;
    return namesBelow(this.#given, names) ?? namesBelow(namesIn(this.#root), names) ?? refuse(path, "is outside the workspace; name it relative to the workspace");
  }

  async #openRoot(): Promise<Folder> {
    return this.#folder(await open(this.#root, OPEN_FOLDER), this.#root);
  }

  #folder(handle: FileHandle, path: string): Folder {
    const here = this.#hasOpenat ? `/proc/self/fd/${handle.fd}` : path;
    const realPath = async (): Promise<string> => {
      const found = this.#hasOpenat ? await readlink(here) : await realpath(here);
      const isInside = namesBelow(namesIn(this.#root), namesIn(found)) !== null;
      const isStillThere = this.#hasOpenat || isSameFile(await lstat(found), await handle.stat());
      return isInside && isStillThere ? found : refuse(path, "was moved while it was used; try again");
    };
    return {
      at: (name) => `${here}/${name}`,
      enter: async (name) => {
        const entered = this.#folder(await open(`${here}/${name}`, OPEN_FOLDER), `${path}/${name}`);
        if (!this.#hasOpenat) await entered.realPath().catch(async (error: unknown) => (await entered.close(), Promise.reject(error)));
        return entered;
      },
      openFile: async (name) => {
        const opened = await open(`${here}/${name}`, OPEN_FILE);
        try {
          const stats = await opened.stat();
          if (!stats.isFile()) refuse(name, `is ${kindOf(stats)}, not a regular file`);
          await realPath();
          return { handle: opened, stats };
        } catch (error) {
          await opened.close();
          throw error;
        }
      },
      entries: () => opendir(`${here}/.`),
      realPath,
      close: () => handle.close(),
    };
  }
}

/** The whole file as it was when it was opened, or null when it is larger than `maxBytes`. */
export async function readWhole({ handle, stats }: OpenFile, maxBytes: number): Promise<Buffer | null> {
  if (stats.size > maxBytes) return null;
  const bytes = Buffer.allocUnsafe(stats.size);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

function namesIn(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** What is left of `names` below `root`, or null when they lead elsewhere. */
function namesBelow(root: readonly string[], names: readonly string[]): readonly string[] | null {
  return root.every((name, index) => names[index] === name) ? names.slice(root.length) : null;
}

function isSameFile(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

function isUnchanged(before: Stats, now: Stats): boolean {
  return isSameFile(before, now) && before.mtimeMs === now.mtimeMs && before.size === now.size;
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFile()) return "a file";
  if (stats.isSymbolicLink()) return "a link";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return "a device";
}

function nullWhenMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

function refuse(path: string, problem: string): never {
  throw new Fault("PATH_REFUSED", { path, problem });
}

const PROBLEMS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "the system does not permit it",
  EDQUOT: "the disk quota is used up",
  EINVAL: "changed while it was opened; try again",
  EFBIG: "the file would be too large",
  EISDIR: "is a folder, not a file",
  ELOOP: "changed while it was opened; try again",
  EMFILE: "too many files are open; try again",
  ENAMETOOLONG: "a name in it is too long",
  ENOENT: "no such file or folder",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of it is not a folder",
  ENXIO: "is a FIFO or device, not a regular file",
  EROFS: "the disk is read-only",
};

/** Says in words what the system refused; passes everything else on. */
function refuseFor(path: string, error: unknown): never {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (error instanceof Fault || typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) throw error;
  throw new Fault("PATH_REFUSED", { path, problem: PROBLEMS[code] ?? code }, { cause: error });
}
