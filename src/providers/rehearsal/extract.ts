/** A conversation made shorter by leaving out: the same few words of each message, no understanding. */
import { textOf, type ChatMessage } from "../../model/chat.ts";

/** A request that begins with this, in its system prompt or newest message, asks for a summary. */
const COMPACTION_MARK = "[compaction]";

const LINES_MAX = 40;
const LINE_MAX_CHARS = 160;

export function isCompaction(system: string, messages: readonly ChatMessage[]): boolean {
  const newest = messages.at(-1);
  return system.startsWith(COMPACTION_MARK) || (newest?.role === "user" && newest.text.startsWith(COMPACTION_MARK));
}

/** @returns at most {@link LINES_MAX} lines, the newest ones. */
export function extractOf(messages: readonly ChatMessage[]): string {
  const lines = messages.flatMap(linesOf).slice(-LINES_MAX);
  return ["An extract of the conversation so far, made by leaving out:", ...lines].join("\n");
}

function linesOf(message: ChatMessage): string[] {
  if (message.role === "tool") return [];
  if (message.role === "assistant") return shortLine("assistant", textOf(message.parts));
  if (!message.text.startsWith(COMPACTION_MARK)) return shortLine("user", message.text);
  // The gateway may also send what is to be shortened inside the request itself.
  return message.text.split("\n").slice(1).flatMap((line) => shortLine("", line));
}

function shortLine(who: string, text: string): string[] {
  const words = text.replace(/\s+/g, " ").trim().replace(/^- /, "");
  if (words === "") return [];
  const short = words.length <= LINE_MAX_CHARS ? words : `${words.slice(0, LINE_MAX_CHARS)}…`;
  return [who === "" ? `- ${short}` : `- ${who}: ${short}`];
}
