import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { allowanceBook } from "../../test/support/allowance-book.ts";
import { sendOver } from "../../test/support/send-over.ts";
import { startStandin, type Standin } from "../../test/support/model-standin/standin.ts";
import { ManualClock } from "../base/clock.ts";
import { seededRandom } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import { NO_USAGE, textOf, type ChatMessage, type ModelAnswer } from "../model/chat.ts";
import { ask, faultOf, HurriedClock, providerContract, providersFor, settingsOf, until } from "./contract-suite.ts";
import { makeProviders } from "./providers.ts";
import { APIS } from "./settings.ts";

for (const api of APIS) providerContract({ api, official: false });
// OpenAI itself is spoken to through another library than those who are compatible with it.
providerContract({ api: "openai-completions", official: true });

const ignore = (): void => {};
const anthropic = { api: "anthropic-messages", official: false } as const;
const chat = { api: "openai-completions", official: false } as const;

let standin: Standin;
before(async () => {
  standin = await startStandin({ strict: true });
});
after(() => standin.close());

test("a prompt is kept by Anthropic's cache from one call to the next, because a long session pays for it each time", async () => {
  const providers = providersFor(anthropic, standin.url);
  const history: ChatMessage[] = [
    { role: "user", text: "x".repeat(6000) },
    { role: "assistant", parts: [{ type: "text", text: "I see." }] },
  ];
  const first = await providers.call(ask("hello", { history, system: "s".repeat(6000) }), ignore);
  assert.ok(first.usage.cacheWrite > 2900, `wrote ${first.usage.cacheWrite}`);
  assert.equal(first.usage.cacheRead, 0);
  const more: ChatMessage[] = [...history, { role: "user", text: "hello" }, { role: "assistant", parts: first.parts }];
  const second = await providers.call(ask("and now?", { history: more, system: "s".repeat(6000) }), ignore);
  assert.equal(second.usage.cacheRead, first.usage.cacheWrite);
});

test("nobody listening is told within three attempts and three seconds, because it will not change soon", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await until(() => closed.listening);
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const clock = new HurriedClock();
  const fault = await faultOf(providersFor(chat, `http://127.0.0.1:${port}`, { clock }).call(ask("hello"), ignore));
  assert.equal(fault.code, "PROVIDER_UNREACHABLE");
  assert.match(fault.message, /ECONNREFUSED/);
  assert.equal(clock.waits.length, 2);
  assert.ok(clock.waits.reduce((sum, wait) => sum + wait, 0) < 3000, `waits ${clock.waits}`);
});

test("a host that does not exist is told at once", async () => {
  const clock = new HurriedClock();
  let asked = 0;
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { nowhere: { api: "openai-completions", baseUrl: "http://nowhere.invalid" } } }),
    clock, book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver(() => {
      asked++;
      return Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error("getaddrinfo ENOTFOUND nowhere.invalid"), { code: "ENOTFOUND" }) }));
    }),
  });
  const fault = await faultOf(providers.call(ask("hello", { model: "nowhere/m" }), ignore));
  assert.equal(fault.code, "PROVIDER_UNREACHABLE");
  assert.equal(asked, 1);
  assert.deepEqual(clock.waits, []);
});

test("a redirect is refused, because it would carry the key to another host", async () => {
  const urls: string[] = [];
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { moved: { api: "anthropic-messages", baseUrl: "http://127.0.0.1:1", apiKey: "key" } } }),
    clock: new HurriedClock(), book: allowanceBook(new ManualClock()),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver((input) => {
      urls.push(String(input));
      return Promise.resolve(new Response(null, { status: 307, headers: { location: "http://elsewhere.example/" } }));
    }),
  });
  assert.equal((await faultOf(providers.call(ask("hello", { model: "moved/m" }), ignore))).code, "PROVIDER_REJECTED");
  assert.deepEqual(urls, ["http://127.0.0.1:1/v1/messages"]);
});

test("a refused key is tried again after a minute, or as soon as the settings change", async () => {
  const keyed = await startStandin({ keys: ["good"] });
  const settings = settingsOf({ "models.providers": { p: { api: "openai-completions", baseUrl: keyed.url, apiKey: "wrong" } } });
  const clock = new ManualClock();
  const providers = makeProviders({ settings, clock, book: allowanceBook(clock), random: seededRandom(1), log: silentLog, environment: () => undefined, rehearsal: { call: () => Promise.reject(new Error("not asked")) } });
  const call = (): Promise<ModelAnswer> => providers.call(ask("hello", { model: "p/m" }), ignore);
  try {
    await faultOf(call());
    await faultOf(call());
    assert.equal(keyed.stats().requests, 1);
    assert.equal(providers.listProviders()[0]?.key, "refused");
    clock.advance(60_000);
    await faultOf(call());
    assert.equal(keyed.stats().requests, 2);
    settings.change("models.providers", { p: { api: "openai-completions", baseUrl: keyed.url, apiKey: "good" } });
    assert.equal(textOf((await call()).parts), "You said: hello");
  } finally {
    providers.stop();
    await keyed.close();
  }
});

test("a key that a provider repeats in its error is masked before anyone sees it", async () => {
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { p: { api: "openai-completions", baseUrl: "http://127.0.0.1:1", apiKey: "plain-unusual-key" } } }),
    clock: new HurriedClock(), book: allowanceBook(new ManualClock()),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver(() => Promise.resolve(Response.json({ error: { message: `no access for plain-unusual-key\n${"x".repeat(1000)}`, type: "invalid_request_error" } }, { status: 400 }))),
  });
  const fault = await faultOf(providers.call(ask("hello", { model: "p/m" }), ignore));
  assert.ok(!fault.message.includes("plain-unusual-key"), fault.message);
  assert.ok(fault.message.length < 500);
  assert.ok(!fault.message.includes("\n"));
});

