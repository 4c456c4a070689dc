/**
 * From what a harness says during a turn to the steps and events of that turn.
 *
 * Each tool call is a round of its own: what was said before it and the call, then its result. So the
 * transcript reads like one of our own agent, and a turn that is cut off keeps what was finished.
 *
 * Always true: text and kept updates are bounded; known secrets are masked in all that is written or
 * shown, while what is asked for a permission stays exact; a tool call is told of once when it begins and once
 * when it ends, whichever of the harness's messages came first.
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { MaskedStream, type Mask } from "../../base/redact.ts";
import { NO_USAGE, type Usage } from "../../model/chat.ts";
import type { HarnessSpec } from "../../model/harness.ts";
import { modelStepKey, OUTCOME_UNKNOWN, toolStepKey } from "../../model/transcript.ts";
import type { AgentTurn } from "../agent.ts";
import { shortenMiddle } from "../shorten.ts";
import { filesEditedBy, toolNameOf } from "./permissions.ts";
import { numberIn, objectIn, textIn } from "./traits.ts";

/** How much of a call's input and output its events show, characters. */
const EVENT_TEXT_MAX_CHARS = 2_000;
/** How much a harness may say between two tool calls, characters. */
const TEXT_MAX_CHARS = 1_000_000;
/** Updates of one turn that are kept as they came, and the longest of them, characters. */
const UPDATES_KEPT_MAX = 300;
const UPDATE_MAX_CHARS = 8_000;
/** Tool calls of one turn. */
const CALLS_MAX = 2_000;
const INPUT_MAX_CHARS = 100_000;

interface Call {
  /** Its name in our log: the harness's own, unless that was used before in this turn. */
  readonly id: string;
  /** All that was heard of it so far, put together. */
  known: JsonObject;
  /** Null until it is told of. */
  round: number | null;
  startedMs: number;
  ended: boolean;
}

export class TurnRecord {
  readonly #turn: AgentTurn;
  readonly #spec: HarnessSpec;
  readonly #nowMs: () => number;
  readonly #mask: Mask;
  /** What is shown while it comes. */
  readonly #said: MaskedStream;
  readonly #thought: MaskedStream;
  /** By the harness's own names. */
  readonly #calls = new Map<string, Call>();
  readonly #namesUsed = new Set<string>();
  #round: number;
  #text = "";
  /** The last thing said before a tool call, for a harness that ends without another word. */
  #lastText = "";
  #isCut = false;
  #kept = 0;
  #flushing: Promise<void> | null = null;
  #isDirty = false;
  /** Why nothing more can be written. */
  #failure: unknown = null;

  constructor(turn: AgentTurn, spec: HarnessSpec, { nowMs, mask }: { readonly nowMs: () => number; readonly mask: Mask }) {
    this.#turn = turn;
    this.#spec = spec;
    this.#nowMs = nowMs;
    this.#mask = mask;
    this.#said = new MaskedStream(mask);
    this.#thought = new MaskedStream(mask);
    const done = turn.started.steps.filter(({ kind, result }) => kind === "model" && result !== null);
    this.#round = done.length + 1;
    // An earlier process of the gateway died over these.
    for (const step of turn.started.steps) {
      if (step.kind !== "tool") continue;
      const callId = step.key.split(":").slice(2).join(":");
      this.#namesUsed.add(callId);
      if (step.state !== "intent") continue;
      turn.journal.unknown(step.key, { type: "tool.ended", turnId: turn.started.turnId, data: { callId, tool: step.name, ok: false, text: OUTCOME_UNKNOWN, ms: 0 } });
    }
  }

  update(update: JsonObject): void {
    switch (update["sessionUpdate"]) {
      case "agent_message_chunk":
        return this.#say(update);
      case "agent_thought_chunk": {
        const text = objectIn(update, "content")["text"];
        if (typeof text === "string") this.#show("reasoning", this.#thought.push(text));
        return;
      }
      case "user_message_chunk":
        return;
      case "tool_call":
      case "tool_call_update":
        return this.#hearCall(update);
      default:
        return this.keep(update);
    }
  }

  /** A tool call as a permission request describes it; for some harnesses that is the first one hears of it. */
  asked(call: JsonObject): JsonObject {
    this.#hearCall(call);
    const heard = this.#calls.get(textIn(call, "toolCallId") ?? "");
    if (heard !== undefined) this.#begin(heard);
    return heard === undefined || heard.ended ? call : heard.known;
  }

