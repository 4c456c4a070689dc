/** Anthropic's Messages: an answer is a list of blocks, each opened, added to and closed. */
import type { LanguageModelV4FinishReason } from "@ai-sdk/provider";
import type { JsonObject } from "../../base/json.ts";
import { countOf, listOf, objectOf, textOf } from "./fields.ts";
import { finishPart } from "./finish.ts";
import type { AnswerReader, Say } from "./reader.ts";

interface OpenBlock {
  readonly type: "text" | "reasoning" | "call" | "other";
  /** Of a call. */
  readonly callId: string;
  readonly tool: string;
  input: string;
}

const STOPS: Readonly<Record<string, LanguageModelV4FinishReason["unified"]>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  pause_turn: "stop",
  refusal: "content-filter",
  tool_use: "tool-calls",
  max_tokens: "length",
  model_context_window_exceeded: "length",
};

export class AnthropicReader implements AnswerReader {
  isOver = false;
  readonly #say: Say;
  readonly #blocks = new Map<unknown, OpenBlock>();
  /** Counts as they were told last: some come at the start, some at the end. */
  #usage: JsonObject = {};
  #stop: string | undefined;

  constructor(say: Say) {
    this.#say = say;
  }

  take(event: JsonObject): boolean {
    switch (event.type) {
      case "ping":
        return true;
      case "message_start":
        this.#start(objectOf(event.message));
        return true;
      case "content_block_start":
        this.#open(event.index, objectOf(event.content_block));
        return true;
      case "content_block_delta":
        this.#add(event.index, objectOf(event.delta));
        return true;
      case "content_block_stop":
        this.#close(event.index);
        return true;
      case "message_delta":
        this.#count(event.usage);
        this.#stop = textOf(objectOf(event.delta).stop_reason);
        return true;
      case "message_stop":
        this.#finish();
        return true;
      case "error":
        this.#say({ type: "error", error: event.error ?? event });
        return true;
      default:
        return false;
    }
  }

  end(): void {}

  #start(message: JsonObject): void {
    this.#count(message.usage);
    this.#stop = textOf(message.stop_reason);
    const model = textOf(message.model);
    this.#say({ type: "response-metadata", ...(model === undefined ? {} : { modelId: model }) });
  }

  #open(index: unknown, block: JsonObject): void {
    const id = String(index);
    const opened = (type: OpenBlock["type"], callId = "", tool = "", input = ""): void => void this.#blocks.set(index, { type, callId, tool, input });
    switch (block.type) {
      case "text":
        opened("text");
        this.#say({ type: "text-start", id });
        if (textOf(block.text)) this.#say({ type: "text-delta", id, delta: block.text as string });
        return;
      case "thinking":
        opened("reasoning");
        return this.#say({ type: "reasoning-start", id });
      case "redacted_thinking":
        opened("reasoning");
        return this.#say({ type: "reasoning-start", id, providerMetadata: { anthropic: { redactedData: block.data ?? null } } });
      case "tool_use": {
        const callId = textOf(block.id) ?? "";
        const tool = textOf(block.name) ?? "";
        // Most begin with an empty input that the deltas fill.
        const whole = Object.keys(objectOf(block.input)).length > 0 ? JSON.stringify(block.input) : "";
        opened("call", callId, tool, whole);
        return this.#say({ type: "tool-input-start", id: callId, toolName: tool });
      }
      default:
        opened("other");
    }
  }

  #add(index: unknown, delta: JsonObject): void {
    const id = String(index);
    const block = this.#blocks.get(index);
    switch (delta.type) {
      case "text_delta":
        return this.#say({ type: "text-delta", id, delta: textOf(delta.text) ?? "" });
      case "thinking_delta":
        return this.#say({ type: "reasoning-delta", id, delta: textOf(delta.thinking) ?? "" });
      case "signature_delta":
        if (block?.type === "reasoning") this.#say({ type: "reasoning-delta", id, delta: "", providerMetadata: { anthropic: { signature: delta.signature ?? null } } });
        return;
      case "input_json_delta": {
        const more = textOf(delta.partial_json) ?? "";
        if (block?.type !== "call" || more === "") return;
        block.input += more;
        return this.#say({ type: "tool-input-delta", id: block.callId, delta: more });
      }
      default:
        return;
    }
  }

  #close(index: unknown): void {
    const block = this.#blocks.get(index);
    this.#blocks.delete(index);
    if (block?.type === "text") this.#say({ type: "text-end", id: String(index) });
    else if (block?.type === "reasoning") this.#say({ type: "reasoning-end", id: String(index) });
    else if (block?.type === "call") this.#say({ type: "tool-call", toolCallId: block.callId, toolName: block.tool, input: block.input === "" ? "{}" : block.input });
  }

  #count(usage: unknown): void {
    for (const [name, value] of Object.entries(objectOf(usage))) if (value !== null) this.#usage = { ...this.#usage, [name]: value };
  }

  #finish(): void {
    this.isOver = true;
    // Where a context was compacted on the way, the counts beside are those of the last round alone.
    const all = listOf(this.#usage.iterations);
    const rounds = all.some(({ type }) => type === "fallback_message") ? [] : all.filter(({ type }) => type === "message" || type === "compaction");
    const total = (name: "input_tokens" | "output_tokens"): number | undefined => (rounds.length === 0 ? countOf(this.#usage[name]) : rounds.reduce((sum, round) => sum + (countOf(round[name]) ?? 0), 0));
    const cacheRead = countOf(this.#usage.cache_read_input_tokens) ?? 0;
    const cacheWrite = countOf(this.#usage.cache_creation_input_tokens) ?? 0;
    this.#say(
      finishPart(STOPS[this.#stop ?? ""] ?? "other", this.#stop, {
        input: (total("input_tokens") ?? 0) + cacheRead + cacheWrite,
        cacheRead,
        cacheWrite,
        output: total("output_tokens"),
        reasoning: countOf(objectOf(this.#usage.output_tokens_details).thinking_tokens),
      }),
    );
  }
}
