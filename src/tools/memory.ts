/**
 * `memory`: lasting notes in MEMORY.md of the workspace, one dated bullet each.
 *
 * Always true:
 *   - notes that are added at the same moment are all kept: one writer per workspace at a time
 *   - the same call adds its note once, also when it runs again after a crash: each bullet ends with
 *     an HTML comment that holds the call's key, which `read` and `search` do not show
 */
import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import type { Tool, ToolContext, ToolOutcome } from "../model/tool.ts";
import { readWhole, Workspace } from "./confine.ts";
import { inputShape, oneOf, optional, text } from "./input.ts";

const FILE = "MEMORY.md";
const MEMORY_MAX_BYTES = 256 * 1024;
/** A person may have written more; it is still read. */
const LOAD_MAX_BYTES = 1024 * 1024;
const NOTE_MAX_CHARS = 4000;
/** How many notes a search gives. */
const FOUND_MAX = 50;
const NEWLINE = 10;
const KEY_COMMENT = / ?<!-- key:[0-9a-f]{16} -->/g;

const INPUT = inputShape({
  action: oneOf("read", "append", "search"),
  text: optional(text({ min: 1, max: NOTE_MAX_CHARS })),
  query: optional(text({ min: 1, max: 200 })),
});

export function makeMemoryTool({ clock, random }: { clock: Clock; random: RandomBytes }): Tool {
  /** The last writer in line for each workspace. */
  const writers = new Map<string, Promise<unknown>>();
  return {
    name: "memory",
    description: "Lasting notes in MEMORY.md: read all, append text, or search words of query.",
    inputSchema: INPUT.schema,
    effect: "keyed",
    parallel: false,
    async run(input, context) {
      const { action, text, query } = INPUT.parse("memory", input);
      const workspace = await Workspace.open(context.workspace, random);
      switch (action) {
        case "read":
          return { text: (await shown(workspace)) || "[there are no notes yet]" };
        case "search":
          return query === undefined ? failed("query is missing: the words to look for") : { text: findNotes(await shown(workspace), query) };
        case "append":
          return text === undefined ? failed("text is missing: the note to add") : inLine(workspace.root, () => append(workspace, text, context));
      }
    },
  };

  async function append(workspace: Workspace, note: string, context: ToolContext): Promise<ToolOutcome> {
    const before = await load(workspace);
    const key = `<!-- key:${keyOf(context)} -->`;
    if (before.bytes.includes(key)) return { text: "noted" };
    const date = new Date(clock.now()).toISOString().slice(0, 10);
    // Indented, so that a note of several lines stays one bullet.
    const body = withoutKeys(note.trim()).split(/\r?\n/).join("\n  ");
    const lineEnd = before.bytes.length === 0 || before.bytes.at(-1) === NEWLINE ? "" : "\n";
    const after = Buffer.concat([before.bytes, Buffer.from(`${lineEnd}- ${date} ${body} ${key}\n`)]);
    if (after.length > MEMORY_MAX_BYTES) return failed(`${FILE} is full (${MEMORY_MAX_BYTES} bytes); shorten it with edit or write first`);
    await workspace.replaceFile(FILE, after, before.stats === null ? {} : { unchangedSince: before.stats });
    return { text: "noted" };
  }

  async function inLine<T>(root: string, work: () => Promise<T>): Promise<T> {
    const before = writers.get(root) ?? Promise.resolve();
    const mine = before.then(work, work);
    writers.set(root, mine);
    try {
      return await mine;
    } finally {
      if (writers.get(root) === mine) writers.delete(root);
    }
  }
}

/** Empty when there is no such file. @throws {Fault} PATH_REFUSED */
async function load(workspace: Workspace): Promise<{ readonly bytes: Buffer; readonly stats: Stats | null }> {
  if ((await workspace.kind(FILE)) === null) return { bytes: Buffer.alloc(0), stats: null };
  const file = await workspace.openFile(FILE);
  const bytes = await readWhole(file, LOAD_MAX_BYTES).finally(() => file.handle.close());
  if (bytes === null) throw new Fault("PATH_REFUSED", { path: FILE, problem: `is larger than ${LOAD_MAX_BYTES} bytes; shorten it with a command` });
  return { bytes, stats: file.stats };
}

function keyOf({ session, turnId, stepKey }: ToolContext): string {
  return createHash("sha256").update(JSON.stringify([session, turnId, stepKey])).digest("hex").slice(0, 16);
}

async function shown(workspace: Workspace): Promise<string> {
  return withoutKeys((await load(workspace)).bytes.toString("utf8"));
}

function withoutKeys(notes: string): string {
  return notes.replace(KEY_COMMENT, "");
}

/** Paragraphs and bullets that hold every word, latest last. */
function findNotes(notes: string, query: string): string {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const found = notes.split(/\n(?=[-#*]|\n)/).map((note) => note.trim()).filter((note) => {
    const lower = note.toLowerCase();
    return note !== "" && words.every((word) => lower.includes(word));
  });
  return found.slice(-FOUND_MAX).join("\n") || "[no note holds all of these words]";
}

function failed(text: string): ToolOutcome {
  return { text, isError: true };
}
