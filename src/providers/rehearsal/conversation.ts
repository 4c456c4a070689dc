/**
 * What of a conversation is still to be answered: the current turn.
 *
 * The current turn is everything after the last answer, and an answer is an assistant message that
 * called no tool. Its user messages are the asks; the results of its tool calls are what was found
 * out so far. Nothing is remembered between calls: the same messages always read the same.
 */
import { toolCallsOf, type ChatMessage, type ToolResult } from "../../model/chat.ts";
import type { JsonObject } from "../../base/json.ts";

export interface WantedCall {
  readonly tool: string;
  readonly input: JsonObject;
}

export interface AnsweredCall extends WantedCall {
  readonly result: ToolResult;
}

export interface CurrentTurn {
  /** User messages to answer, oldest first, as they were sent. */
  readonly asks: readonly string[];
  /** Tool calls of this turn with their results, in order. */
  readonly answered: readonly AnsweredCall[];
  /** User messages of earlier turns, oldest first. */
  readonly earlier: readonly string[];
}

export function currentTurn(messages: readonly ChatMessage[]): CurrentTurn {
  const start = turnStart(messages);
  const turn = messages.slice(start);
  return { asks: userTexts(turn), answered: answeredCalls(turn), earlier: userTexts(messages.slice(0, start)) };
}

function turnStart(messages: readonly ChatMessage[]): number {
  let end = messages.length;
  // A notice of the gateway reads as an answer; one that stands last came while this turn runs.
  while (end > 0 && isAnswer(messages[end - 1]!)) end--;
  return messages.slice(0, end).findLastIndex(isAnswer) + 1;
}

function isAnswer(message: ChatMessage): boolean {
  return message.role === "assistant" && toolCallsOf(message.parts).length === 0;
}

function userTexts(messages: readonly ChatMessage[]): string[] {
  return messages.flatMap((message) => (message.role === "user" ? [message.text] : []));
}

function answeredCalls(messages: readonly ChatMessage[]): AnsweredCall[] {
  const results = new Map<string, ToolResult>();
  for (const message of messages) {
    if (message.role === "tool") for (const result of message.results) results.set(result.callId, result);
  }
  const answered: AnsweredCall[] = [];
  for (const message of messages) {
    if (message.role !== "assistant") continue;
    for (const { callId, tool, input } of toolCallsOf(message.parts)) {
      const result = results.get(callId);
      if (result !== undefined) answered.push({ tool, input, result });
    }
  }
  return answered;
}

/**
 * The results of this turn, each given out once: two asks that want the same call get one each.
 * Calls are known again by what they ask for, not by their ids.
 */
export class FoundOut {
  readonly #left: AnsweredCall[];

  constructor(answered: readonly AnsweredCall[]) {
    this.#left = [...answered];
  }

  take(call: WantedCall): ToolResult | null {
    const at = this.#left.findIndex((one) => one.tool === call.tool && sameInput(one.input, call.input));
    return at === -1 ? null : this.#left.splice(at, 1)[0]!.result;
  }
}

function sameInput(a: JsonObject, b: JsonObject): boolean {
  return sorted(a) === sorted(b);
}

/** Inputs made here are flat, so sorting the top keys is enough. */
function sorted(input: JsonObject): string {
  return JSON.stringify(Object.entries(input).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Marks that the gateway puts before a text, e.g. `[from telegram] `. */
const MARKS = /^(?:\[[^\]\n]{0,200}\]\s*)+/;
const POLITENESS = /^(?:(?:hey|ok|okay|please|pls|now|then)[, ]+|(?:can|could|would|will) you (?:please )?)+/i;

/** What a person meant by a message: without the gateway's marks, politeness and outer blanks. */
export function plainWords(message: string): string {
  const unmarked = message.replace(MARKS, "").trim();
  const plain = unmarked.replace(POLITENESS, "");
  return plain === "" ? unmarked || message.trim() : plain;
}

const BESIDE = /^- (T\d{1,9}) \(an earlier message[^)\n]{0,100}\): (".{0,500}"), (for \d{1,9} s)$/gm;

/** What the gateway says of earlier messages that are still worked on. */
export function turnsBeside(now: string): readonly string[] {
  return [...now.matchAll(BESIDE)].map(([, handle, about, since]) => `${handle}, about ${about}: running ${since}`);
}