  /** Keeps something in the event log as it came. */
  keep(raw: JsonObject): void {
    if (this.#kept >= UPDATES_KEPT_MAX) return;
    this.#kept++;
    const update = this.#masked(raw);
    const text = JSON.stringify(update);
    const kind = textIn(raw, "sessionUpdate") ?? "unknown";
    this.#event({ kind, ...(text.length <= UPDATE_MAX_CHARS ? { update } : { cut: text.slice(0, UPDATE_MAX_CHARS) }) });
    if (this.#kept === UPDATES_KEPT_MAX) this.#event({ kind: "limit", text: `no more than ${UPDATES_KEPT_MAX} updates are kept for one turn` });
  }

  /** The harness is gone in the middle: what it said and did so far stays. */
  breakOff(): void {
    for (const call of this.#calls.values()) if (call.round !== null && !call.ended) this.#endCall(call, "outcome unknown: the harness was lost while this ran; check before you repeat it", true);
    this.#calls.clear();
    if (this.#text.trim() !== "") this.#writeRound([{ type: "text", text: this.#takeText() }], NO_USAGE, "other");
  }

  /** A prompt is over. @returns the final text, which may be empty. */
  finish(usage: Usage): string {
    for (const call of this.#calls.values()) {
      if (call.round === null) this.#begin(call);
      if (!call.ended) this.#endCall(call, outputOf(call.known), false);
    }
    this.#calls.clear();
    const said = this.#takeText();
    const text = said.trim() === "" ? this.#lastText : said;
    this.#writeRound(text === "" ? [] : [{ type: "text", text }], usage, "end");
    return text;
  }

  /** Resolves when everything so far is on disk. @throws {TurnSuperseded} */
  async flush(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing;
    if (this.#failure !== null) throw this.#failure;
    await this.#turn.journal.flush();
  }

  #say(update: JsonObject): void {
    const content = objectIn(update, "content");
    const text = content["type"] === "text" && typeof content["text"] === "string" ? content["text"] : "";
    if (content["type"] !== "text") this.keep(update);
    if (text === "" || this.#isCut) return;
    this.#text += text;
    if (this.#text.length > TEXT_MAX_CHARS) {
      this.#text = `${this.#text.slice(0, TEXT_MAX_CHARS)}\n\n[cut off: the harness said more than ${TEXT_MAX_CHARS} characters]`;
      this.#isCut = true;
    }
    this.#show("text", this.#said.push(text));
    this.#turn.progress();
  }

  #show(type: "text" | "reasoning", text: string): void {
    if (text !== "") this.#turn.onFrame({ type, text });
  }

  #hearCall(heard: JsonObject): void {
    const id = textIn(heard, "toolCallId");
    if (id === null) return this.keep(heard);
    let call = this.#calls.get(id);
    if (call === undefined) {
      if (this.#calls.size >= CALLS_MAX) return;
      this.#calls.set(id, (call = { id: this.#nameFor(id), known: {}, round: null, startedMs: this.#nowMs(), ended: false }));
    }
    if (call.ended) return;
    call.known = joined(call.known, heard);
    const { status } = call.known;
    if (status === "completed" || status === "failed") {
      this.#begin(call);
      this.#endCall(call, outputOf(call.known), status === "failed");
    } else if (status === "in_progress" || hasInput(call.known)) this.#begin(call);
  }

  /** A harness that was started again may count from the beginning again. */
  #nameFor(id: string): string {
    let name = id;
    for (let again = 2; this.#namesUsed.has(name); again++) name = `${id}#${again}`;
    this.#namesUsed.add(name);
    return name;
  }

  #begin(call: Call): void {
    if (call.round !== null) return;
    const tool = this.#toolOf(call);
    const input = this.#masked(inputOf(call.known));
    const said = this.#takeText();
    call.round = this.#round;
    this.#writeRound([...(said === "" ? [] : [{ type: "text" as const, text: said }]), { type: "tool-call", callId: call.id, tool, input }], NO_USAGE, "tools");
    this.#turn.journal.intent(
      { key: toolStepKey(call.round, call.id), kind: "tool", name: tool, effect: "once", input },
      { type: "tool.started", turnId: this.#turn.started.turnId, data: { callId: call.id, tool, input: JSON.stringify(input).slice(0, EVENT_TEXT_MAX_CHARS), title: this.#mask.of(textIn(call.known, "title") ?? "") || null } },
    );
    this.#moved();
  }

  #endCall(call: Call, output: string, isError: boolean): void {
    const tool = this.#toolOf(call);
    const text = shortenMiddle(this.#mask.of(output), this.#turn.toolOutputMaxBytes);
    const changed = isError ? [] : filesEditedBy(call.known);
    call.ended = true;
    this.#turn.journal.result(
      toolStepKey(call.round!, call.id),
      { kind: "tool", result: { callId: call.id, tool, text, isError }, ...(changed.length === 0 ? {} : { changed }) },
      { type: "tool.ended", turnId: this.#turn.started.turnId, data: { callId: call.id, tool, ok: !isError, text: text.slice(0, EVENT_TEXT_MAX_CHARS), ms: Math.round(this.#nowMs() - call.startedMs) } },
    );
    call.known = {};
    this.#moved();
  }

  #toolOf(call: Call): string {
    return this.#mask.of(this.#nameOf(call));
  }

  #nameOf(call: Call): string {
    return toolNameOf(call.known, this.#spec) ?? textIn(call.known, "name") ?? textIn(call.known, "title") ?? textIn(call.known, "kind") ?? "tool";
  }

  #writeRound(parts: Parameters<typeof roundOf>[0], usage: Usage, stop: "tools" | "end" | "other"): void {
    const key = modelStepKey(this.#round++);
    this.#turn.journal.intent({ key, kind: "model", name: this.#spec.id, effect: "pure", input: null });
    this.#turn.journal.result(key, roundOf(parts, usage, stop, this.#spec.id));
  }

  /** As a whole, for a secret may have come in pieces. */
  #takeText(): string {
    this.#show("text", this.#said.end());
    this.#show("reasoning", this.#thought.end());
    const text = this.#mask.of(this.#text);
    if (text.trim() !== "") this.#lastText = text;
    this.#text = "";
    this.#isCut = false;
    return text;
  }

  #masked<T extends Json>(value: T): T {
    const masked = (one: Json): Json => {
      if (typeof one === "string") return this.#mask.of(one);
      if (one === null || typeof one !== "object") return one;
      return Array.isArray(one) ? one.map(masked) : Object.fromEntries(Object.entries(one).map(([name, inner]) => [name, masked(inner)]));
    };
    return masked(value) as T;
  }

