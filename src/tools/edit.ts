/**
 * `edit`: replaces an exact piece of a text file.
 *
 * Refuses to guess: the piece must be there exactly once, or `all` be set; otherwise the answer says
 * where it is, or what comes nearest. Line ends, byte order mark and file mode stay as they are.
 *
 * Effect class `once`: a second run would not find the piece that the first one replaced.
 */
import type { RandomBytes } from "../base/ids.ts";
import type { Tool, ToolOutcome } from "../model/tool.ts";
import { readWhole, Workspace, type OpenFile } from "./confine.ts";
import { checkFences } from "./fences.ts";
import { inputShape, optional, text, yesNo } from "./input.ts";

/** The largest file that is edited, bytes. */
const EDIT_MAX_BYTES = 10 * 1024 * 1024;
const PIECE_MAX_CHARS = 1_000_000;
/** How many places are named when a piece is not unique. */
const PLACES_SHOWN_MAX = 10;

const INPUT = inputShape({
  path: text({ min: 1, max: 4096 }),
  old: text({ min: 1, max: PIECE_MAX_CHARS }),
  new: text({ max: PIECE_MAX_CHARS }),
  all: optional(yesNo()),
});

export function makeEditTool({ random }: { random: RandomBytes }): Tool {
  return {
    name: "edit",
    description: "Replaces text in a file: old must match exactly and once, or set all.",
    inputSchema: INPUT.schema,
    effect: "once",
    parallel: false,
    async run(input, context) {
      const { path, old, new: replacement, all = false } = INPUT.parse("edit", input);
      if (old === replacement) return failed("old and new are the same; nothing to do");
      checkFences(context, path);
      const workspace = await Workspace.open(context.workspace, random);
      const file = await workspace.openFile(path);
      const before = await readText(file).finally(() => file.handle.close());
      if (before === null) return failed(`${path} is not UTF-8 text, or larger than ${EDIT_MAX_BYTES} bytes; use a command`);

      const places = placesOf(before, old);
      if (places.length === 0) return failed(`old is not in ${path}${nearest(before, old)}`);
      if (places.length > 1 && !all) {
        const shown = places.slice(0, PLACES_SHOWN_MAX).map((at) => lineOf(before, at)).join(", ");
        return failed(`old is in ${path} ${places.length} times, at lines ${shown}${places.length > PLACES_SHOWN_MAX ? "..." : ""}; give more of the text around the one you mean, or set all`);
      }
      const after = before.split(old).join(replacement);
      await workspace.replaceFile(path, Buffer.from(after), { unchangedSince: file.stats, check: (real) => checkFences(context, real) });
      return { text: `replaced ${places.length === 1 ? `line ${lineOf(before, places[0]!)}` : `${places.length} places`} of ${path}` };
    },
  };
}

/** Null when it is too large or not valid UTF-8: writing it back would change what was not meant. */
async function readText(file: OpenFile): Promise<string | null> {
  const bytes = await readWhole(file, EDIT_MAX_BYTES);
  if (bytes === null) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function placesOf(text: string, piece: string): readonly number[] {
  const places: number[] = [];
  for (let at = text.indexOf(piece); at >= 0; at = text.indexOf(piece, at + piece.length)) places.push(at);
  return places;
}

function lineOf(text: string, at: number): number {
  let line = 1;
  for (let newline = text.indexOf("\n"); newline >= 0 && newline < at; newline = text.indexOf("\n", newline + 1)) line++;
  return line;
}

/** Where the first line of the piece is, white space aside. */
function nearest(text: string, piece: string): string {
  const first = piece.split("\n").map((line) => line.trim()).find((line) => line !== "");
  const line = first === undefined ? -1 : text.split("\n").findIndex((candidate) => candidate.trim() === first);
  if (line < 0) return "; read the file and copy the text exactly";
  return `; its first line is at line ${line + 1}, but the white space or what follows differs: read from there and copy the text exactly`;
}

function failed(text: string): ToolOutcome {
  return { text, isError: true };
}
