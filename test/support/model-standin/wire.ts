/**
 * Answers in four wire formats: as event streams (frames made before the first is sent) and as
 * one JSON body; and the error bodies of each API.
 */
import { signatureOf, type Api, type Ask } from "./conversation.ts";
import type { Piece } from "./plan.ts";

export interface TokenCount {
  /** All prompt tokens; what was read from or written to the cache is part of it. */
  readonly input: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly output: number;
  readonly reasoning: number;
}

export interface Meta {
  readonly id: string;
  readonly ask: Ask;
  readonly usage: TokenCount;
  /** The answer was cut at its limit. */
  readonly wasCut: boolean;
  /** Wall time, seconds. */
  readonly createdAt: number;
  readonly callId: (index: number) => string;
}

/** An event stream in parts: what comes first, the deltas of each piece, what closes it. */
export interface Frames {
  readonly head: string;
  readonly pieces: readonly (readonly string[])[];
  readonly tail: string;
}

const DELTA_CHARACTERS_MIN = 24;
const DELTAS_MAX = 8;

function textDeltas(piece: Extract<Piece, { text: string }>): string[] {
  return piece.kind === "text" && piece.uncut === true ? [piece.text] : deltas(piece.text);
}

/** Cuts a text into at most eight deltas, never inside a pair of surrogates. */
function deltas(text: string): string[] {
  const size = Math.max(DELTA_CHARACTERS_MIN, Math.ceil(text.length / DELTAS_MAX));
  const cut: string[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + size);
    const last = text.charCodeAt(end - 1);
    if (last >= 0xd800 && last < 0xdc00 && end < text.length) end++;
    cut.push(text.slice(at, end));
    at = end;
  }
  return cut.length === 0 ? [""] : cut;
}

const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const event = (value: { readonly type: string; readonly [key: string]: unknown }): string => `event: ${value.type}\n${data(value)}`;
const hasCalls = (pieces: readonly Piece[]): boolean => pieces.some((piece) => piece.kind === "call");

export function framesFor(meta: Meta, pieces: readonly Piece[]): Frames {
  return { anthropic: anthropicFrames, chat: chatFrames, responses: responsesFrames, google: googleFrames }[meta.ask.api](meta, pieces);
}

export function jsonFor(meta: Meta, pieces: readonly Piece[]): unknown {
  return { anthropic: anthropicJson, chat: chatJson, responses: responsesJson, google: googleJson }[meta.ask.api](meta, pieces);
}

// Anthropic Messages

function anthropicUsage({ usage }: Meta): Record<string, number> {
  return {
    input_tokens: usage.input - usage.cacheRead - usage.cacheWrite,
    cache_read_input_tokens: usage.cacheRead,
    cache_creation_input_tokens: usage.cacheWrite,
    output_tokens: usage.output,
  };
}

function anthropicStop({ wasCut }: Meta, pieces: readonly Piece[]): string {
  return wasCut ? "max_tokens" : hasCalls(pieces) ? "tool_use" : "end_turn";
}

function anthropicFrames(meta: Meta, pieces: readonly Piece[]): Frames {
  const message = { id: meta.id, type: "message", role: "assistant", model: meta.ask.model, content: [], stop_reason: null, stop_sequence: null, usage: { ...anthropicUsage(meta), output_tokens: 1 } };
  let calls = 0;
  return {
    head: event({ type: "message_start", message }) + event({ type: "ping" }),
    pieces: pieces.map((piece, index) => {
      const start = (content_block: unknown): string => event({ type: "content_block_start", index, content_block });
      const delta = (value: unknown): string => event({ type: "content_block_delta", index, delta: value });
      const stop = event({ type: "content_block_stop", index });
      if (piece.kind === "call") {
        const opened = start({ type: "tool_use", id: meta.callId(calls++), name: piece.name, input: {} });
        return wrap(opened, deltas(piece.input).map((part) => delta({ type: "input_json_delta", partial_json: part })), stop);
      }
      if (piece.kind === "reasoning") {
        const signed = delta({ type: "signature_delta", signature: signatureOf(piece.text) });
        return wrap(start({ type: "thinking", thinking: "", signature: "" }), textDeltas(piece).map((part) => delta({ type: "thinking_delta", thinking: part })), signed + stop);
      }
      return wrap(start({ type: "text", text: "" }), textDeltas(piece).map((part) => delta({ type: "text_delta", text: part })), stop);
    }),
    tail:
      event({ type: "message_delta", delta: { stop_reason: anthropicStop(meta, pieces), stop_sequence: null }, usage: anthropicUsage(meta) }) +
      event({ type: "message_stop" }),
  };
}

function anthropicJson(meta: Meta, pieces: readonly Piece[]): unknown {
  let calls = 0;
  return {
    id: meta.id,
    type: "message",
    role: "assistant",
    model: meta.ask.model,
    content: pieces.map((piece) => {
      if (piece.kind === "call") return { type: "tool_use", id: meta.callId(calls++), name: piece.name, input: parsed(piece.input) };
      if (piece.kind === "reasoning") return { type: "thinking", thinking: piece.text, signature: signatureOf(piece.text) };
      return { type: "text", text: piece.text };
    }),
    stop_reason: anthropicStop(meta, pieces),
    stop_sequence: null,
    usage: anthropicUsage(meta),
  };
}

