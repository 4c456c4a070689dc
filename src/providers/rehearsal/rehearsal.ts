/**
 * The rehearsal model: serves when no provider is set up, so that the whole gateway can be shown
 * and tested offline, with real tools and real time.
 *
 * Always true: the same request gives the same answer, call ids included; only waiting takes time,
 * and it ends at once when the request is aborted. It says of itself that it is no language model,
 * and calls no tool that it was not offered (but for `crash tool`, which is there to do just that).
 *
 * Not here: what it understands (`intents.ts`), and what of a conversation is open (`conversation.ts`).
 */
import { createHash } from "node:crypto";
import { sleep, type Clock } from "../../base/clock.ts";
import type { RandomBytes } from "../../base/ids.ts";
import { textOf, type AssistantPart, type ChatMessage, type ModelAnswer, type ModelFrame, type ModelRequest, type Usage } from "../../model/chat.ts";
import { Fault } from "../../model/faults.ts";
import type { LocalModel } from "../local-model.ts";
import { play, say, type Act, type Piece, type Scene } from "./act.ts";
import { FoundOut, currentTurn, plainWords, turnsBeside, type WantedCall } from "./conversation.ts";
import { extractOf, isCompaction } from "./extract.ts";
import { actOn } from "./intents.ts";
import { readDigest } from "./read-digest.ts";
import { summaryOf } from "./spawns.ts";

const FRAME_CHARACTERS = 24;
const CHARACTERS_PER_TOKEN = 4;

/** @param deps  `random` is accepted and not used: a replay of a request must give the same answer. */
export function makeRehearsal({ clock }: { readonly clock: Clock; readonly random: RandomBytes }): LocalModel {
  return {
    async call(request, onFrame) {
      request.signal.throwIfAborted();
      const act = decide(request);
      const parts = act.does === "call" ? callParts(act.calls, request, onFrame) : await perform(act.pieces, clock, request.signal, onFrame);
      if (act.does === "say" && request.maxOutputTokens !== undefined && tokens(textOf(parts).length) > request.maxOutputTokens) {
        const cut: AssistantPart[] = [{ type: "text", text: textOf(parts).slice(0, request.maxOutputTokens * CHARACTERS_PER_TOKEN) }];
        return { parts: cut, stop: "length", usage: usageOf(request, cut), model: request.model };
      }
      return { parts, stop: act.does === "call" ? "tools" : "end", usage: usageOf(request, parts), model: request.model } satisfies ModelAnswer;
    },
  };
}

// ── deciding ────────────────────────────────────────────────────────────────────────────────

/** Every open ask is looked at anew on each call; what was found out since makes the difference. */
function decide({ system, now = "", messages, tools, toolChoice }: ModelRequest): Act {
  if (isCompaction(system, messages)) return say(extractOf(messages));
  const { asks, answered, earlier } = currentTurn(messages);
  const offered = new Set(toolChoice === "none" ? [] : tools.map((tool) => tool.name));
  const found = new FoundOut(answered);
  const beside = turnsBeside(now);
  const acts = asks.map((ask, index) => {
    const scene: Scene = {
      earlier: [...earlier, ...asks.slice(0, index)].filter((text) => readDigest(text) === null).map(plainWords),
      beside,
      offers: (tool) => offered.has(tool),
      found,
    };
    const digest = readDigest(ask);
    return digest === null ? actOn(plainWords(ask), scene) : summaryOf(digest);
  });
  const calls = acts.flatMap((act) => (act.does === "call" ? act.calls : []));
  return calls.length > 0 ? { does: "call", calls } : play(...joined(acts));
}

/** The answers to several messages, in their order, a blank line between them. */
function joined(acts: readonly Act[]): readonly Piece[] {
  const answers = acts.flatMap((act) => (act.does === "say" && act.pieces.length > 0 ? [act.pieces] : []));
  return answers.flatMap((pieces, index): readonly Piece[] => (index === 0 ? pieces : [{ say: "\n\n" }, ...pieces]));
}

// ── doing ───────────────────────────────────────────────────────────────────────────────────

async function perform(pieces: readonly Piece[], clock: Clock, signal: AbortSignal, onFrame: (frame: ModelFrame) => void): Promise<AssistantPart[]> {
  let text = "";
  for (const piece of pieces) {
    if ("fail" in piece) throw new Fault("PROVIDER_REJECTED", { provider: "rehearsal", status: 400, problem: piece.fail });
    if ("pauseMs" in piece) {
      await sleep(clock, piece.pauseMs, signal);
      continue;
    }
    text += piece.say;
    for (const frame of framesOf(piece.say)) onFrame({ type: "text", text: frame });
  }
  return text === "" ? [] : [{ type: "text", text }];
}

/** Never cuts a character in two. */
function framesOf(text: string): string[] {
  const characters = [...text];
  const frames: string[] = [];
  for (let at = 0; at < characters.length; at += FRAME_CHARACTERS) frames.push(characters.slice(at, at + FRAME_CHARACTERS).join(""));
  return frames;
}

function callParts(calls: readonly WantedCall[], { messages }: ModelRequest, onFrame: (frame: ModelFrame) => void): AssistantPart[] {
  const place = createHash("sha256").update(JSON.stringify(messages)).digest("hex").slice(0, 16);
  return calls.map(({ tool, input }, index) => {
    const callId = `reh_${place}_${index + 1}`;
    onFrame({ type: "tool", callId, tool });
    return { type: "tool-call", callId, tool, input };
  });
}

// ── counting ────────────────────────────────────────────────────────────────────────────────

function usageOf({ system, messages, tools }: ModelRequest, parts: readonly AssistantPart[]): Usage {
  let read = system.length;
  for (const message of messages) read += lengthOf(message);
  for (const tool of tools) read += tool.name.length + tool.description.length;
  return { input: tokens(read), output: tokens(lengthOf({ role: "assistant", parts })), cacheRead: 0, cacheWrite: 0, reasoning: 0, calls: 1, costMicros: 0 };
}

function lengthOf(message: ChatMessage): number {
  if (message.role === "user") return message.text.length;
  if (message.role === "tool") return message.results.reduce((sum, result) => sum + result.text.length, 0);
  const calls = message.parts.reduce((sum, part) => sum + (part.type === "tool-call" ? part.tool.length + JSON.stringify(part.input).length : 0), 0);
  return textOf(message.parts).length + calls;
}

function tokens(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}
