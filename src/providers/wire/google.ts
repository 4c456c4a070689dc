/** Google's generateContent: an answer comes as parts of one content; a call is whole when it comes. */
import type { LanguageModelV4FinishReason, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { JsonObject } from "../../base/json.ts";
import { countOf, listOf, objectOf, textOf } from "./fields.ts";
import { finishPart } from "./finish.ts";
import type { AnswerReader, Say } from "./reader.ts";

type Metadata = Extract<LanguageModelV4StreamPart, { type: "text-start" }>["providerMetadata"];

const STOPS: Readonly<Record<string, LanguageModelV4FinishReason["unified"]>> = {
  STOP: "stop",
  MAX_TOKENS: "length",
  SAFETY: "content-filter",
  IMAGE_SAFETY: "content-filter",
  RECITATION: "content-filter",
  BLOCKLIST: "content-filter",
  PROHIBITED_CONTENT: "content-filter",
  SPII: "content-filter",
  MALFORMED_FUNCTION_CALL: "error",
};

export class GoogleReader implements AnswerReader {
  readonly #say: Say;
  readonly #freshId: () => string;
  #open: { readonly type: "text" | "reasoning"; readonly id: string } | null = null;
  #blocks = 0;
  #hasCalls = false;
  #hasModel = false;
  #stop: string | undefined;
  /** Set when the prompt was refused: no answer follows. */
  #blocked: string | undefined;
  #usage: JsonObject | undefined;

  constructor(say: Say, freshId: () => string) {
    this.#say = say;
    this.#freshId = freshId;
  }

  get isOver(): boolean {
    return this.#stop !== undefined || this.#blocked !== undefined;
  }

  take(event: JsonObject): boolean {
    if (event.error !== undefined && event.error !== null) this.#say({ type: "error", error: event.error });
    if (!this.#hasModel && textOf(event.responseId) !== undefined) {
      this.#hasModel = true;
      this.#say({ type: "response-metadata" });
    }
    if (event.usageMetadata !== undefined && event.usageMetadata !== null) this.#usage = objectOf(event.usageMetadata);
    const block = textOf(objectOf(event.promptFeedback).blockReason);
    if (block && block !== "BLOCK_REASON_UNSPECIFIED") this.#blocked ??= block;
    const candidate = listOf(event.candidates)[0];
    if (candidate === undefined || this.#blocked !== undefined) return event.usageMetadata !== undefined || event.promptFeedback !== undefined;
    for (const part of listOf(objectOf(candidate.content).parts)) this.#add(part);
    this.#stop = textOf(candidate.finishReason) ?? this.#stop;
    return true;
  }

  end(): void {
    this.#close();
    const stop = this.#blocked ?? this.#stop;
    if (stop === undefined) return;
    const unified = this.#blocked !== undefined ? "content-filter" : stop === "STOP" && this.#hasCalls ? "tool-calls" : (STOPS[stop] ?? "other");
    const usage = this.#usage;
    const of = (name: string): number => countOf(usage?.[name]) ?? 0;
    this.#say(
      finishPart(unified, stop, {
        input: usage === undefined ? undefined : of("promptTokenCount") + of("toolUsePromptTokenCount"),
        cacheRead: of("cachedContentTokenCount"),
        output: usage === undefined ? undefined : of("candidatesTokenCount") + of("thoughtsTokenCount"),
        reasoning: of("thoughtsTokenCount"),
      }),
    );
  }

  #add(part: JsonObject): void {
    const signature = textOf(part.thoughtSignature);
    const metadata = signature ? { google: { thoughtSignature: signature } } : undefined;
    const text = textOf(part.text);
    if (text !== undefined) this.#addText(part.thought === true ? "reasoning" : "text", text, metadata);
    else if (part.functionCall !== undefined) this.#addCall(objectOf(part.functionCall), metadata);
  }

  #addText(type: "text" | "reasoning", text: string, metadata: Metadata): void {
    if (text === "") return this.#addSignature(type, metadata);
    if (this.#open?.type !== type) this.#begin(type, metadata);
    this.#say({ type: `${type}-delta`, id: this.#open!.id, delta: text, ...withMetadata(metadata) });
  }

  /** A signature without a text belongs to the text that is open, or stands alone. */
  #addSignature(type: "text" | "reasoning", metadata: Metadata): void {
    if (metadata === undefined) return;
    if (this.#open?.type === "text") return this.#say({ type: "text-delta", id: this.#open.id, delta: "", providerMetadata: metadata });
    this.#begin(type, metadata);
    this.#close();
  }

  #begin(type: "text" | "reasoning", metadata: Metadata): void {
    this.#close();
    this.#open = { type, id: String(this.#blocks++) };
    this.#say({ type: `${type}-start`, id: this.#open.id, ...withMetadata(metadata) });
  }

  #close(): void {
    if (this.#open !== null) this.#say({ type: `${this.#open.type}-end`, id: this.#open.id });
    this.#open = null;
  }

  #addCall(call: JsonObject, metadata: Metadata): void {
    const toolName = textOf(call.name);
    if (toolName === undefined) return;
    this.#close();
    this.#hasCalls = true;
    const toolCallId = textOf(call.id) || this.#freshId();
    this.#say({ type: "tool-input-start", id: toolCallId, toolName });
    this.#say({ type: "tool-call", toolCallId, toolName, input: textOf(call.args) ?? JSON.stringify(call.args ?? {}), ...withMetadata(metadata) });
  }
}

function withMetadata(metadata: Metadata): { providerMetadata?: NonNullable<Metadata> } {
  return metadata === undefined ? {} : { providerMetadata: metadata };
}
