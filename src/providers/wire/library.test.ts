/** Our readers beside the libraries': the same events must become the same answer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Piece } from "../../../test/support/model-standin/plan.ts";
import { framesFor } from "../../../test/support/model-standin/wire.ts";
import { AnswerBuilder, type Assembled } from "../answer.ts";
import { ask } from "../contract-suite.ts";
import { libraryModel } from "../models.ts";
import { ENDPOINTS, providers, type Api } from "../settings.ts";
import { EventStream } from "./event-stream.ts";
import { readerFor } from "./reader.ts";

interface Flavour {
  readonly api: Api;
  readonly wire: "anthropic" | "chat" | "responses" | "google";
  readonly baseUrl: string;
}

const FLAVOURS: Readonly<Record<string, Flavour>> = {
  anthropic: { api: "anthropic-messages", wire: "anthropic", baseUrl: "http://127.0.0.1:9" },
  compatible: { api: "openai-completions", wire: "chat", baseUrl: "http://127.0.0.1:9" },
  chat: { api: "openai-completions", wire: "chat", baseUrl: ENDPOINTS["openai-completions"].baseUrl },
  responses: { api: "openai-responses", wire: "responses", baseUrl: "http://127.0.0.1:9" },
  google: { api: "google-generative-ai", wire: "google", baseUrl: "http://127.0.0.1:9" },
};

const freshIds = (): (() => string) => {
  let n = 0;
  return () => `fresh-${++n}`;
};

function builder(): AnswerBuilder {
  return new AnswerBuilder(ask("hello"), () => {}, freshIds());
}

/** What becomes of an answer: the answer, or nothing. Why it is nothing is told in other words by each. */
type Outcome = Assembled | "no answer";

function ours({ api }: Flavour, bytes: string, cuts: readonly number[] = []): Outcome {
  const into = builder();
  const reader = readerFor(api, (part) => void into.take(part), freshIds());
  const events = new EventStream((event) => {
    if (!reader.take(event)) into.puzzle(event);
  });
  try {
    const all = Buffer.from(bytes);
    let from = 0;
    for (const to of [...cuts.map((cut) => cut % (all.length + 1)).sort((a, b) => a - b), all.length]) {
      events.feed(all.subarray(from, to));
      from = to;
    }
    reader.end();
    return into.result();
  } catch {
    return "no answer";
  }
}

async function theirs({ api, baseUrl }: Flavour, bytes: string): Promise<Outcome> {
  const setup = providers.parse({ p: { api, baseUrl, apiKey: "key", models: ["m"] } }).p!;
  const model = await libraryModel(setup, "m", "key", () => Promise.resolve(new Response(bytes, { headers: { "content-type": "text/event-stream" } })));
  const into = builder();
  try {
    const { stream } = await model.doStream({ prompt: [{ role: "user", content: [{ type: "text", text: "hello" }] }], ...(api === "openai-responses" ? { providerOptions: { openai: { store: false } } } : {}) });
    for await (const part of stream) into.take(part);
    return into.result();
  } catch {
    return "no answer";
  }
}

/** Ids that a provider does not give are each side's own; the names of models that a library never tells are not compared. */
function comparable(outcome: Outcome, bytes: string): unknown {
  if (outcome === "no answer") return outcome;
  const { parts, stop, tokens } = outcome;
  return { parts: parts.map((part) => (part.type === "tool-call" && !bytes.includes(part.callId) ? { ...part, callId: "own" } : part)), stop, tokens };
}

const events = (...all: readonly object[]): string => all.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
const chunk = (delta: object, more: object = {}): object => ({ id: "c", model: "m", choices: [{ index: 0, delta, finish_reason: null, ...more }] });
const end = (reason: string): object => chunk({}, { finish_reason: reason });
const COUNTED = { prompt_tokens: 30, completion_tokens: 9, prompt_tokens_details: { cached_tokens: 10 }, completion_tokens_details: { reasoning_tokens: 4 } };
const START = { type: "message_start", message: { id: "m", type: "message", role: "assistant", model: "claude", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 3, cache_read_input_tokens: 2, cache_creation_input_tokens: 1, output_tokens: 1 } } };
const STOP = { type: "message_stop" };
const stopped = (stop_reason: string, usage: object = { output_tokens: 7 }): object => ({ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage });
const block = (index: number, content_block: object, ...deltas: readonly object[]): object[] => [
  { type: "content_block_start", index, content_block },
  ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
  { type: "content_block_stop", index },
];
const response = (more: object = {}): object => ({ id: "r", object: "response", created_at: 1, model: "gpt", output: [], incomplete_details: null, usage: { input_tokens: 20, input_tokens_details: { cached_tokens: 5 }, output_tokens: 8, output_tokens_details: { reasoning_tokens: 6 } }, ...more });
const created = { type: "response.created", response: response({ usage: null }) };
const item = (output_index: number, added: object, done: object, ...between: readonly object[]): object[] => [{ type: "response.output_item.added", output_index, item: added }, ...between, { type: "response.output_item.done", output_index, item: done }];
const candidate = (parts: readonly object[], more: object = {}): object => ({ responseId: "g", candidates: [{ content: { role: "model", parts }, ...more }] });