// OpenAI Chat Completions

function chatUsage({ usage }: Meta): unknown {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cacheRead },
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
  };
}

function chatFrames(meta: Meta, pieces: readonly Piece[]): Frames {
  const base = { id: meta.id, object: "chat.completion.chunk", created: meta.createdAt, model: meta.ask.model };
  const chunk = (delta: unknown, finish_reason: string | null = null): string => data({ ...base, choices: [{ index: 0, delta, finish_reason }] });
  let calls = 0;
  return {
    head: chunk({ role: "assistant", content: "" }),
    pieces: pieces.map((piece) => {
      if (piece.kind === "reasoning") return textDeltas(piece).map((part) => chunk({ reasoning_content: part }));
      if (piece.kind === "text") return textDeltas(piece).map((part) => chunk({ content: part }));
      const index = calls++;
      const opened = chunk({ tool_calls: [{ index, id: meta.callId(index), type: "function", function: { name: piece.name, arguments: "" } }] });
      return wrap(opened, deltas(piece.input).map((part) => chunk({ tool_calls: [{ index, function: { arguments: part } }] })), "");
    }),
    tail: chunk({}, meta.wasCut ? "length" : hasCalls(pieces) ? "tool_calls" : "stop") + (meta.ask.includeUsage ? data({ ...base, choices: [], usage: chatUsage(meta) }) : "") + "data: [DONE]\n\n",
  };
}

function chatJson(meta: Meta, pieces: readonly Piece[]): unknown {
  const calls = pieces.filter((piece) => piece.kind === "call");
  const reasoning = pieces.filter((piece) => piece.kind === "reasoning").map((piece) => piece.text).join("");
  const message = {
    role: "assistant",
    content: pieces.filter((piece) => piece.kind === "text").map((piece) => piece.text).join("") || null,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call, index) => ({ id: meta.callId(index), type: "function", function: { name: call.name, arguments: call.input } })) }),
  };
  return { id: meta.id, object: "chat.completion", created: meta.createdAt, model: meta.ask.model, choices: [{ index: 0, message, finish_reason: meta.wasCut ? "length" : calls.length > 0 ? "tool_calls" : "stop" }], usage: chatUsage(meta) };
}

// OpenAI Responses

function responsesItem(meta: Meta, piece: Piece, index: number, callIndex: number): Record<string, unknown> {
  if (piece.kind === "call" && piece.isFreeForm === true) return { type: "custom_tool_call", id: `ctc_${meta.id}_${index}`, call_id: meta.callId(callIndex), name: piece.name, input: piece.input, status: "completed" };
  if (piece.kind === "call") return { type: "function_call", id: `fc_${meta.id}_${index}`, call_id: meta.callId(callIndex), name: piece.name, ...(piece.namespace === undefined ? {} : { namespace: piece.namespace }), arguments: piece.input, status: "completed" };
  if (piece.kind === "reasoning") return { type: "reasoning", id: `rs_${meta.id}_${index}`, summary: [{ type: "summary_text", text: piece.text }], encrypted_content: signatureOf(piece.text) };
  return { type: "message", id: `msg_${meta.id}_${index}`, role: "assistant", status: "completed", content: [{ type: "output_text", text: piece.text, annotations: [] }] };
}

function responsesJson(meta: Meta, pieces: readonly Piece[]): Record<string, unknown> {
  const { usage } = meta;
  let calls = 0;
  return {
    id: meta.id,
    object: "response",
    created_at: meta.createdAt,
    model: meta.ask.model,
    status: meta.wasCut ? "incomplete" : "completed",
    error: null,
    incomplete_details: meta.wasCut ? { reason: "max_output_tokens" } : null,
    output: pieces.map((piece, index) => responsesItem(meta, piece, index, piece.kind === "call" ? calls++ : 0)),
    usage: {
      input_tokens: usage.input,
      input_tokens_details: { cached_tokens: usage.cacheRead },
      output_tokens: usage.output,
      output_tokens_details: { reasoning_tokens: usage.reasoning },
      total_tokens: usage.input + usage.output,
    },
  };
}

