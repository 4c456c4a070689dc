/** OpenAI's Responses: an answer is a list of items (messages, reasoning, calls), each added to and done. */
import type { LanguageModelV4FinishReason } from "@ai-sdk/provider";
import type { JsonObject } from "../../base/json.ts";
import { countOf, objectOf, textOf } from "./fields.ts";
import { finishPart } from "./finish.ts";
import type { AnswerReader, Say } from "./reader.ts";

/** Reasoning that is under way: its summary has one part or several, one after the other. */
interface OpenReasoning {
  readonly encrypted: JsonObject[string];
  part: number;
}

export class ResponsesReader implements AnswerReader {
  isOver = false;
  readonly #say: Say;
  /** By place in the list: an item may get another id on its way, and keeps its first here. */
  readonly #ids = new Map<unknown, string>();
  readonly #calls = new Map<unknown, string>();
  readonly #reasoning = new Map<string, OpenReasoning>();
  #phase: JsonObject[string] | undefined;
  #hasCalls = false;
  #refused = false;

  constructor(say: Say) {
    this.#say = say;
  }

  take(event: JsonObject): boolean {
    switch (event.type) {
      case "response.created":
        this.#start(textOf(objectOf(event.response).model));
        return true;
      case "response.output_item.added":
        this.#begin(event.output_index, objectOf(event.item));
        return true;
      case "response.output_item.done":
        this.#done(event.output_index, objectOf(event.item));
        return true;
      case "response.output_text.delta":
        this.#say({ type: "text-delta", id: this.#idOf(event), delta: textOf(event.delta) ?? "" });
        return true;
      case "response.refusal.delta":
        this.#refused = true;
        this.#say({ type: "text-delta", id: this.#idOf(event), delta: textOf(event.delta) ?? "" });
        return true;
      case "response.function_call_arguments.delta":
        this.#addInput(this.#calls.get(event.output_index), textOf(event.delta) ?? "");
        return true;
      case "response.reasoning_summary_part.added":
        this.#beginPart(this.#idOf(event), countOf(event.summary_index) ?? 0);
        return true;
      case "response.reasoning_summary_text.delta":
        this.#addReasoning(this.#idOf(event), countOf(event.summary_index) ?? 0, textOf(event.delta) ?? "");
        return true;
      case "response.completed":
      case "response.incomplete":
        this.#finish(objectOf(event.response));
        return true;
      case "response.failed":
        this.#fail(event, objectOf(event.response));
        return true;
      case "error":
        this.#say({ type: "error", error: event });
        return true;
      default:
        // Most events only repeat what others said.
        return textOf(event.type)?.startsWith("response.") ?? false;
    }
  }

  end(): void {}

  #start(model: string | undefined): void {
    this.#say({ type: "response-metadata", ...(model === undefined ? {} : { modelId: model }) });
  }

  #addInput(callId: string | undefined, delta: string): void {
    if (callId !== undefined) this.#say({ type: "tool-input-delta", id: callId, delta });
  }

  #addReasoning(itemId: string, part: number, delta: string): void {
    this.#say({ type: "reasoning-delta", id: `${itemId}:${part}`, delta, providerMetadata: { openai: { itemId } } });
  }

  #idOf(event: JsonObject): string {
    return this.#ids.get(event.output_index) ?? textOf(event.item_id) ?? "";
  }

  #begin(index: unknown, item: JsonObject): void {
    const id = textOf(item.id) ?? "";
    switch (item.type) {
      case "message":
        this.#ids.set(index, id);
        this.#phase = item.phase ?? undefined;
        return this.#say({ type: "text-start", id, providerMetadata: { openai: { itemId: id, ...this.#phased() } } });
      case "reasoning":
        this.#ids.set(index, id);
        this.#reasoning.set(id, { encrypted: item.encrypted_content ?? null, part: 0 });
        return this.#say({ type: "reasoning-start", id: `${id}:0`, providerMetadata: { openai: { itemId: id, reasoningEncryptedContent: item.encrypted_content ?? null } } });
      case "function_call": {
        const callId = textOf(item.call_id) ?? "";
        this.#calls.set(index, callId);
        return this.#say({ type: "tool-input-start", id: callId, toolName: textOf(item.name) ?? "" });
      }
      default:
        return;
    }
  }

  #beginPart(itemId: string, part: number): void {
    const open = this.#reasoning.get(itemId);
    if (open === undefined || part === 0) return;
    this.#say({ type: "reasoning-end", id: `${itemId}:${open.part}` });
    open.part = part;
    this.#say({ type: "reasoning-start", id: `${itemId}:${part}`, providerMetadata: { openai: { itemId, reasoningEncryptedContent: open.encrypted } } });
  }

  #done(index: unknown, item: JsonObject): void {
    const id = this.#ids.get(index) ?? textOf(item.id) ?? "";
    switch (item.type) {
      case "message":
        this.#phase = item.phase ?? this.#phase;
        this.#say({ type: "text-end", id, providerMetadata: { openai: { itemId: id, ...this.#phased() } } });
        this.#phase = undefined;
        break;
      case "reasoning": {
        const open = this.#reasoning.get(id);
        if (open !== undefined) this.#say({ type: "reasoning-end", id: `${id}:${open.part}`, providerMetadata: { openai: { itemId: id, reasoningEncryptedContent: item.encrypted_content ?? null } } });
        this.#reasoning.delete(id);
        break;
      }
      case "function_call":
        this.#hasCalls = true;
        this.#calls.delete(index);
        this.#say({ type: "tool-call", toolCallId: textOf(item.call_id) ?? "", toolName: textOf(item.name) ?? "", input: textOf(item.arguments) ?? "", providerMetadata: { openai: { itemId: item.id ?? null } } });
        break;
      default:
        return;
    }
    this.#ids.delete(index);
  }

  #phased(): { phase?: JsonObject[string] } {
    return this.#phase === undefined ? {} : { phase: this.#phase };
  }

  #fail(event: JsonObject, response: JsonObject): void {
    if (response.error !== undefined && response.error !== null) return this.#say({ type: "error", error: event });
    // Without an error it may still say where it was cut off.
    if (objectOf(response.incomplete_details).reason !== undefined) this.#finish(response);
  }

  #finish(response: JsonObject): void {
    this.isOver = true;
    const reason = textOf(objectOf(response.incomplete_details).reason);
    const { input_tokens: input, input_tokens_details: inputDetails, output_tokens: output, output_tokens_details: outputDetails } = objectOf(response.usage);
    this.#say(
      finishPart(this.#stopFor(reason), reason, {
        input: countOf(input),
        cacheRead: countOf(objectOf(inputDetails).cached_tokens),
        cacheWrite: countOf(objectOf(inputDetails).cache_write_tokens),
        output: countOf(output),
        reasoning: countOf(objectOf(outputDetails).reasoning_tokens),
      }),
    );
  }

  #stopFor(reason: string | undefined): LanguageModelV4FinishReason["unified"] {
    if (reason === "max_output_tokens") return "length";
    if (reason === "content_filter") return "content-filter";
    if (this.#hasCalls) return "tool-calls";
    if (reason !== undefined) return "other";
    return this.#refused ? "content-filter" : "stop";
  }
}
