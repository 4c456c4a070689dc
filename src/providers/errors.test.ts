/** The errors of providers as they come over the wire, and what each leads to: one row per error. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allowanceBook } from "../../test/support/allowance-book.ts";
import { sendOver } from "../../test/support/send-over.ts";
import { seededRandom } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import { textOf } from "../model/chat.ts";
import type { FaultCode } from "../model/faults.ts";
import { ask, faultOf, HurriedClock, settingsOf } from "./contract-suite.ts";
import { makeProviders, type Providers } from "./providers.ts";
import type { Api } from "./settings.ts";

/** `retry`: the same account is asked again, after that many milliseconds at least. `next`: another account or model is. */
type Outcome = { readonly retry: number } | { readonly next: "account" | "model" } | { readonly fault: FaultCode };

interface Row {
  readonly api: Api;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON; a text is the body as it is, of an answer that begins well. */
  readonly body: unknown;
  readonly leadsTo: Outcome;
}

const anthropic = (status: number, type: string, message: string, leadsTo: Outcome, headers = {}): Row => ({ api: "anthropic-messages", status, headers, body: { type: "error", error: { type, message }, request_id: "req_1" }, leadsTo });
const chat = (status: number, type: string, code: string | null, message: string, leadsTo: Outcome, headers = {}): Row => ({ api: "openai-completions", status, headers, body: { error: { message, type, param: null, code } }, leadsTo });
const responses = (status: number, type: string, code: string | null, message: string, leadsTo: Outcome, headers = {}): Row => ({ ...chat(status, type, code, message, leadsTo, headers), api: "openai-responses" });
const google = (status: number, name: string, message: string, leadsTo: Outcome, details: readonly unknown[] = []): Row => ({ api: "google-generative-ai", status, body: { error: { code: status, message, status: name, details } }, leadsTo });

const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

