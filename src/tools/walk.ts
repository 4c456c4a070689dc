/**
 * Goes through a folder and what is below it, in order of names, without following links.
 *
 * Each folder is opened inside the one above it, so a walk stays inside the workspace whatever
 * changes meanwhile; what vanishes on the way is left out.
 */
import type { Folder } from "./confine.ts";

/** Folders that nobody means when they search a project. Name one as the start to look inside. */
const SKIPPED: ReadonlySet<string> = new Set([".git", "node_modules"]);

/** How deep a walk goes at most; each level holds one folder open. */
export const WALK_DEPTH_MAX = 32;
/** How many names one walk looks at. */
const WALK_ENTRIES_MAX = 50_000;

export interface Entry {
  /** From where the walk began, with `/` between names. */
  readonly path: string;
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
  /** Where it lies; open until the walk moves on. */
  readonly folder: Folder;
}

export interface WalkOptions {
  /** 1 = only what lies in the folder itself. */
  readonly depth?: number;
  /** True: show skipped folders without what is in them. */
  readonly showSkipped?: boolean;
  readonly signal?: AbortSignal;
  /** Called once when the walk ends early because there is too much. */
  readonly onCut?: () => void;
}

/** @throws the signal's reason when aborted. */
export async function* walk(start: Folder, options: WalkOptions = {}): AsyncGenerator<Entry> {
  const { depth = WALK_DEPTH_MAX, showSkipped = false, signal, onCut } = options;
  let left = WALK_ENTRIES_MAX;
  yield* below(start, "", Math.min(depth, WALK_DEPTH_MAX));

  async function* below(folder: Folder, prefix: string, levels: number): AsyncGenerator<Entry> {
    for (const { name, kind } of await namesOf(folder)) {
      signal?.throwIfAborted();
      const isSkipped = kind === "folder" && SKIPPED.has(name);
      if (isSkipped && !showSkipped) continue;
      const path = prefix + name;
      yield { path, name, kind, folder };
      if (kind !== "folder" || isSkipped || levels <= 1) continue;
      const inner = await folder.enter(name).catch(nullWhenUnreadable);
      if (inner === null) continue;
      try {
        yield* below(inner, `${path}/`, levels - 1);
      } finally {
        await inner.close();
      }
    }
  }

  async function namesOf(folder: Folder): Promise<readonly Pick<Entry, "name" | "kind">[]> {
    const found: Pick<Entry, "name" | "kind">[] = [];
    const entries = await folder.entries().catch(nullWhenUnreadable);
    if (entries === null) return found;
    for await (const entry of entries) {
      if (left === 0) {
        onCut?.();
        break;
      }
      left--;
      const kind = entry.isFile() ? "file" : entry.isDirectory() ? "folder" : entry.isSymbolicLink() ? "link" : "other";
      found.push({ name: entry.name, kind });
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** What to put before the paths of a walk so that they can be given to other tools. */
export function prefixFor(path: string): string {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.length === 0) return path.startsWith("/") ? "/" : "";
  return `${path.startsWith("/") ? "/" : ""}${names.join("/")}/`;
}

/** A folder that is gone, became a link or may not be read is passed over. */
function nullWhenUnreadable(error: NodeJS.ErrnoException): null {
  if (["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM"].includes(error.code ?? "")) return null;
  throw error;
}
