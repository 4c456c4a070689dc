/**
 * What a watched file is like, as a short text that changes when the file does.
 *
 * A branch is looked up in the repository's own files (a loose ref, or the packed ones), so no git
 * is run for it.
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { Schedule } from "../model/job.ts";

/** Larger files are told apart by size and time of change alone. */
const HASHED_BYTES_MAX = 1_000_000;
const PACKED_REFS_BYTES_MAX = 10_000_000;
const SYMBOLIC_STEPS_MAX = 5;

/** A file that changed this shortly before it was read may change once more without another time of change, milliseconds. */
const SETTLED_AFTER_MS = 2_000;

interface Read {
  /** By which a change is noticed without reading. */
  readonly stamp: string;
  readonly print: string;
}

export class WatchedFiles {
  readonly #nowMs: () => number;
  readonly #read: (path: string) => Uint8Array;
  /** What was read at the looks before, by path. */
  #known = new Map<string, Read>();
  #seen = new Map<string, Read>();

  constructor(nowMs: () => number, read: (path: string) => Uint8Array = readFileSync) {
    this.#nowMs = nowMs;
    this.#read = read;
  }

  /** @returns null when there is no such file or ref. */
  fingerprintOf({ path, ref }: Schedule & { kind: "file" }): string | null {
    return ref === null ? this.#ofFile(path) : ofRef(path, ref);
  }

  /** All files were looked at: those that were not are forgotten. */
  looked(): void {
    this.#known = this.#seen;
    this.#seen = new Map();
  }

  /** A file that has not been touched since it was read is not read again. */
  #ofFile(path: string): string | null {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return null;
    if (!stat.isFile() || stat.size > HASHED_BYTES_MAX) return `${stat.size}.${stat.mtimeMs}`;
    const stamp = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
    const before = this.#seen.get(path) ?? this.#known.get(path);
    const isKnown = before?.stamp === stamp;
    const print = isKnown ? before.print : createHash("sha256").update(this.#read(path)).digest("hex").slice(0, 32);
    const touchedMs = this.#nowMs() - Math.max(stat.mtimeMs, stat.ctimeMs);
    if (isKnown || touchedMs > SETTLED_AFTER_MS) this.#seen.set(path, { stamp, print });
    return print;
  }
}

function ofRef(repository: string, name: string): string | null {
  const folder = gitFolder(repository);
  if (folder === null) return null;
  const common = readLine(join(folder, "commondir"));
  const places = common === null ? [folder] : [folder, resolve(folder, common)];
  let ref = name;
  for (let step = 0; step < SYMBOLIC_STEPS_MAX; step++) {
    const value = findRef(places, ref);
    if (value === null || !value.startsWith("ref: ")) return value;
    ref = value.slice("ref: ".length);
  }
  return null;
}

function findRef(places: readonly string[], ref: string): string | null {
  const names = ref === "HEAD" || ref.startsWith("refs/") ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`, `refs/remotes/${ref}`];
  for (const name of names) {
    for (const place of places) {
      const loose = readLine(join(place, name));
      if (loose !== null) return loose;
    }
    for (const place of places) {
      const packed = packedRef(join(place, "packed-refs"), name);
      if (packed !== null) return packed;
    }
  }
  return null;
}

/** `.git` is a folder, or (in a worktree) a file that names one. */
function gitFolder(repository: string): string | null {
  const dotGit = join(repository, ".git");
  const stat = statSync(dotGit, { throwIfNoEntry: false });
  if (stat === undefined) return statSync(join(repository, "HEAD"), { throwIfNoEntry: false })?.isFile() === true ? repository : null;
  if (stat.isDirectory()) return dotGit;
  const line = readLine(dotGit);
  if (line === null || !line.startsWith("gitdir: ")) return null;
  const named = line.slice("gitdir: ".length);
  return isAbsolute(named) ? named : resolve(repository, named);
}

function packedRef(file: string, name: string): string | null {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || stat.size > PACKED_REFS_BYTES_MAX) return null;
  const line = readFileSync(file, "utf8").split("\n").find((each) => each.endsWith(` ${name}`));
  return line === undefined ? null : line.split(" ")[0]!;
}

function readLine(file: string): string | null {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile() || stat.size > HASHED_BYTES_MAX) return null;
  return readFileSync(file, "utf8").split("\n")[0]!.trim();
}