/** By hand, what no stand-in says. */
const SAMPLES: readonly (readonly [flavour: string, what: string, bytes: string])[] = [
  ["anthropic", "signed and hidden reasoning", events(START, ...block(0, { type: "thinking", thinking: "", signature: "" }, { type: "thinking_delta", thinking: "hm" }, { type: "signature_delta", signature: "sig" }), ...block(1, { type: "redacted_thinking", data: "xyz" }), ...block(2, { type: "text", text: "" }, { type: "text_delta", text: "well" }), stopped("end_turn"), STOP)],
  ["anthropic", "pings between", events(START, { type: "ping" }, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }), { type: "ping" }, stopped("end_turn"), STOP)],
  ["anthropic", "calls without an input, with one at once, and in pieces", events(START, ...block(0, { type: "tool_use", id: "t1", name: "look", input: {} }), ...block(1, { type: "tool_use", id: "t2", name: "look", input: { what: "a" } }), ...block(2, { type: "tool_use", id: "t3", name: "look", input: {} }, { type: "input_json_delta", partial_json: '{"wh' }, { type: "input_json_delta", partial_json: "" }, { type: "input_json_delta", partial_json: 'at":"b"}' }), stopped("tool_use"), STOP)],
  ["anthropic", "all counts at the end", events(START, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }), stopped("max_tokens", { input_tokens: 40, cache_read_input_tokens: 30, cache_creation_input_tokens: 20, output_tokens: 10, output_tokens_details: { thinking_tokens: 4 } }), STOP)],
  ["anthropic", "an empty answer", events(START, stopped("end_turn"), STOP)],
  ["anthropic", "a refusal", events(START, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "no" }), stopped("refusal"), STOP)],
  ["anthropic", "a reason that nobody knows", events(START, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }), stopped("tired"), STOP)],
  ["anthropic", "an error in the middle", events(START, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }), { type: "error", error: { type: "overloaded_error", message: "Overloaded" } })],
  ["anthropic", "no end", events(START, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }), stopped("end_turn"))],
  ["anthropic", "a second search of the provider's own", events(START, ...block(0, { type: "server_tool_use", id: "s", name: "web_search", input: {} }), ...block(1, { type: "text", text: "" }, { type: "text_delta", text: "a" }), stopped("pause_turn"), STOP)],
  ["anthropic", "rounds of a compacted context", events(START, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }), stopped("end_turn", { input_tokens: 5, output_tokens: 6, iterations: [{ type: "compaction", input_tokens: 100, output_tokens: 20 }, { type: "message", input_tokens: 5, output_tokens: 6 }] }), STOP)],
  ["compatible", "reasoning in its own field, then text", events(chunk({ role: "assistant", content: null, reasoning_content: "hm" }), chunk({ reasoning_content: "m" }), chunk({ content: "well" }), end("stop"), { choices: [], usage: COUNTED }) + "data: [DONE]\n\n"],
  ["compatible", "reasoning under its other name", events(chunk({ reasoning: "hm" }), chunk({ content: "well" }), end("stop"))],
  ["compatible", "a list of parts as content", events(chunk({ content: [{ type: "thinking", thinking: [{ type: "text", text: "hm" }, { type: "other" }] }, { type: "text", text: "well" }] }), end("stop"))],
  ["compatible", "calls in one piece and without ids", events(chunk({ tool_calls: [{ index: 0, function: { name: "look", arguments: '{"what":"a"}' } }, { index: 1, function: { name: "look", arguments: '{"what":"b"}' } }] }), end("tool_calls"))],
  ["compatible", "calls without an index", events(chunk({ tool_calls: [{ id: "a", function: { name: "look", arguments: '{"what":"a"}' } }] }), chunk({ tool_calls: [{ id: "b", function: { name: "look", arguments: '{"what":"b"}' } }] }), end("tool_calls"))],
  ["compatible", "the input before the name", events(chunk({ tool_calls: [{ index: 0, id: "a", function: { arguments: '{"wh' } }] }), chunk({ tool_calls: [{ index: 0, function: { name: "look", arguments: 'at":1}' } }] }), end("tool_calls"))],
  ["compatible", "a call that never gets a name", events(chunk({ tool_calls: [{ index: 0, id: "a", function: { arguments: "{}" } }] }), end("tool_calls"))],
  ["compatible", "a signed call", events(chunk({ tool_calls: [{ index: 0, id: "a", function: { name: "look", arguments: "{}" }, extra_content: { google: { thought_signature: "sig" } } }] }), end("tool_calls"))],
  ["compatible", "a refusal beside no text", events(chunk({ refusal: "no" }), end("stop"))],
  ["compatible", "an error as an event", events(chunk({ content: "a" }), { error: { message: "broken", code: 500 } })],
  ["compatible", "no end", events(chunk({ content: "a" }))],
  ["compatible", "reasoning after text", events(chunk({ content: "a" }), chunk({ reasoning_content: "hm" }), chunk({ content: "b" }), end("length"))],
  ["chat", "a refusal", events(chunk({ role: "assistant", content: "", refusal: null }), chunk({ refusal: "I must not" }), end("stop"), { id: "c", model: "m", choices: [], usage: COUNTED })],
  ["chat", "counts with what the cache took", events(chunk({ content: "a" }), end("stop"), { id: "c", model: "m", choices: [], usage: { ...COUNTED, prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 5 } } })],
  ["chat", "interleaved calls", events(chunk({ tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "look", arguments: "" } }] }), chunk({ tool_calls: [{ index: 1, id: "b", type: "function", function: { name: "look", arguments: "" } }] }), chunk({ tool_calls: [{ index: 0, function: { arguments: '{"what":1}' } }] }), chunk({ tool_calls: [{ index: 1, function: { arguments: '{"what":2}' } }] }), end("tool_calls"))],
  ["responses", "reasoning with a summary in parts", events(created, ...item(0, { type: "reasoning", id: "rs", encrypted_content: "first", summary: [] }, { type: "reasoning", id: "rs", encrypted_content: "last", summary: [] }, { type: "response.reasoning_summary_part.added", item_id: "rs", output_index: 0, summary_index: 0 }, { type: "response.reasoning_summary_text.delta", item_id: "rs", output_index: 0, summary_index: 0, delta: "one" }, { type: "response.reasoning_summary_part.done", item_id: "rs", output_index: 0, summary_index: 0 }, { type: "response.reasoning_summary_part.added", item_id: "rs", output_index: 0, summary_index: 1 }, { type: "response.reasoning_summary_text.delta", item_id: "rs", output_index: 0, summary_index: 1, delta: "two" }), { type: "response.completed", response: response() })],
  ["responses", "a message with a phase", events(created, ...item(0, { type: "message", id: "msg", phase: "commentary" }, { type: "message", id: "msg", phase: "commentary" }, { type: "response.output_text.delta", item_id: "msg", output_index: 0, delta: "well" }), { type: "response.completed", response: response() })],
  ["responses", "an item whose id changes", events(created, ...item(0, { type: "message", id: "first" }, { type: "message", id: "second" }, { type: "response.output_text.delta", item_id: "third", output_index: 0, delta: "well" }), { type: "response.completed", response: response() })],
  ["responses", "a refusal", events(created, ...item(0, { type: "message", id: "msg" }, { type: "message", id: "msg" }, { type: "response.refusal.delta", item_id: "msg", output_index: 0, delta: "no" }), { type: "response.completed", response: response() })],
  ["responses", "a call", events(created, ...item(0, { type: "function_call", id: "fc", call_id: "a", name: "look", arguments: "" }, { type: "function_call", id: "fc", call_id: "a", name: "look", arguments: '{"what":"a"}', status: "completed" }, { type: "response.function_call_arguments.delta", item_id: "fc", output_index: 0, delta: '{"what":"a"}' }), { type: "response.completed", response: response() })],
  ["responses", "an answer cut at its limit", events(created, ...item(0, { type: "message", id: "msg" }, { type: "message", id: "msg" }, { type: "response.output_text.delta", item_id: "msg", output_index: 0, delta: "we" }), { type: "response.incomplete", response: response({ incomplete_details: { reason: "max_output_tokens" } }) })],
  ["responses", "a failure", events(created, { type: "response.failed", sequence_number: 2, response: response({ error: { code: "server_error", message: "broken" } }) })],
  ["responses", "an error as an event", events(created, { type: "error", sequence_number: 2, error: { type: "x", code: "rate_limit_exceeded", message: "slow down", param: null } })],
  ["responses", "events that nobody knows", events(created, { type: "response.novelty", a: 1 }, ...item(0, { type: "message", id: "msg" }, { type: "message", id: "msg" }, { type: "response.output_text.delta", item_id: "msg", output_index: 0, delta: "well" }), { type: "response.completed", response: response() })],
  ["responses", "no end", events(created, ...item(0, { type: "message", id: "msg" }, { type: "message", id: "msg" }))],
  ["google", "signed text, thoughts and calls", events(candidate([{ text: "hm", thought: true, thoughtSignature: "s1" }]), candidate([{ text: "well" }, { text: "", thoughtSignature: "s2" }]), candidate([{ functionCall: { name: "look", args: { what: "a" } }, thoughtSignature: "s3" }, { functionCall: { name: "look" } }], { finishReason: "STOP" }))],
  ["google", "a signature that stands alone", events(candidate([{ text: "", thoughtSignature: "s" }]), candidate([{ functionCall: { id: "own-id", name: "look", args: {} } }], { finishReason: "STOP" }))],
  ["google", "a prompt that is blocked", events({ responseId: "g", promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 5 } })],
  ["google", "an answer that is filtered", events(candidate([{ text: "a" }]), candidate([], { finishReason: "SAFETY" }))],
  ["google", "all counts", events(candidate([{ text: "a" }], { finishReason: "MAX_TOKENS" }), { responseId: "g", usageMetadata: { promptTokenCount: 50, toolUsePromptTokenCount: 5, cachedContentTokenCount: 20, candidatesTokenCount: 9, thoughtsTokenCount: 4 } })],
  ["google", "an error as an event", events(candidate([{ text: "a" }]), { error: { code: 503, message: "busy", status: "UNAVAILABLE" } })],
  ["google", "no end", events(candidate([{ text: "a" }]))],
  ["google", "a call that was malformed", events(candidate([], { finishReason: "MALFORMED_FUNCTION_CALL" }))],
];

