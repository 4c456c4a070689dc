/**
 * Compaction: the older part of a conversation becomes a summary. The session and its key stay,
 * and the transcript keeps every entry; only what the model is told gets shorter.
 *
 *     small ──grows──▶ nearly full ──after a turn, beside the conversation──▶ small
 *                          └──grows on──▶ full ──before the next turn, which waits──▶ small
 *
 * Always true:
 *   - the cut is just before something that a person or a child said, never between a tool call
 *     and its result
 *   - a summary and the fact that it stands for those entries are one write: after a kill there is
 *     the old context or the new one, and the next turn begins the work anew where need be
 */
import type { ChatMessage } from "../model/chat.ts";
import type { Entry } from "../model/turn.ts";
import { sizeOf } from "./context.ts";

/** What one token is taken to be; providers count exactly, this only decides when to begin. */
export const CHARS_PER_TOKEN = 4;
/** What stays word for word after a compaction, as a part of the limit. */
const KEPT_PART = 0.5;
/** The most of one entry that the summariser reads, characters. */
const ENTRY_CHARS_MAX = 4_000;

export interface ContextLimits {
  readonly tokensMax: number;
  readonly entriesMax: number;
}

/** A conversation that fills this part of its limits is compacted beside itself, so that nobody waits for it later. */
export const NEARLY_FULL = 0.8;

export function partOf({ tokensMax, entriesMax }: ContextLimits, part: number): ContextLimits {
  return { tokensMax: tokensMax * part, entriesMax: entriesMax * part };
}

/** The last entry that a summary should replace, or null when the conversation is short enough. */
export function compactionCut(entries: readonly Entry[], limits: ContextLimits): number | null {
  const chars = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
  if (entries.length <= limits.entriesMax && chars <= limits.tokensMax * CHARS_PER_TOKEN) return null;
  const entriesKept = Math.floor(limits.entriesMax * KEPT_PART);
  const charsKept = limits.tokensMax * CHARS_PER_TOKEN * KEPT_PART;
  let first = entries.length;
  for (let kept = 0; first > 0; first--) {
    kept += sizeOf(entries[first - 1]!);
    if (entries.length - first >= entriesKept || kept > charsKept) break;
  }
  while (first < entries.length && entries[first]!.content.role !== "user") first++;
  return first === 0 ? null : entries[first - 1]!.seq;
}

/** The last entry before the newest exchange, i.e. before the last thing that a person or a child said; null when nothing is. */
export function newestExchange(entries: readonly Entry[]): number | null {
  const first = entries.findLastIndex(({ content }) => content.role === "user");
  return first <= 0 ? null : entries[first - 1]!.seq;
}

/** The request that makes the summary. */
export function compactionPrompt(before: string | null, entries: readonly Entry[]): { system: string; messages: readonly ChatMessage[] } {
  const lines = entries.map((entry) => `- #${entry.seq} ${speakerOf(entry)}: ${JSON.stringify(textOf(entry).slice(0, ENTRY_CHARS_MAX))}`);
  const start = before === null ? "" : `- summary of what was before: ${JSON.stringify(before)}\n`;
  return {
    system: "You summarise conversations so that they can go on without their older part. Keep names, numbers, decisions, open questions, promises and file paths. Write at most 400 words.",
    messages: [{ role: "user", text: `[compaction] Summarise this part of a conversation:\n${start}${lines.join("\n")}` }],
  };
}

function speakerOf({ content, provenance }: Entry): string {
  return content.role === "user" ? (provenance === "child" ? "results" : "person") : content.role;
}

function textOf({ content }: Entry): string {
  switch (content.role) {
    case "assistant":
      return content.parts.map((part) => (part.type === "tool-call" ? `(calls ${part.tool})` : part.type === "text" ? part.text : "")).join(" ");
    case "tool":
      return content.results.map((result) => result.text).join(" ");
    default:
      return content.text;
  }
}
