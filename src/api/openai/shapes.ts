/** Answers as OpenAI's two APIs write them: whole, or as a stream of events. */
import type { JsonObject } from "../../base/json.ts";
import type { Usage } from "../../model/chat.ts";
import type { Answered } from "./follow.ts";

export interface AnswerMeta {
  readonly id: string;
  /** As the caller named it. */
  readonly model: string;
  /** Wall time, seconds. */
  readonly createdAt: number;
  readonly includeUsage: boolean;
  readonly previous: string | null;
}

/** One API's way to write an answer; each part is a piece of the stream as it goes over the wire. */
export interface AnswerShape {
  whole(answered: Answered): JsonObject;
  begin(): string;
  piece(text: string): string;
  /** What closes the stream of a good answer. */
  end(answered: Answered): string;
  /** What closes the stream of one that failed on its way. */
  fail(error: object): string;
}

const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const DONE = "data: [DONE]\n\n";

// ── Chat Completions ────────────────────────────────────────────────────────────────────────

export function chatShape({ id, model, createdAt, includeUsage }: AnswerMeta): AnswerShape {
  const base = { id, object: "chat.completion.chunk", created: createdAt, model };
  const chunk = (delta: object, finish: string | null = null): string => data({ ...base, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...(includeUsage ? { usage: null } : {}) });
  return {
    whole: ({ text, usage }) => ({
      ...base,
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content: text, refusal: null }, logprobs: null, finish_reason: "stop" }],
      usage: chatUsage(usage),
    }),
    begin: () => chunk({ role: "assistant", content: "" }),
    piece: (text) => chunk({ content: text }),
    end: ({ usage }) => chunk({}, "stop") + (includeUsage ? data({ ...base, choices: [], usage: chatUsage(usage) }) : "") + DONE,
    fail: (error) => data(error) + DONE,
  };
}

function chatUsage(usage: Usage): JsonObject {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cacheRead },
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
  };
}

// ── Responses ───────────────────────────────────────────────────────────────────────────────

export function responsesShape({ id, model, createdAt, previous }: AnswerMeta): AnswerShape {
  let sequence = 0;
  let streamed = "";
  const itemId = `msg_${id.slice("resp_".length)}`;
  const at = { item_id: itemId, output_index: 0, content_index: 0 };
  const emit = (type: string, rest: object): string => `event: ${type}\n${data({ type, sequence_number: sequence++, ...rest })}`;
  const part = (text: string): JsonObject => ({ type: "output_text", text, annotations: [] });
  const item = (status: string, content: JsonObject[]): JsonObject => ({ type: "message", id: itemId, role: "assistant", status, content });
  const response = (status: string, more: JsonObject): JsonObject => ({
    id, object: "response", created_at: createdAt, model, status, error: null, incomplete_details: null, instructions: null, metadata: {},
    output: [], parallel_tool_calls: true, previous_response_id: previous, tool_choice: "auto", tools: [], usage: null, ...more,
  });
  const done = (text: string, usage: Usage): JsonObject => response("completed", { output: [item("completed", [part(text)])], usage: responsesUsage(usage) });
  return {
    whole: ({ text, usage }) => done(text, usage),
    begin: () =>
      emit("response.created", { response: response("in_progress", {}) }) +
      emit("response.in_progress", { response: response("in_progress", {}) }) +
      emit("response.output_item.added", { output_index: 0, item: item("in_progress", []) }) +
      emit("response.content_part.added", { ...at, part: part("") }),
    piece(text) {
      streamed += text;
      return emit("response.output_text.delta", { ...at, delta: text, logprobs: [] });
    },
    end: ({ usage }) =>
      emit("response.output_text.done", { ...at, text: streamed, logprobs: [] }) +
      emit("response.content_part.done", { ...at, part: part(streamed) }) +
      emit("response.output_item.done", { output_index: 0, item: item("completed", [part(streamed)]) }) +
      emit("response.completed", { response: done(streamed, usage) }),
    fail: (error) => emit("response.failed", { response: response("failed", { ...error } as JsonObject) }),
  };
}

function responsesUsage(usage: Usage): JsonObject {
  return {
    input_tokens: usage.input,
    input_tokens_details: { cached_tokens: usage.cacheRead },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: usage.input + usage.output,
  };
}
