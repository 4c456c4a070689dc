/**
 * Readers of answers: the events of one stream in, the parts of the answer out.
 *
 * The libraries make the requests, and `library.test.ts` holds these readers to what the libraries would
 * have read. Reading through them costs 50 kB and 0.4 ms a call, which is more than all the rest of it.
 */
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { JsonObject } from "../../base/json.ts";
import type { Api } from "../settings.ts";
import { AnthropicReader } from "./anthropic.ts";
import { ChatReader } from "./openai-chat.ts";
import { GoogleReader } from "./google.ts";
import { ResponsesReader } from "./openai-responses.ts";

/** Hears each part of an answer. @throws what the answer breaks off with */
export type Say = (part: LanguageModelV4StreamPart) => void;

export interface AnswerReader {
  /** True once the provider has said how the answer ends; only counts of tokens may still follow. */
  readonly isOver: boolean;
  /**
   * Takes the next event.
   * @returns false when it makes no sense here.
   * @throws what `say` throws
   */
  take(event: JsonObject): boolean;
  /** No event follows: says what was held back until now. An answer without a proper end gets none here. */
  end(): void;
}

/** @param freshId makes ids for calls that come without one. */
export function readerFor(api: Api, say: Say, freshId: () => string): AnswerReader {
  switch (api) {
    case "anthropic-messages":
      return new AnthropicReader(say);
    case "google-generative-ai":
      return new GoogleReader(say, freshId);
    case "openai-responses":
      return new ResponsesReader(say);
    case "openai-completions":
      return new ChatReader(say, freshId);
  }
}
