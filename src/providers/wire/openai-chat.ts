/**
 * OpenAI's Chat Completions, and what all the servers that call themselves compatible make of it. An
 * answer comes in deltas of one message; how it ends is known before the tokens are.
 */
import type { LanguageModelV4FinishReason } from "@ai-sdk/provider";
import { StreamingToolCallTracker } from "@ai-sdk/provider-utils";
import type { JsonObject } from "../../base/json.ts";
import { countOf, listOf, objectOf, textOf } from "./fields.ts";
import { finishPart } from "./finish.ts";
import type { AnswerReader, Say } from "./reader.ts";

/** Under which the library that makes the requests looks for what it needs of earlier answers. */
const METADATA_OF = "compatible";

type ToolCallDelta = Parameters<StreamingToolCallTracker["processDelta"]>[0];
type Controller = ConstructorParameters<typeof StreamingToolCallTracker>[0];

/** A call whose name is still to come. */
interface NamelessCall {
  id: string | null;
  input: string;
}

const STOPS: Readonly<Record<string, LanguageModelV4FinishReason["unified"]>> = { stop: "stop", length: "length", content_filter: "content-filter", function_call: "tool-calls", tool_calls: "tool-calls" };

export class ChatReader implements AnswerReader {
  readonly #say: Say;
  readonly #calls: StreamingToolCallTracker;
  readonly #nameless = new Map<number, NamelessCall>();
  readonly #named = new Set<number>();
  #open: "text" | "reasoning" | null = null;
  #refused = false;
  #hasModel = false;
  #stop: string | undefined;
  #usage: JsonObject | undefined;

  constructor(say: Say, freshId: () => string) {
    this.#say = say;
    // It needs nothing of a controller but this.
    this.#calls = new StreamingToolCallTracker({ enqueue: say } as Controller, { generateId: freshId, extractMetadata: signatureOf, buildToolCallProviderMetadata: (metadata) => metadata });
  }

  get isOver(): boolean {
    return this.#stop !== undefined;
  }

  take(event: JsonObject): boolean {
    if (event.error !== undefined && event.error !== null) this.#say({ type: "error", error: event.error });
    if (!Array.isArray(event.choices)) return false;
    const model = textOf(event.model);
    if (!this.#hasModel && (model || textOf(event.id))) {
      this.#hasModel = true;
      this.#say({ type: "response-metadata", ...(model ? { modelId: model } : {}) });
    }
    if (event.usage !== undefined && event.usage !== null) this.#usage = objectOf(event.usage);
    const choice = listOf(event.choices)[0];
    this.#stop = textOf(choice?.finish_reason) ?? this.#stop;
    this.#addDelta(objectOf(choice?.delta));
    return true;
  }

  end(): void {
    this.#close();
    for (const [index, { id, input }] of this.#nameless) this.#calls.processDelta({ index, id, function: { arguments: input } });
    this.#nameless.clear();
    this.#calls.flush();
    if (this.#stop === undefined) return;
    const { prompt_tokens: input, prompt_tokens_details: inputDetails, completion_tokens: output, completion_tokens_details: outputDetails } = this.#usage ?? {};
    this.#say(
      finishPart(this.#stop === "stop" && this.#refused ? "content-filter" : (STOPS[this.#stop] ?? "other"), this.#stop, {
        input: countOf(input),
        cacheRead: countOf(objectOf(inputDetails).cached_tokens),
        cacheWrite: countOf(objectOf(inputDetails).cache_write_tokens),
        output: countOf(output),
        reasoning: countOf(objectOf(outputDetails).reasoning_tokens),
      }),
    );
  }

  #addDelta(delta: JsonObject): void {
    this.#add("reasoning", textOf(delta.reasoning_content) ?? textOf(delta.reasoning));
    if (Array.isArray(delta.content)) for (const part of listOf(delta.content)) this.#addPart(part);
    else this.#add("text", textOf(delta.content));
    const refusal = textOf(delta.refusal);
    if (refusal) {
      this.#refused = true;
      this.#add("text", refusal);
    }
    for (const call of listOf(delta.tool_calls)) {
      if (this.#open === "reasoning") this.#close();
      this.#addCall(call);
    }
  }

  /** Mistral's way: a list of texts and of thoughts, which are lists of texts. */
  #addPart(part: JsonObject): void {
    if (part.type === "text") this.#add("text", textOf(part.text));
    else if (part.type === "thinking") this.#add("reasoning", listOf(part.thinking).map((thought) => (thought.type === "text" ? (textOf(thought.text) ?? "") : "")).join(""));
  }

  #add(type: "text" | "reasoning", text: string | undefined): void {
    if (!text) return;
    if (this.#open !== type) {
      this.#close();
      this.#open = type;
      this.#say({ type: `${type}-start`, id: type });
    }
    this.#say({ type: `${type}-delta`, id: type, delta: text });
  }

  #close(): void {
    if (this.#open !== null) this.#say({ type: `${this.#open}-end`, id: this.#open });
    this.#open = null;
  }

  /** Some servers send the input of a call before its name. */
  #addCall(call: JsonObject): void {
    const index = countOf(call.index);
    if (index === undefined || this.#named.has(index)) return this.#calls.processDelta(call as ToolCallDelta);
    const of = objectOf(call.function);
    const held = this.#nameless.get(index) ?? { id: null, input: "" };
    held.id ??= textOf(call.id) ?? null;
    held.input += textOf(of.arguments) ?? "";
    const name = textOf(of.name);
    if (name === undefined) return void this.#nameless.set(index, held);
    this.#nameless.delete(index);
    this.#named.add(index);
    this.#calls.processDelta({ ...call, index, id: held.id, function: { name, arguments: held.input } } as ToolCallDelta);
  }
}

/** Gemini behind its compatible door signs its calls. */
function signatureOf(delta: unknown): Record<string, JsonObject> | undefined {
  const signature = textOf(objectOf(objectOf(objectOf(delta).extra_content).google).thought_signature);
  return signature === undefined ? undefined : { [METADATA_OF]: { thoughtSignature: signature } };
}