const ROWS: readonly Row[] = [
  anthropic(400, "invalid_request_error", "messages.0: unknown field", { fault: "PROVIDER_REJECTED" }),
  anthropic(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", { fault: "CONTEXT_TOO_LONG" }),
  anthropic(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", { next: "account" }),
  anthropic(400, "invalid_request_error", "Output blocked by content filtering policy", { fault: "PROVIDER_REJECTED" }),
  anthropic(401, "authentication_error", "invalid x-api-key", { next: "account" }),
  anthropic(402, "billing_error", "payment required", { next: "account" }),
  anthropic(403, "permission_error", "Your API key does not have permission to use the specified resource.", { next: "account" }),
  anthropic(404, "not_found_error", "model: claude-nope", { next: "model" }),
  anthropic(413, "request_too_large", "Request exceeds the maximum size", { fault: "PROVIDER_REJECTED" }),
  anthropic(429, "rate_limit_error", "This request would exceed your rate limit", { next: "account" }, { "retry-after": "7" }),
  anthropic(429, "rate_limit_error", "Number of requests has exceeded your limit; it resets at " + inSeconds(3600), { next: "account" }),
  anthropic(500, "api_error", "Internal server error", { retry: 250 }),
  anthropic(504, "timeout_error", "Request timed out", { retry: 250 }),
  anthropic(529, "overloaded_error", "Overloaded", { next: "account" }),
  chat(400, "invalid_request_error", "context_length_exceeded", "This model's maximum context length is 128000 tokens.", { fault: "CONTEXT_TOO_LONG" }),
  chat(400, "invalid_request_error", "content_filter", "The response was filtered", { fault: "PROVIDER_REJECTED" }),
  chat(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided", { next: "account" }),
  chat(403, "invalid_request_error", "unsupported_country_region_territory", "Country not supported", { next: "account" }),
  chat(404, "invalid_request_error", "model_not_found", "The model `nope` does not exist or you do not have access to it.", { next: "model" }),
  chat(408, "server_error", null, "Request timeout", { retry: 250 }),
  chat(413, "invalid_request_error", null, "Payload too large", { fault: "PROVIDER_REJECTED" }),
  chat(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.", { next: "account" }),
  chat(429, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 6s.", { next: "account" }),
  chat(429, "tokens", "rate_limit_exceeded", "Request too large for gpt-x on tokens per min (TPM): Limit 30000, Requested 90000.", { fault: "PROVIDER_REJECTED" }),
  chat(500, "server_error", null, "The server had an error", { retry: 250 }),
  chat(503, "server_error", null, "The engine is currently overloaded", { retry: 3000 }, { "retry-after": "3" }),
  responses(400, "invalid_request_error", "context_length_exceeded", "Your input exceeds the context window of this model.", { fault: "CONTEXT_TOO_LONG" }),
  responses(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided", { next: "account" }),
  responses(404, "invalid_request_error", "model_not_found", "The requested model 'nope' does not exist.", { next: "model" }),
  responses(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota", { next: "account" }),
  responses(429, "tokens", "rate_limit_exceeded", "Rate limit reached", { next: "account" }, { "retry-after-ms": "4000" }),
  responses(500, "server_error", null, "The server had an error", { retry: 250 }),
  google(400, "INVALID_ARGUMENT", "Invalid value at 'contents'", { fault: "PROVIDER_REJECTED" }),
  google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", { next: "account" }, [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" }]),
  google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", { fault: "CONTEXT_TOO_LONG" }),
  google(403, "PERMISSION_DENIED", "Permission denied on resource", { next: "account" }),
  google(404, "NOT_FOUND", "models/nope is not found for API version v1beta", { next: "model" }),
  google(429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric", { next: "account" }, [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34s" }]),
  google(500, "INTERNAL", "An internal error has occurred", { retry: 250 }),
  google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", { retry: 250 }),
];

/** Errors that come as an event of an answer that had begun with 200. */
const inStream = (api: Api, leadsTo: Outcome, ...events: readonly Readonly<Record<string, unknown>>[]): Row => ({ api, status: 200, headers: { "content-type": "text/event-stream" }, body: sse(...events), leadsTo });
const STREAMS: readonly Row[] = [
  inStream("anthropic-messages", { next: "account" }, { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }),
  inStream("anthropic-messages", { next: "account" }, { type: "message_start", message: { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, usage: { input_tokens: 1, output_tokens: 1 } } }, { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }),
  inStream("anthropic-messages", { next: "account" }, { type: "error", error: { type: "rate_limit_error", message: "This request would exceed your rate limit" } }),
  inStream("anthropic-messages", { retry: 250 }, { type: "error", error: { type: "api_error", message: "Internal server error" } }),
  inStream("anthropic-messages", { fault: "PROVIDER_REJECTED" }, { type: "error", error: { type: "invalid_request_error", message: "messages: bad" } }),
  inStream("openai-completions", { retry: 250 }, { error: { message: "The server had an error while processing your request", type: "server_error", param: null, code: null } }),
  inStream("openai-completions", { next: "account" }, { error: { message: "Rate limit reached", type: "requests", param: null, code: "rate_limit_exceeded" } }),
  inStream("openai-responses", { next: "account" }, { type: "response.created", response: { id: "r", created_at: 1, model: "m" } }, { type: "response.failed", sequence_number: 2, response: { id: "r", status: "failed", error: { code: "rate_limit_exceeded", message: "Rate limit reached" }, incomplete_details: null, usage: null } }),
  inStream("openai-responses", { retry: 250 }, { type: "error", sequence_number: 1, error: { type: "server_error", code: "server_error", message: "The server had an error" } }),
  inStream("google-generative-ai", { retry: 250 }, { error: { code: 503, message: "The model is overloaded. Please try again later.", status: "UNAVAILABLE" } }),
  inStream("google-generative-ai", { next: "account" }, { error: { code: 429, message: "Resource has been exhausted", status: "RESOURCE_EXHAUSTED" } }),
];

const SAID: Readonly<Record<Api, string>> = {
  "anthropic-messages": sse({ type: "message_start", message: { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, usage: { input_tokens: 1, output_tokens: 1 } } }, { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }, { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "well" } }, { type: "content_block_stop", index: 0 }, { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 1 } }, { type: "message_stop" }),
  "openai-completions": `${sse({ id: "c", created: 1, model: "m", choices: [{ index: 0, delta: { role: "assistant", content: "well" }, finish_reason: "stop" }] })}data: [DONE]\n\n`,
  "openai-responses": sse({ type: "response.created", response: { id: "r", created_at: 1, model: "m" } }, { type: "response.output_item.added", output_index: 0, item: { type: "message", id: "i" } }, { type: "response.output_text.delta", item_id: "i", delta: "well" }, { type: "response.output_item.done", output_index: 0, item: { type: "message", id: "i" } }, { type: "response.completed", response: { usage: { input_tokens: 1, output_tokens: 1 } } }),
  "google-generative-ai": sse({ candidates: [{ content: { role: "model", parts: [{ text: "well" }] }, finishReason: "STOP" }], usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 } }),
};

function sse(...events: readonly Readonly<Record<string, unknown>>[]): string {
  return events.map((event) => `${event["type"] === undefined ? "" : `event: ${String(event["type"])}\n`}data: ${JSON.stringify(event)}\n\n`).join("");
}

/** A provider whose first request meets the error; notes the key and model of each. */
function provider(row: Row, accounts: number, fallbacks: readonly string[] = []): { providers: Providers; clock: HurriedClock; asked: { key: string; model: string }[] } {
  const clock = new HurriedClock();
  const asked: { key: string; model: string }[] = [];
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { p: { api: row.api, baseUrl: "http://127.0.0.1:9", apiKeys: Array.from({ length: accounts }, (_, i) => `key-${i + 1}`) } }, "agents.defaults.fallbackModels": fallbacks, "models.retry.fallbackAfterSeconds": 0 }),
    clock,
    book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver((input, init) => {
      const headers = new Headers(init?.headers);
      const key = (headers.get("x-api-key") ?? headers.get("x-goog-api-key") ?? headers.get("authorization") ?? "").replace("Bearer ", "");
      const model = /models\/([^:/]+):/.exec(String(input))?.[1] ?? String((JSON.parse(String(init?.body)) as { model: string }).model);
      asked.push({ key, model });
      if (asked.length === 1) return Promise.resolve(typeof row.body === "string" ? new Response(row.body, { headers: row.headers! }) : Response.json(row.body, { status: row.status, headers: row.headers ?? {} }));
      return Promise.resolve(new Response(SAID[row.api], { headers: { "content-type": "text/event-stream" } }));
    }),
  });
  return { providers, clock, asked };
}

