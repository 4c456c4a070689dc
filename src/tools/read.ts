/**
 * `read`: the text of a file in the workspace, from a line on.
 *
 * Reads only as far as needed and never more than a bound, so a file of any size costs the same.
 */
import type { RandomBytes } from "../base/ids.ts";
import type { Tool } from "../model/tool.ts";
import { Workspace, type OpenFile } from "./confine.ts";
import { inputShape, optional, text, wholeNumber } from "./input.ts";

/** The most text that one call gives, bytes. */
const READ_MAX_BYTES = 256 * 1024;
/** How far into a file `offset` may reach, bytes. */
const SCAN_MAX_BYTES = 64 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const LINES_MAX = 10_000_000;
const NEWLINE = 10;

const INPUT = inputShape({
  path: text({ min: 1, max: 4096 }),
  offset: optional(wholeNumber({ min: 1, max: LINES_MAX })),
  limit: optional(wholeNumber({ min: 1, max: LINES_MAX })),
});

export function makeReadTool({ random }: { random: RandomBytes }): Tool {
  return {
    name: "read",
    description: "Reads a text file of the workspace. offset: first line, from 1; limit: lines.",
    inputSchema: INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(input, context) {
      const { path, offset = 1, limit = LINES_MAX } = INPUT.parse("read", input);
      const workspace = await Workspace.open(context.workspace, random);
      const file = await workspace.openFile(path);
      try {
        return describe(path, file, offset, await readLines(file, offset, limit, context.signal));
      } finally {
        await file.handle.close();
      }
    },
  };
}

interface Lines {
  readonly bytes: Buffer;
  /** How many line ends are in `bytes`. */
  readonly lines: number;
  readonly end: "file" | "limit" | "bytes" | "scan";
}

async function readLines({ handle }: OpenFile, offset: number, limit: number, signal: AbortSignal): Promise<Lines> {
  const kept: Buffer[] = [];
  let keptBytes = 0;
  let line = 1;
  for (let position = 0; position < SCAN_MAX_BYTES; ) {
    signal.throwIfAborted();
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return { bytes: Buffer.concat(kept), lines: line - offset, end: "file" };
    position += bytesRead;
    const chunk = buffer.subarray(0, bytesRead);
    let from = 0;
    while (line < offset && from < chunk.length) {
      const newline = chunk.indexOf(NEWLINE, from);
      from = newline < 0 ? chunk.length : newline + 1;
      if (newline >= 0) line++;
    }
    let to = from;
    while (line >= offset && to < chunk.length && line < offset + limit) {
      const newline = chunk.indexOf(NEWLINE, to);
      to = newline < 0 ? chunk.length : newline + 1;
      if (newline >= 0) line++;
    }
    const wanted = chunk.subarray(from, Math.min(to, from + READ_MAX_BYTES - keptBytes));
    kept.push(wanted);
    keptBytes += wanted.length;
    if (keptBytes === READ_MAX_BYTES) {
      const bytes = Buffer.concat(kept);
      // Whole lines only, unless one line is longer than everything that may be given.
      const whole = bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1);
      return { bytes: whole.length > 0 ? whole : bytes, lines: countNewlines(whole), end: "bytes" };
    }
    if (line >= offset + limit) return { bytes: Buffer.concat(kept), lines: limit, end: "limit" };
  }
  return { bytes: Buffer.concat(kept), lines: line - offset, end: "scan" };
}

function describe(path: string, { stats }: OpenFile, offset: number, { bytes, lines, end }: Lines) {
  if (bytes.includes(0)) return { text: `${path} is a binary file of ${stats.size} bytes; look at it with a command`, isError: true };
  if (bytes.length === 0 && end === "scan") return { text: `line ${offset} of ${path} lies more than ${SCAN_MAX_BYTES} bytes into the file; use a command such as sed`, isError: true };
  if (bytes.length === 0) return stats.size === 0 ? { text: "[the file is empty]" } : { text: `[the file ends before line ${offset}]` };
  const decoded = bytes.toString("utf8");
  const notes: string[] = [];
  if (end === "bytes" && lines === 0) notes.push(`[line ${offset} is longer than ${READ_MAX_BYTES} bytes and was cut]`);
  else if (end === "bytes" || end === "limit") notes.push(`[lines ${offset}-${offset + lines - 1}; the file may go on: offset ${offset + lines}]`);
  if (decoded.includes("\uFFFD")) notes.push("[not valid UTF-8 throughout; what could not be read is shown as \uFFFD]");
  return { text: notes.length === 0 ? decoded : `${decoded}${decoded.endsWith("\n") ? "" : "\n"}${notes.join("\n")}` };
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}
