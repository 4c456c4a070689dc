/**
 * Searches the lines of the text files below a folder: what `grep` does, here or in its worker.
 *
 * Files that are binary or too large are passed over and counted.
 */
import { readWhole, type OpenFile, type Workspace } from "./confine.ts";
import { prefixFor, walk } from "./walk.ts";

/** The largest file that is searched, bytes. */
const FILE_MAX_BYTES = 8 * 1024 * 1024;
/** How many lines one search gives. */
const MATCHES_MAX = 200;
/** How much of a line is shown, characters. */
const LINE_SHOWN_MAX_CHARS = 300;

export interface SearchRequest {
  /** A folder or one file. */
  readonly path: string;
  /** Which files, by path from the folder. */
  readonly wants: (path: string) => boolean;
  /** Quick look at a file's bytes: false = no line can match. */
  readonly mayMatch: (bytes: Buffer) => boolean;
  readonly matches: (line: string) => boolean;
  readonly signal: AbortSignal;
}

/** @returns lines `path:number:text`, and notes on what was left out; text for the model. @throws {Fault} PATH_REFUSED */
export async function search(workspace: Workspace, request: SearchRequest): Promise<string> {
  const lines: string[] = [];
  const notes: string[] = [];
  const prefix = prefixFor(request.path);
  let tooLarge = 0;
  const isFull = (): boolean => lines.length >= MATCHES_MAX;

  if ((await workspace.kind(request.path)) === "file") {
    await searchFile(request.path, await workspace.openFile(request.path));
  } else {
    const folder = await workspace.openFolder(request.path);
    try {
      const onCut = (): void => void notes.push("[there are more files than were looked at; narrow the path]");
      for await (const entry of walk(folder, { signal: request.signal, onCut })) {
        if (entry.kind !== "file" || !request.wants(entry.path)) continue;
        // What cannot be read, or is not what it was a moment ago, is passed over.
        const file = await entry.folder.openFile(entry.name).catch(() => null);
        if (file !== null) await searchFile(prefix + entry.path, file);
        if (isFull()) break;
      }
    } finally {
      await folder.close();
    }
  }
  if (isFull()) notes.push(`[only the first ${MATCHES_MAX} matches; narrow the pattern, the path or the glob]`);
  if (tooLarge > 0) notes.push(`[${tooLarge} files over ${FILE_MAX_BYTES} bytes were not searched; use a command]`);
  if (lines.length === 0) notes.unshift("[no line matches]");
  return [...lines, ...notes].join("\n");

  async function searchFile(path: string, file: OpenFile): Promise<void> {
    const bytes = await readWhole(file, FILE_MAX_BYTES).finally(() => file.handle.close());
    if (bytes === null) tooLarge++;
    else if (!bytes.includes(0) && request.mayMatch(bytes)) searchText(path, bytes.toString("utf8"));
  }

  function searchText(path: string, text: string): void {
    let number = 0;
    for (const line of text.split("\n")) {
      number++;
      if (isFull()) return;
      const shown = line.endsWith("\r") ? line.slice(0, -1) : line;
      if (request.matches(shown)) lines.push(`${path}:${number}:${shown.slice(0, LINE_SHOWN_MAX_CHARS)}`);
    }
  }
}
