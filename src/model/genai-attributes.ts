/** A model call in the names of OpenTelemetry's conventions for generative AI, for traces and logs. */
import type { ModelAnswer } from "./chat.ts";

export type Attributes = Readonly<Record<string, string | number | readonly string[]>>;

const FINISH: Readonly<Record<ModelAnswer["stop"], string>> = { end: "stop", tools: "tool_calls", length: "length", refused: "content_filter", other: "other" };

/** @param asked  the model that was asked for, as `<provider>/<model>`. */
export function genAiAttributes(call: { readonly asked: string; readonly session: string; readonly outputTokensMax?: number; readonly answer: Pick<ModelAnswer, "model" | "stop" | "usage"> }): Attributes {
  const { usage, model, stop } = call.answer;
  return {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": call.asked.slice(0, Math.max(0, call.asked.indexOf("/"))) || call.asked,
    "gen_ai.conversation.id": call.session,
    "gen_ai.request.model": nameOf(call.asked),
    "gen_ai.response.model": nameOf(model),
    "gen_ai.response.finish_reasons": [FINISH[stop]],
    ...(call.outputTokensMax === undefined ? {} : { "gen_ai.request.max_tokens": call.outputTokensMax }),
    "gen_ai.usage.input_tokens": usage.input,
    "gen_ai.usage.output_tokens": usage.output,
    "gen_ai.usage.cache_read.input_tokens": usage.cacheRead,
    "gen_ai.usage.cache_creation.input_tokens": usage.cacheWrite,
    "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
  };
}

function nameOf(model: string): string {
  return model.slice(model.indexOf("/") + 1);
}
