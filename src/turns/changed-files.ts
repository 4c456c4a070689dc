/**
 * The newest change of a file below a folder: a sign that a command which has run for long brings
 * something, whatever it prints.
 *
 * Not counted: what is in `.git` and `node_modules`, in the gateway's own folder, behind links, and
 * output: a file that a running command of ours has as its standard output or error, and `*.log`.
 * Bytes are not progress.
 *
 * Always true: one look at a time, over {@link NAMES_MAX} names and {@link LOOK_MAX_MS} at most; those
 * who ask for the same folder meanwhile share the next one. A folder that cannot be read shows nothing.
 */
import { lstat, opendir, realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { FileChange } from "../model/supervision.ts";

/** Names that one look goes over: about two seconds of small pieces. */
const NAMES_MAX = 50_000;
/** How long one look may take; well below the time in which the store wants its answer. */
const LOOK_MAX_MS = 3_000;
const SKIPPED: ReadonlySet<string> = new Set([".git", "node_modules"]);
/** A file from further in the future was there before the clock was set back. */
const AHEAD_MAX_MS = 1_000;

export interface ChangedFilesDeps {
  readonly clock: Clock;
  /** Folders that are never looked into from above. */
  readonly apart: readonly string[];
  /** The files, as `<device>:<inode>`, to which commands of ours write their output now. */
  readonly outputs: () => Promise<ReadonlySet<string>>;
}

export class ChangedFiles {
  readonly #deps: ChangedFilesDeps;
  readonly #asked = new Map<string, Promise<FileChange | null>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: ChangedFilesDeps) {
    this.#deps = deps;
  }

  /** @returns null when there is no file that counts, or none was come upon in time. */
  newest(folder: string): Promise<FileChange | null> {
    const asked = this.#asked.get(folder);
    if (asked !== undefined) return asked;
    const look = this.#last.then(() => {
      this.#asked.delete(folder);
      return this.#look(folder).catch(() => null);
    });
    this.#asked.set(folder, look);
    this.#last = look;
    return look;
  }

  async #look(folder: string): Promise<FileChange | null> {
    const { clock } = this.#deps;
    const root = await realpath(folder);
    const apart = await Promise.all(this.#deps.apart.map((path) => realpath(path).catch(() => path)));
    const outputs = await this.#deps.outputs();
    const endMs = clock.monotonic() + LOOK_MAX_MS;
    const latest = clock.now() + AHEAD_MAX_MS;
    let newest: FileChange | null = null;
    let names = 0;
    // Nearest first: what is cut off lies deepest.
    const folders = [root];
    for (let path = folders.shift(); path !== undefined; path = folders.shift()) {
      const entries = await opendir(path).catch(() => null);
      if (entries === null) continue;
      for await (const entry of entries) {
        if (++names > NAMES_MAX || clock.monotonic() > endMs) return newest;
        const inner = join(path, entry.name);
        if (entry.isDirectory()) {
          if (!SKIPPED.has(entry.name) && !apart.includes(inner)) folders.push(inner);
        } else if (entry.isFile() && !entry.name.endsWith(".log")) {
          const file = await lstat(inner).catch(() => null);
          if (file === null || outputs.has(`${file.dev}:${file.ino}`)) continue;
          // The time of change, which no program can set; a file that was unpacked has an old time of writing.
          const at = Math.floor(file.ctimeMs);
          if (at <= latest && at > (newest?.at ?? 0)) newest = { path: relative(root, inner), at };
        }
      }
    }
    return newest;
  }
}
