/**
 * One answer, put together from the parts of a stream.
 *
 * Always true of what it returns: every tool call has an id that was not used before in this
 * conversation and an input that is a JSON object; texts are clean; an answer without a proper
 * end is no answer.
 */
import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";
import { countFrom } from "../base/count.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import type { AssistantPart, ModelAnswer, ModelFrame, ModelRequest, ToolCallPart } from "../model/chat.ts";
import { cleanText, readToolInput, TextCleaner } from "./clean.ts";
import { BadAnswer, ErrorInStream, oneLine } from "./failure.ts";

/** More calls than this in one answer are left out, and the model is told so. */
export const TOOL_CALLS_MAX = 128;
const CALL_ID = /^[A-Za-z0-9_-]{1,64}$/;
const TOOL_NAME_CHARACTERS_MAX = 128;

interface OpenText {
  readonly type: "text" | "reasoning";
  readonly cleaner: TextCleaner;
  text: string;
  provider: JsonObject | undefined;
}

/** Everything about an answer but its price, which depends on the provider. */
export interface Assembled {
  readonly parts: readonly AssistantPart[];
  readonly stop: ModelAnswer["stop"];
  readonly tokens: { readonly input: number; readonly output: number; readonly cacheRead: number; readonly cacheWrite: number; readonly reasoning: number };
  /** The model's name as the provider gave it. */
  readonly model: string | undefined;
}

const STOPS: Readonly<Record<string, ModelAnswer["stop"]>> = { stop: "end", "tool-calls": "tools", length: "length", "content-filter": "refused" };

export class AnswerBuilder {
  /** True once a frame was given out: then a new attempt must say that it starts anew. */
  sentFrames = false;
  readonly #onFrame: (frame: ModelFrame) => void;
  readonly #request: ModelRequest;
  readonly #freshId: () => string;
  readonly #parts: (ToolCallPart | OpenText)[] = [];
  readonly #open = new Map<string, OpenText>();
  /** From the provider's id of a call that has begun to ours. */
  readonly #begun = new Map<string, string>();
  #usedIds: Set<string> | undefined;
  #calls = 0;
  #model: string | undefined;
  #finish: Extract<LanguageModelV4StreamPart, { type: "finish" }> | undefined;
  #notUnderstood: string | undefined;

  constructor(request: ModelRequest, onFrame: (frame: ModelFrame) => void, freshId: () => string) {
    this.#request = request;
    this.#onFrame = onFrame;
    this.#freshId = freshId;
  }

  get finished(): boolean {
    return this.#finish !== undefined;
  }