for (const [flavour, what, bytes] of SAMPLES) {
  test(`${flavour}: ${what}`, async () => {
    assert.deepEqual(comparable(ours(FLAVOURS[flavour]!, bytes), bytes), comparable(await theirs(FLAVOURS[flavour]!, bytes), bytes));
  });
}

const words = fc.oneof(fc.constantFrom("grüße 🎈 aus 東京", "a", "two\nlines", "data: x\n\ndata: y"), fc.string({ minLength: 1, maxLength: 60 }));
const piece: fc.Arbitrary<Piece> = fc.oneof(
  words.map((text) => ({ kind: "text", text }) as Piece),
  words.map((text) => ({ kind: "reasoning", text }) as Piece),
  fc.tuple(fc.constantFrom("look", "other"), fc.constantFrom("{}", '{"what":"a"}', '{"what":["🎈",{"b":null}]}')).map(([name, input]) => ({ kind: "call", name, input }) as Piece),
);
const ANSWERS = 150;

for (const [name, flavour] of Object.entries(FLAVOURS)) {
  test(`${name}: any whole answer, however it is cut`, async () => {
    await fc.assert(
      // OpenAI itself never shows reasoning there, so its library does not look for any.
      fc.asyncProperty(fc.array(name === "chat" ? piece.filter(({ kind }) => kind !== "reasoning") : piece, { maxLength: 5 }), fc.boolean(), fc.array(fc.nat(), { maxLength: 12 }), async (pieces, wasCut, cuts) => {
        const meta = { id: "m1", ask: { api: flavour.wire, model: "standin", includeUsage: true }, usage: { input: 40, cacheRead: 20, cacheWrite: 0, output: 15, reasoning: 5 }, wasCut, createdAt: 1_800_000_000, callId: (index: number) => `call_${index}` };
        const frames = framesFor(meta as unknown as Parameters<typeof framesFor>[0], pieces);
        const bytes = [frames.head, ...frames.pieces.flat(), frames.tail].join("");
        assert.deepEqual(comparable(ours(flavour, bytes, cuts), bytes), comparable(await theirs(flavour, bytes), bytes));
      }),
      { numRuns: ANSWERS, seed: 1 },
    );
  });
}