test("a missing environment variable is named, because the person must set it", async () => {
  const fault = await faultOf(providersFor(chat, standin.url, { setup: { apiKey: null, apiKeyEnv: "NOT_SET" } }).call(ask("hello"), ignore));
  assert.equal(fault.code, "PROVIDER_NO_KEY");
  assert.match(fault.message, /NOT_SET/);
});

test("an answer that trickles is ended by the deadline for the whole", async () => {
  const clock = new ManualClock();
  const seen = standin.stats().requests;
  let frames = 0;
  const fault = faultOf(providersFor(chat, standin.url, { clock, settings: { "models.deadlines.totalSeconds": 5, "models.retry.maxAttempts": 1 } }).call(ask("! say one then wait 10m then say two"), () => frames++));
  await until(() => standin.stats().requests === seen + 1 && frames > 0);
  clock.advance(5000);
  assert.deepEqual((await fault).details, { provider: "standin", deadline: "total", ms: 5000 });
});

test("rate limits are waited out without using up attempts", async () => {
  const answer = await providersFor(chat, standin.url, { settings: { "models.retry.maxAttempts": 2 } }).call(ask("! fail 429 after 1s times 5 then fail 500 times 1 then say through"), ignore);
  assert.equal(textOf(answer.parts), "through");
});

test("a person behind a wall hears of one wait, and of another model within half a minute, also when the provider takes long to refuse", async () => {
  const clock = new ManualClock();
  const start = clock.now();
  const sse = `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { role: "assistant", content: "here" }, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`;
  let tries = 0;
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { walled: { api: "openai-completions", baseUrl: "http://127.0.0.1:1", apiKey: "k" }, open: { api: "openai-completions", baseUrl: "http://127.0.0.1:2", apiKey: "k" } }, "agents.defaults.fallbackModels": ["open/m"] }),
    clock, book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver(async (input) => {
      if (String(input).startsWith("http://127.0.0.1:2")) return new Response(sse, { headers: { "content-type": "text/event-stream" } });
      tries++;
      await new Promise<void>((resolve) => void clock.after(2_000, resolve));
      return Response.json({ error: { message: "overloaded" } }, { status: 529 });
    }),
  });
  const heard: string[] = [];
  let isOver = false;
  const answer = providers.call(ask("hello", { model: "walled/m", person: true }), ({ type }) => void heard.push(type)).finally(() => (isOver = true));
  while (!isOver) {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (!isOver) clock.advance(Math.min(1_000, (clock.nextAt() ?? clock.now() + 100) - clock.now()));
  }
  assert.equal(textOf((await answer).parts), "here");
  assert.ok(clock.now() - start <= 30_000, `after ${clock.now() - start} ms`);
  assert.ok(tries > 3, `${tries} tries`);
  assert.deepEqual(heard.filter((type) => type === "parked" || type === "resumed" || type === "fallback"), ["parked", "resumed", "fallback"]);
});

test("a context that is too long is told apart from other refusals, because it can be compacted", async () => {
  const providers = makeProviders({
    settings: settingsOf({ "models.providers": { p: { api: "anthropic-messages", baseUrl: "http://127.0.0.1:1", apiKey: "key" } } }),
    clock: new HurriedClock(), book: allowanceBook(new ManualClock()),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver(() => Promise.resolve(Response.json({ type: "error", error: { type: "invalid_request_error", message: "prompt is too long: 210000 tokens > 200000 maximum" } }, { status: 400 }))),
  });
  assert.equal((await faultOf(providers.call(ask("hello", { model: "p/m" }), ignore))).code, "CONTEXT_TOO_LONG");
});

test("the rehearsal answers without any provider, and is the default when there is none", async () => {
  const answer: ModelAnswer = { parts: [{ type: "text", text: "rehearsed" }], stop: "end", usage: NO_USAGE, model: "rehearsal/rehearsal" };
  const providers = makeProviders({ settings: settingsOf({}), clock: new ManualClock(), book: allowanceBook(new ManualClock()), random: seededRandom(1), log: silentLog, environment: () => undefined, rehearsal: { call: () => Promise.resolve(answer) } });
  assert.equal(providers.defaultModel(), "rehearsal/rehearsal");
  assert.equal(await providers.call(ask("hello", { model: providers.defaultModel() }), ignore), answer);
  assert.deepEqual(providers.knownModels(), ["rehearsal/rehearsal"]);
});

test("an Ollama on this machine is found, and one that hangs delays nothing beyond 300 ms", async () => {
  const clock = new ManualClock();
  let answer: () => Promise<Response> = () => Promise.resolve(Response.json({ models: [{ name: "qwen3:8b" }, { name: "" }, {}] }));
  let signal: AbortSignal | null | undefined;
  const providers = makeProviders({
    settings: settingsOf({}),
    clock, book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver((input, init) => {
      assert.equal(input, "http://127.0.0.1:11434/api/tags");
      signal = init?.signal;
      return answer();
    }),
  });
  await providers.discover();
  assert.equal(providers.defaultModel(), "ollama/qwen3:8b");
  answer = () => new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal?.reason)));
  const search = providers.discover();
  clock.advance(300);
  await search;
  assert.equal(providers.defaultModel(), "rehearsal/rehearsal");
  assert.equal(clock.nextAt(), undefined);
});