for (const row of [...ROWS, ...STREAMS]) {
  const said = JSON.stringify(row.body).slice(0, 110);
  test(`${row.api} ${row.status} ${said} leads to ${JSON.stringify(row.leadsTo)}`, async () => {
    const call = (setup: ReturnType<typeof provider>) => setup.providers.call(ask("hello", { model: "p/first" }), () => {});
    if ("fault" in row.leadsTo) {
      const setup = provider(row, 3, ["p/second"]);
      assert.equal((await faultOf(call(setup))).code, row.leadsTo.fault);
      assert.equal(setup.asked.length, 1, "neither another account nor another model is tried");
      assert.deepEqual(setup.clock.waits, [], "it is told at once");
    } else if ("retry" in row.leadsTo) {
      const setup = provider(row, 3);
      assert.equal(textOf((await call(setup)).parts), "well");
      assert.ok(setup.clock.waits.reduce((sum, wait) => sum + wait, 0) >= row.leadsTo.retry, `waited ${setup.clock.waits}`);
    } else if (row.leadsTo.next === "account") {
      const setup = provider(row, 3);
      assert.equal(textOf((await call(setup)).parts), "well");
      assert.deepEqual(setup.clock.waits, [], "nobody waits while another account is there");
      assert.equal(new Set(setup.asked.map(({ key }) => key)).size, 2);
    } else {
      const setup = provider(row, 1, ["p/second"]);
      const answer = await call(setup);
      assert.match(answer.model, /^p\//);
      assert.deepEqual(setup.asked.map(({ model }) => model), ["first", "second"]);
    }
  });
}

test("an overload and a used-up quota of the only account bring in the next model, and the person hears of it", async () => {
  for (const row of ROWS.filter(({ status, body }) => status === 529 || JSON.stringify(body).includes("insufficient_quota"))) {
    const setup = provider(row, 1, ["p/second"]);
    const told: string[] = [];
    await setup.providers.call(ask("hello", { model: "p/first" }), (frame) => void (frame.type === "fallback" && told.push(`${frame.from} ${frame.to}`)));
    assert.deepEqual(told, ["p/first p/second"]);
    assert.equal(setup.asked.at(-1)?.model, "second");
  }
});

test("a refused credential while the other account stands before a wall makes the call wait for that one, for nobody is to notice one bad credential", async () => {
  const clock = new HurriedClock();
  const asked: string[] = [];
  let walls = 0;
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { p: { api: "openai-completions", baseUrl: "http://127.0.0.1:9", apiKeys: ["good-key-1", "bad-key-2"] } } }),
    clock,
    book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver((_input, init) => {
      const key = new Headers(init?.headers).get("authorization")!.replace("Bearer ", "");
      asked.push(key);
      if (key === "bad-key-2") return Promise.resolve(Response.json({ error: { message: "Incorrect API key provided", code: "invalid_api_key" } }, { status: 401 }));
      // Three minutes of it: the bad credential comes up for another try in between, more often than there are accounts.
      if (walls++ < 6) return Promise.resolve(Response.json({ error: { message: "slow down" } }, { status: 429, headers: { "retry-after": "35" } }));
      return Promise.resolve(new Response(SAID["openai-completions"], { headers: { "content-type": "text/event-stream" } }));
    }),
  });
  const answer = await providers.call(ask("hello", { model: "p/m" }), () => {});
  assert.equal(textOf(answer.parts), "well");
  assert.ok(asked.filter((key) => key === "bad-key-2").length >= 3, asked.join());
});

test("with the settings as they come a model behind a wall that does not say when it ends is answered for by the next within half a minute", async () => {
  const row = ROWS.find(({ status }) => status === 529)!;
  const clock = new HurriedClock();
  const asked: string[] = [];
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { p: { api: row.api, baseUrl: "http://127.0.0.1:9", apiKey: "key" } }, "agents.defaults.fallbackModels": ["p/second"] }),
    clock,
    book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver((_input, init) => {
      const { model } = JSON.parse(String(init?.body)) as { model: string };
      asked.push(model);
      return Promise.resolve(model === "first" ? Response.json(row.body, { status: 529 }) : new Response(SAID[row.api], { headers: { "content-type": "text/event-stream" } }));
    }),
  });
  const before = clock.monotonic();
  await providers.call(ask("hello", { model: "p/first" }), () => {});
  assert.equal(asked.at(-1), "second");
  assert.ok(clock.monotonic() - before < 30_000, `${clock.monotonic() - before} ms`);
});
