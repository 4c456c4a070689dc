/**
 * Reads the tokens of a call from its answer as it passes by.
 *
 * It looks at lines that speak of usage and at nothing else, holds at most one line (or one whole
 * answer that is no stream) of bounded length, and never changes or delays what it reads.
 */
import { StringDecoder } from "node:string_decoder";
import { countFrom } from "../base/count.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import { NO_USAGE, type Usage } from "../model/chat.ts";

/** The longest line, or whole answer, that is looked into; longer ones pass unread. */
export const READ_CHARS_MAX = 4_000_000;

export type TokenCounts = Omit<Usage, "calls" | "costMicros" | "unpriced">;

export class PassingUsage {
  readonly #isStream: boolean;
  readonly #decoder = new StringDecoder("utf8");
  #held = "";
  #isTooLong = false;
  #counts: TokenCounts | null = null;
  /** An error that came as an event of the stream; null = none did. */
  error: JsonObject | null = null;

  constructor(isStream: boolean) {
    this.#isStream = isStream;
  }

  take(chunk: Uint8Array): void {
    const text = this.#decoder.write(chunk as Buffer);
    if (!this.#isStream) return this.#hold(text);
    const end = text.lastIndexOf("\n");
    if (end < 0) return this.#hold(text);
    const lines = this.#isTooLong ? text.slice(text.indexOf("\n"), end) : this.#held + text.slice(0, end);
    this.#isTooLong = false;
    this.#held = text.slice(end + 1);
    if (!lines.includes('"usage') && !lines.includes('"error"')) return;
    for (const line of lines.split("\n")) if (line.startsWith("data:") && (line.includes('"usage') || line.includes('"error"'))) this.#read(line.slice(5));
  }

  /** What the answer said, once it has passed; null when it said nothing of tokens. */
  end(): TokenCounts | null {
    if (!this.#isStream && !this.#isTooLong && this.#held.includes('"usage')) this.#read(this.#held);
    this.#held = "";
    return this.#counts;
  }

  #hold(text: string): void {
    if (this.#isTooLong) return;
    if (this.#held.length + text.length <= READ_CHARS_MAX) this.#held += text;
    else {
      this.#held = "";
      this.#isTooLong = true;
    }
  }

  #read(json: string): void {
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch {
      return;
    }
    if (!isJsonObject(value)) return;
    if (value["type"] === "error" || isJsonObject(value["error"]) || (isJsonObject(value["response"]) && isJsonObject(value["response"]["error"]))) this.error ??= value;
    const holder = [value["message"], value["response"], value].find((each) => isJsonObject(each) && (isJsonObject(each["usage"]) || isJsonObject(each["usageMetadata"])));
    if (!isJsonObject(holder)) return;
    this.#counts = countsOf((holder["usage"] ?? holder["usageMetadata"]) as JsonObject, this.#counts);
  }
}

/** Each API has names of its own; later events of a stream repeat or complete earlier ones. */
function countsOf(usage: JsonObject, before: TokenCounts | null): TokenCounts {
  const { input, output, cacheRead, cacheWrite, reasoning } = before ?? NO_USAGE;
  if ("promptTokenCount" in usage || "candidatesTokenCount" in usage || "totalTokenCount" in usage) {
    const thought = numberIn(usage, "thoughtsTokenCount") ?? 0;
    return { input: numberIn(usage, "promptTokenCount") ?? input, output: (numberIn(usage, "candidatesTokenCount") ?? 0) + thought, cacheRead: numberIn(usage, "cachedContentTokenCount") ?? 0, cacheWrite: 0, reasoning: thought };
  }
  if ("prompt_tokens" in usage || "completion_tokens" in usage) {
    return {
      input: numberIn(usage, "prompt_tokens") ?? input,
      output: numberIn(usage, "completion_tokens") ?? output,
      cacheRead: numberIn(usage["prompt_tokens_details"], "cached_tokens") ?? cacheRead,
      cacheWrite,
      reasoning: numberIn(usage["completion_tokens_details"], "reasoning_tokens") ?? reasoning,
    };
  }
  if ("input_tokens_details" in usage || "output_tokens_details" in usage) {
    return {
      input: numberIn(usage, "input_tokens") ?? input,
      output: numberIn(usage, "output_tokens") ?? output,
      cacheRead: numberIn(usage["input_tokens_details"], "cached_tokens") ?? cacheRead,
      cacheWrite,
      reasoning: numberIn(usage["output_tokens_details"], "reasoning_tokens") ?? reasoning,
    };
  }
  // Anthropic counts what came from or went to the cache beside its input; here it is part of it.
  const read = numberIn(usage, "cache_read_input_tokens") ?? cacheRead;
  const written = numberIn(usage, "cache_creation_input_tokens") ?? cacheWrite;
  const uncached = numberIn(usage, "input_tokens") ?? input - cacheRead - cacheWrite;
  return { input: uncached + read + written, output: numberIn(usage, "output_tokens") ?? output, cacheRead: read, cacheWrite: written, reasoning };
}

function numberIn(holder: unknown, name: string): number | null {
  return isJsonObject(holder) ? countFrom(holder[name]) : null;
}
