/** How an answer ended, as the AI SDK's specification tells it. */
import type { LanguageModelV4FinishReason, LanguageModelV4StreamPart } from "@ai-sdk/provider";

type Finish = Extract<LanguageModelV4StreamPart, { type: "finish" }>;

/** Tokens of one call. `input` is all of the prompt, what the cache gave or took included; undefined = not told. */
export interface Counts {
  readonly input: number | undefined;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
  /** All of the answer, reasoning included. */
  readonly output: number | undefined;
  readonly reasoning?: number | undefined;
}

export function finishPart(unified: LanguageModelV4FinishReason["unified"], raw: string | undefined, { input, cacheRead, cacheWrite, output, reasoning }: Counts): Finish {
  return {
    type: "finish",
    finishReason: { unified, raw },
    usage: {
      inputTokens: { total: input, noCache: input === undefined ? undefined : Math.max(0, input - (cacheRead ?? 0) - (cacheWrite ?? 0)), cacheRead, cacheWrite },
      outputTokens: { total: output, text: output === undefined ? undefined : Math.max(0, output - (reasoning ?? 0)), reasoning },
    },
  };
}