  #event(data: JsonObject): void {
    this.#turn.journal.event({ type: "harness.update", turnId: this.#turn.started.turnId, data: { harness: this.#spec.id, ...data } });
    this.#write();
  }

  #moved(): void {
    this.#turn.progress();
    this.#write();
  }

  /** Writes in the background; what comes while a write is on its way goes with the next one. */
  #write(): void {
    this.#isDirty = true;
    if (this.#failure === null) this.#flushing ??= this.#writeAll().finally(() => (this.#flushing = null));
  }

  async #writeAll(): Promise<void> {
    while (this.#isDirty && this.#failure === null) {
      this.#isDirty = false;
      await this.#turn.journal.flush().catch((cause: unknown) => (this.#failure = cause));
    }
  }
}

function roundOf(parts: readonly ({ type: "text"; text: string } | { type: "tool-call"; callId: string; tool: string; input: JsonObject })[], usage: Usage, stop: "tools" | "end" | "other", harness: string) {
  return { kind: "model" as const, answer: { parts, stop, usage, model: harness } };
}

/** Later fields win; one that is left out says nothing. */
function joined(known: JsonObject, heard: JsonObject): JsonObject {
  const { sessionUpdate: _kind, ...fields } = heard;
  const said = Object.entries(fields).filter(([name, value]) => value !== null && !(name === "rawInput" && isJsonObject(value) && Object.keys(value).length === 0));
  return { ...known, ...Object.fromEntries(said) };
}

function hasInput({ rawInput }: JsonObject): boolean {
  return isJsonObject(rawInput) && Object.keys(rawInput).length > 0;
}

function inputOf({ rawInput }: JsonObject): JsonObject {
  if (!isJsonObject(rawInput)) return rawInput === undefined || rawInput === null ? {} : { input: rawInput };
  const text = JSON.stringify(rawInput);
  return text.length <= INPUT_MAX_CHARS ? rawInput : { cut: text.slice(0, INPUT_MAX_CHARS) };
}

function outputOf({ content, rawOutput }: JsonObject): string {
  const parts = Array.isArray(content) ? content.filter(isJsonObject).map(partText).filter((text) => text !== "") : [];
  if (parts.length > 0) return parts.join("\n");
  return typeof rawOutput === "string" ? rawOutput : rawOutput === undefined || rawOutput === null ? "" : JSON.stringify(rawOutput);
}

function partText(part: JsonObject): string {
  if (part["type"] === "diff") return `changed ${String(part["path"] as Json)}`;
  if (part["type"] === "terminal") return `terminal ${String(part["terminalId"] as Json)}`;
  const text = objectIn(part, "content")["text"];
  return typeof text === "string" ? text : "";
}

/** Tokens of one prompt, as the harness counts them; what it does not say is 0. */
export function usageOf(said: JsonObject, costMicros: number): Usage {
  const cached = numberIn(said, "cachedReadTokens") ?? 0;
  const written = numberIn(said, "cachedWriteTokens") ?? 0;
  return {
    input: (numberIn(said, "inputTokens") ?? 0) + cached + written,
    output: numberIn(said, "outputTokens") ?? 0,
    cacheRead: cached,
    cacheWrite: written,
    reasoning: numberIn(said, "thoughtTokens") ?? 0,
    calls: 1,
    costMicros,
  };
}