function responsesFrames(meta: Meta, pieces: readonly Piece[]): Frames {
  let sequence = 0;
  const emit = (type: string, rest: Record<string, unknown>): string => event({ type, sequence_number: sequence++, ...rest });
  const whole = responsesJson(meta, pieces);
  const started = { ...whole, status: "in_progress", output: [], usage: null };
  const items = whole.output as Record<string, unknown>[];
  return {
    head: emit("response.created", { response: started }) + emit("response.in_progress", { response: started }),
    pieces: pieces.map((piece, output_index) => {
      const item = items[output_index]!;
      const at = { item_id: item.id, output_index };
      const done = (): string => emit("response.output_item.done", { output_index, item });
      if (piece.kind === "call" && piece.isFreeForm === true) {
        const opened = emit("response.output_item.added", { output_index, item: { ...item, input: "", status: "in_progress" } });
        const body = deltas(piece.input).map((delta) => emit("response.custom_tool_call_input.delta", { ...at, delta }));
        return wrap(opened, body, emit("response.custom_tool_call_input.done", { ...at, input: piece.input }) + done());
      }
      if (piece.kind === "call") {
        const opened = emit("response.output_item.added", { output_index, item: { ...item, arguments: "", status: "in_progress" } });
        const body = deltas(piece.input).map((delta) => emit("response.function_call_arguments.delta", { ...at, delta }));
        return wrap(opened, body, emit("response.function_call_arguments.done", { ...at, arguments: piece.input }) + done());
      }
      if (piece.kind === "reasoning") {
        const opened = emit("response.output_item.added", { output_index, item: { ...item, summary: [], encrypted_content: null } }) + emit("response.reasoning_summary_part.added", { ...at, summary_index: 0, part: { type: "summary_text", text: "" } });
        const body = textDeltas(piece).map((delta) => emit("response.reasoning_summary_text.delta", { ...at, summary_index: 0, delta }));
        return wrap(opened, body, emit("response.reasoning_summary_part.done", { ...at, summary_index: 0, part: { type: "summary_text", text: piece.text } }) + done());
      }
      const opened = emit("response.output_item.added", { output_index, item: { ...item, content: [], status: "in_progress" } }) + emit("response.content_part.added", { ...at, content_index: 0, part: { type: "output_text", text: "", annotations: [] } });
      const body = textDeltas(piece).map((delta) => emit("response.output_text.delta", { ...at, content_index: 0, delta }));
      return wrap(opened, body, emit("response.output_text.done", { ...at, content_index: 0, text: piece.text }) + done());
    }),
    tail: emit(meta.wasCut ? "response.incomplete" : "response.completed", { response: whole }),
  };
}

// Google generateContent

function googleUsage({ usage }: Meta): unknown {
  return {
    promptTokenCount: usage.input,
    cachedContentTokenCount: usage.cacheRead,
    candidatesTokenCount: usage.output - usage.reasoning,
    thoughtsTokenCount: usage.reasoning,
    totalTokenCount: usage.input + usage.output,
  };
}

function googlePart(piece: Piece, text: string): unknown {
  if (piece.kind === "call") return { functionCall: { name: piece.name, args: parsed(piece.input) }, thoughtSignature: signatureOf(JSON.stringify(parsed(piece.input))) };
  return piece.kind === "reasoning" ? { text, thought: true } : { text };
}

function googleFrames(meta: Meta, pieces: readonly Piece[]): Frames {
  const base = { modelVersion: meta.ask.model, responseId: meta.id };
  const chunk = (parts: readonly unknown[], finishReason?: string): string =>
    data({ candidates: [{ index: 0, content: { role: "model", parts }, ...(finishReason === undefined ? {} : { finishReason }) }], ...(finishReason === undefined ? {} : { usageMetadata: googleUsage(meta) }), ...base });
  return {
    head: "",
    pieces: pieces.map((piece) => (piece.kind === "call" ? [chunk([googlePart(piece, "")])] : textDeltas(piece).map((part) => chunk([googlePart(piece, part)])))),
    tail: chunk([], meta.wasCut ? "MAX_TOKENS" : "STOP"),
  };
}

function googleJson(meta: Meta, pieces: readonly Piece[]): unknown {
  const parts = pieces.map((piece) => googlePart(piece, piece.kind === "call" ? "" : piece.text));
  return { candidates: [{ index: 0, content: { role: "model", parts }, finishReason: meta.wasCut ? "MAX_TOKENS" : "STOP" }], usageMetadata: googleUsage(meta), modelVersion: meta.ask.model, responseId: meta.id };
}

/** Joins an opening to the first delta and a closing to the last, so that a piece is few frames. */
function wrap(opening: string, body: readonly string[], closing: string): string[] {
  const frames = [...body];
  frames[0] = opening + frames[0]!;
  frames[frames.length - 1] += closing;
  return frames;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return { broken: json };
  }
}

// Errors

const ANTHROPIC_ERRORS: Readonly<Record<number, string>> = { 400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error" };
const OPENAI_ERRORS: Readonly<Record<number, [type: string, code: string | null]>> = { 400: ["invalid_request_error", null], 401: ["invalid_request_error", "invalid_api_key"], 402: ["insufficient_quota", "insufficient_quota"], 404: ["invalid_request_error", "model_not_found"], 429: ["requests", "rate_limit_exceeded"] };
const GOOGLE_ERRORS: Readonly<Record<number, string>> = { 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE" };

export function errorBody(api: Api, status: number, message: string): unknown {
  if (api === "anthropic") return { type: "error", error: { type: ANTHROPIC_ERRORS[status] ?? "api_error", message } };
  if (api === "google") return { error: { code: status, message, status: GOOGLE_ERRORS[status] ?? "INTERNAL" } };
  const [type, code] = OPENAI_ERRORS[status] ?? ["server_error", null];
  return { error: { message, type, param: null, code } };
}
