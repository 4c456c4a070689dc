/**
 * Slash commands as data: what `/help` lists and the front door carries out.
 *
 * They are read from the raw text of an authorised person only, never from a model's or a child's
 * words, and they are answered at once, without a turn.
 */
import type { SessionKey } from "../base/ids.ts";
import type { Accepted } from "../model/message.ts";

export interface CommandCall {
  readonly session: SessionKey;
  /** What stands behind the command's name, trimmed. */
  readonly text: string;
  /** The same, cut at blanks. */
  readonly words: readonly string[];
  /** What names the text at its source, as with a message; null = nothing. */
  readonly sourceId: string | null;
}

/** What the person is told about a text that went in line as a message of its own. */
export interface InLine {
  readonly text: string;
  readonly message: Accepted;
}

export interface Command {
  /** Without the slash. */
  readonly name: string;
  readonly usage: string;
  readonly doc: string;
  /** Whether it only shows or stops, with these words: then it is answered also while no new work is taken. Absent = never. */
  beginsNothing?(words: readonly string[]): boolean;
  /** @returns what the person is told. @throws {Fault} what went wrong, in words for the person. */
  run(call: CommandCall): Promise<string | InLine>;
}

export function wordsOf(rest: string): readonly string[] {
  return rest === "" ? [] : rest.split(/\s+/);
}

/** `/name rest`, at the very start of a text. */
export function readCommand(text: string): { name: string; rest: string } | null {
  const match = /^\/([a-z][a-z-]*)(?:\s+([\s\S]*))?$/i.exec(text.trim());
  return match === null ? null : { name: match[1]!.toLowerCase(), rest: (match[2] ?? "").trim() };
}