  /**
   * Takes the next part of the stream.
   * @returns true when the answer moved on; pings and empty deltas do not move it.
   * @throws {ErrorInStream} the provider broke off with an error.
   */
  take(part: LanguageModelV4StreamPart): boolean {
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
        this.#openText(part.id, part.type === "text-start" ? "text" : "reasoning", part.providerMetadata);
        return true;
      case "text-delta":
      case "reasoning-delta":
        return this.#addText(part.id, part.type === "text-delta" ? "text" : "reasoning", part.delta, part.providerMetadata);
      case "text-end":
      case "reasoning-end":
        this.#closeText(`${part.type === "text-end" ? "text" : "reasoning"}:${part.id}`, part.providerMetadata);
        return true;
      case "tool-input-start":
        this.#beginCall(part.id, part.toolName);
        return true;
      case "tool-input-delta":
        return part.delta !== "";
      case "tool-call":
        if (part.providerExecuted !== true) this.#addCall(part.toolCallId, part.toolName, part.input, part.providerMetadata);
        return true;
      case "response-metadata":
        this.#model = part.modelId ?? this.#model;
        return true;
      case "finish":
        this.#finish ??= part;
        return true;
      case "error":
        throw new ErrorInStream("the provider broke off with an error", { cause: part.error });
      default:
        return false;
    }
  }

  /** Notes an event that makes no sense. It may be a novelty; whether it mattered shows when the answer ends. */
  puzzle(event: JsonObject): void {
    this.#notUnderstood ??= oneLine(JSON.stringify(event));
  }

  /** @throws {BadAnswer} the stream ended before the answer did. */
  result(): Assembled {
    const finish = this.#finish;
    const unified = finish?.finishReason.unified;
    if (finish === undefined || unified === "interrupted" || unified === "error") {
      throw new BadAnswer(this.#notUnderstood === undefined ? "the stream ended before the answer did" : `the stream ended before the answer did, and held an event that makes no sense: ${this.#notUnderstood}`);
    }
    for (const key of [...this.#open.keys()]) this.#closeText(key, undefined);
    const parts = this.#parts.map(closed).filter((part) => part !== null);
    if (this.#calls > TOOL_CALLS_MAX) parts.push({ type: "text", text: `[${this.#calls - TOOL_CALLS_MAX} more tool calls were left out: one answer may hold ${TOOL_CALLS_MAX}]` });
    const stop = STOPS[unified!] ?? "other";
    return {
      parts,
      // Some servers say "stop" after tool calls, and some say "tool calls" without any.
      stop: this.#calls > 0 && (stop === "end" || stop === "other") ? "tools" : this.#calls === 0 && stop === "tools" ? "end" : stop,
      tokens: tokensOf(finish.usage),
      model: this.#model,
    };
  }

  #openText(id: string, type: "text" | "reasoning", provider: unknown): OpenText {
    const open: OpenText = { type, cleaner: new TextCleaner(), text: "", provider: merged(undefined, provider) };
    this.#open.set(`${type}:${id}`, open);
    this.#parts.push(open);
    return open;
  }

  #addText(id: string, type: "text" | "reasoning", delta: string, provider: unknown): boolean {
    const open = this.#open.get(`${type}:${id}`) ?? this.#openText(id, type, undefined);
    open.provider = merged(open.provider, provider);
    if (delta === "") return false;
    this.#say(open, open.cleaner.take(delta));
    return true;
  }

  #closeText(key: string, provider: unknown): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    open.provider = merged(open.provider, provider);
    this.#say(open, open.cleaner.rest());
    this.#open.delete(key);
  }

  #say(open: OpenText, text: string): void {
    if (text === "") return;
    open.text += text;
    this.#frame({ type: open.type, text });
  }

  #beginCall(id: string, tool: string): string {
    const callId = this.#ownId(id);
    this.#begun.set(id, callId);
    if (this.#calls <= TOOL_CALLS_MAX) this.#frame({ type: "tool", callId, tool: cleanName(tool) });
    return callId;
  }

  #addCall(id: string, tool: string, input: string, provider: unknown): void {
    if (++this.#calls > TOOL_CALLS_MAX) return;
    const callId = this.#begun.get(id) ?? this.#beginCall(id, tool);
    this.#begun.delete(id);
    const own = merged(undefined, provider);
    this.#parts.push({ type: "tool-call", callId, tool: cleanName(tool), input: readToolInput(input), ...(own === undefined ? {} : { provider: own }) });
  }

  /** The provider's id when it is new and of the usual form, else one of our own. */
  #ownId(id: string): string {
    this.#usedIds ??= new Set(this.#request.messages.flatMap((message) => (message.role === "tool" ? message.results.map((result) => result.callId) : [])));
    const own = CALL_ID.test(id) && !this.#usedIds.has(id) ? id : `call_${this.#freshId()}`;
    this.#usedIds.add(own);
    return own;
  }

  #frame(frame: ModelFrame): void {
    this.sentFrames = true;
    this.#onFrame(frame);
  }
}

function closed(part: ToolCallPart | OpenText): AssistantPart | null {
  if (part.type === "tool-call") return part;
  if (part.text === "" && part.provider === undefined) return null;
  return { type: part.type, text: part.text, ...(part.provider === undefined ? {} : { provider: part.provider }) };
}

function cleanName(tool: string): string {
  return cleanText(tool).slice(0, TOOL_NAME_CHARACTERS_MAX);
}

/** Metadata by provider, later fields over earlier ones. */
function merged(known: JsonObject | undefined, added: unknown): JsonObject | undefined {
  if (!isJsonObject(added)) return known;
  const result: Record<string, JsonObject> = { ...(known as Record<string, JsonObject> | undefined) };
  for (const [provider, fields] of Object.entries(added)) if (isJsonObject(fields)) result[provider] = { ...result[provider], ...fields };
  return Object.keys(result).length === 0 ? undefined : result;
}

function tokensOf({ inputTokens, outputTokens }: LanguageModelV4Usage): Assembled["tokens"] {
  return {
    input: countFrom(inputTokens.total) ?? 0,
    output: countFrom(outputTokens.total) ?? 0,
    cacheRead: countFrom(inputTokens.cacheRead) ?? 0,
    cacheWrite: countFrom(inputTokens.cacheWrite) ?? 0,
    reasoning: countFrom(outputTokens.reasoning) ?? 0,
  };
}
