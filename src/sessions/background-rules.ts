/**
 * Which messages are done in the background from the start: decided here, by what a person asked
 * and what the workspace says, not by the model's willingness.
 */
import { statSync } from "node:fs";
import { resolve } from "node:path";

export interface BackgroundLimits {
  /** Words that ask for it, in any case. */
  readonly phrases: readonly string[];
  readonly urlsMin: number;
  readonly fileBytesMin: number;
  readonly charactersMin: number;
}

/** File names looked up per message at most. */
const FILES_LOOKED_AT_MAX = 10;

/**
 * @param taskHandling  the "Task handling" section of AGENTS.md, or null when there is none; the
 *                      limits on size count only when there is one.
 * @returns why it belongs in the background, or null.
 */
export function backgroundReason(text: string, taskHandling: string | null, workspace: string, limits: BackgroundLimits): string | null {
  const lower = text.toLowerCase();
  const phrase = limits.phrases.find((one) => lower.includes(one.toLowerCase()));
  if (phrase !== undefined) return `it says ${JSON.stringify(phrase)}`;
  if (taskHandling === null) return null;
  const kind = kindsOfTask(taskHandling).find((one) => lower.includes(one));
  if (kind !== undefined) return `AGENTS.md names ${JSON.stringify(kind)} under task handling`;
  const urls = text.match(/https?:\/\/\S+/g)?.length ?? 0;
  if (urls >= limits.urlsMin) return `it names ${urls} addresses`;
  if (text.length >= limits.charactersMin) return `it is ${text.length} characters long`;
  const large = filesNamed(text).find((path) => sizeOf(resolve(workspace, path)) >= limits.fileBytesMin);
  return large === undefined ? null : `${large} is large`;
}

/** The `## Task handling` section of a Markdown text, without its heading. */
export function taskHandlingOf(markdown: string): string | null {
  const match = /^#{1,6}[ \t]*task handling[ \t]*$([\s\S]*?)(?=^#{1,6}[ \t]|(?![\s\S]))/im.exec(markdown);
  return match === null ? null : match[1]!.trim();
}

/** "For tasks involving: file analysis, web scraping, …" and list items: short kinds of work, in lower case. */
function kindsOfTask(section: string): string[] {
  const named = /involving:?([^.\n]*(?:\n(?![-*#\n])[^.\n]*)*)/i.exec(section)?.[1] ?? "";
  const listed = [...section.matchAll(/^[ \t]*[-*][ \t]+(.+)$/gm)].map((match) => match[1]!).join(",");
  return `${named},${listed}`
    .split(/[,;\n]|\bor\b/)
    .map((kind) => kind.replace(/(?:→|\bover\b|\bmore than\b)[^]*/i, "").trim().toLowerCase())
    .filter((kind) => /^[\p{L}][\p{L} -]{3,40}$/u.test(kind) && kind.split(" ").length <= 4);
}

/** Bounded, and from the start of a word only, so that a long text without blanks costs no more than others. */
function filesNamed(text: string): string[] {
  return (text.match(/(?<![\w./-])[\w./-]{0,200}\w\.\w{1,8}\b/g) ?? []).slice(0, FILES_LOOKED_AT_MAX);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
