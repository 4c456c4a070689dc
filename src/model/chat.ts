/**
 * A conversation as models see it, and one call to a model: the shapes that agents and providers share.
 *
 * Always true of a list of ChatMessages that is sent: every tool call of an assistant message is
 * answered by a result in the tool message right after it, and no result stands without its call.
 */
import type { TurnId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import type { Parking } from "./parking.ts";
import type { ToolSpec } from "./tool.ts";

export interface TextPart {
  readonly type: "text";
  readonly text: string;
  /** What the provider wants back unchanged with this part (ids, signatures). */
  readonly provider?: JsonObject;
}
export interface ReasoningPart {
  readonly type: "reasoning";
  readonly text: string;
  readonly provider?: JsonObject;
}
export interface ToolCallPart {
  readonly type: "tool-call";
  readonly callId: string;
  readonly tool: string;
  /** The arguments; `{ "$invalid": text }` when the model sent something that is no JSON object. */
  readonly input: JsonObject;
  readonly provider?: JsonObject;
}
export type AssistantPart = TextPart | ReasoningPart | ToolCallPart;

export interface ToolResult {
  readonly callId: string;
  readonly tool: string;
  readonly text: string;
  readonly isError: boolean;
}

export type ChatMessage =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly parts: readonly AssistantPart[] }
  | { readonly role: "tool"; readonly results: readonly ToolResult[] };

/** Tokens of one or more model calls. `input` counts all prompt tokens, cached ones included. */
export interface Usage {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly reasoning: number;
  readonly calls: number;
  /** Millionths of a US dollar by the dated price table, of those calls whose model has a price. */
  readonly costMicros: number;
  /** Calls of models without a known price, which `costMicros` leaves out; absent = none. */
  readonly unpriced?: number;
}

export const NO_USAGE: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0, calls: 0, costMicros: 0 };

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    input: a.input + b.input,
    output: a.output + b.output,
    cacheRead: a.cacheRead + b.cacheRead,
    cacheWrite: a.cacheWrite + b.cacheWrite,
    reasoning: a.reasoning + b.reasoning,
    calls: a.calls + b.calls,
    costMicros: a.costMicros + b.costMicros,
    ...(a.unpriced || b.unpriced ? { unpriced: (a.unpriced ?? 0) + (b.unpriced ?? 0) } : {}),
  };
}

export interface ModelRequest {
  /** `<provider>/<model>`. */
  readonly model: string;
  readonly system: string;
  readonly messages: readonly ChatMessage[];
  /** What holds at this moment, e.g. what runs. Told last of all, so that everything before it stays in the provider's cache. */
  readonly now?: string;
  readonly tools: readonly ToolSpec[];
  readonly toolChoice?: "auto" | "none" | { readonly tool: string };
  readonly maxOutputTokens?: number;
  /**
   * Called before an attempt after one that may have been paid for; the new attempt is held to what it
   * resolves with. It rejects when there is no budget for another.
   */
  readonly again?: () => Promise<{ readonly maxOutputTokens: number }>;
  /** Stable per session: lets a provider keep its cache warm. */
  readonly cacheKey?: string;
  /** Whose turn it is for, where traces want to know. */
  readonly turn?: TurnId;
  /** Of the first call of a turn that goes on after a restart: when it began, wall time. Such calls go first, in that order. */
  readonly began?: number;
  /** A person waits for the answer: it goes before background work when a provider's limit is reached. */
  readonly person?: boolean;
  readonly signal: AbortSignal;
}

/** What arrives while a call runs; provisional until the answer is complete. */
export type ModelFrame =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "tool"; readonly callId: string; readonly tool: string }
  /** The call starts anew after a failed attempt; what came before is void. */
  | { readonly type: "restart"; readonly attempt: number; readonly reason: string }
  /** The call waits to be let through to its provider; this is neither failure nor progress. */
  | { readonly type: "parked"; readonly parking: Parking }
  /** A call that was parked goes on. */
  | { readonly type: "resumed" }
  /** The model that was asked could not answer, and another one did. */
  | { readonly type: "fallback"; readonly from: string; readonly to: string; readonly reason: string };

export interface ModelAnswer {
  readonly parts: readonly AssistantPart[];
  readonly stop: "end" | "tools" | "length" | "refused" | "other";
  readonly usage: Usage;
  /** The model that really answered. */
  readonly model: string;
  /** A tool that the model has and said it had not; what it said was dropped, and it was asked again. */
  readonly denied?: string;
}

/** Calls models. Implemented in `providers/`; retries and waits inside it are bounded. */
export interface ModelClient {
  /**
   * One model call: one HTTP request per attempt.
   * @throws {Fault} PROVIDER_*, MODEL_UNKNOWN, CONTEXT_TOO_LONG; the signal's reason when aborted.
   */
  call(request: ModelRequest, onFrame: (frame: ModelFrame) => void): Promise<ModelAnswer>;
  /** The context window of a model in tokens, or a cautious guess. */
  contextWindow(model: string): number;
  /** Models that can be named right now, e.g. for `/model` and `GET /v1/models`. */
  knownModels(): readonly string[];
}

export function textOf(parts: readonly AssistantPart[]): string {
  let text = "";
  for (const part of parts) if (part.type === "text") text += part.text;
  return text;
}

export function toolCallsOf(parts: readonly AssistantPart[]): readonly ToolCallPart[] {
  return parts.filter((part): part is ToolCallPart => part.type === "tool-call");
}
