/**
 * What every API must do, told against the model stand-in. `providers.test.ts` runs it for each.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { allowanceBook } from "../../test/support/allowance-book.ts";
import { startStandin, type Standin } from "../../test/support/model-standin/standin.ts";
import { sendOver } from "../../test/support/send-over.ts";
import { ManualClock, type Clock } from "../base/clock.ts";
import { seededRandom } from "../base/ids.ts";
import { silentLog } from "../base/log.ts";
import type { Setting, Settings } from "../base/setting.ts";
import { textOf, toolCallsOf, type ChatMessage, type ModelAnswer, type ModelFrame, type ModelRequest } from "../model/chat.ts";
import { Fault, type FaultCode } from "../model/faults.ts";
import { AFTER_END_MS_MAX } from "./attempt.ts";
import { makeProviders, type Providers } from "./providers.ts";
import { ENDPOINTS, providers as providersSetting, type Api } from "./settings.ts";

/** Settings from plain values, parsed as they would be from the file. */
export function settingsOf(values: Readonly<Record<string, unknown>>): Settings & { change(key: string, value: unknown): void } {
  const given: Record<string, unknown> = { ...values };
  const listeners = new Set<() => void>();
  return {
    get: <T>(setting: Setting<T>) => (setting.key in given ? setting.parse(given[setting.key]) : setting.fallback),
    isSet: (setting) => setting.key in given,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    change(key, value) {
      given[key] = value;
      for (const listener of listeners) listener();
    },
  };
}

/** A clock on which waits between attempts are over at once and deadlines never fall; it notes the waits. */
export class HurriedClock implements Clock {
  readonly waits: number[] = [];
  /** Longer delays than this are deadlines. */
  readonly #waitMsMax: number;
  #passed = 0;

  constructor(waitMsMax = 60_000) {
    this.#waitMsMax = waitMsMax;
  }
  now(): number {
    return Date.now() + this.#passed;
  }
  monotonic(): number {
    return this.#passed;
  }
  after(delayMs: number, action: () => void): () => void {
    if (delayMs > this.#waitMsMax || delayMs === AFTER_END_MS_MAX) return () => {};
    this.waits.push(delayMs);
    const soon = setImmediate(() => {
      this.#passed += delayMs;
      action();
    });
    return () => clearImmediate(soon);
  }
}

/** Waits for a fact that comes from outside, e.g. a request that arrives; gives up after 5 s. */
export async function until(fact: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  while (!fact()) {
    if (performance.now() > giveUpAt) throw new Error(`it never came true: ${fact}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const TOOL = { name: "look", description: "Looks something up.", inputSchema: { type: "object", properties: { what: { type: "string" } } } } as const;

export function ask(text: string, more: Partial<ModelRequest> & { history?: readonly ChatMessage[] } = {}): ModelRequest {
  const { history = [], ...rest } = more;
  return { model: "standin/standin", system: "Be brief.", messages: [...history, { role: "user", text }], tools: [TOOL], signal: new AbortController().signal, ...rest };
}

/** An API as one library speaks it; `official` = at the address of its maker, which is led to the stand-in. */
export interface Flavour {
  readonly api: Api;
  readonly official: boolean;
}

export interface TestOptions {
  readonly clock?: Clock;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly environment?: (name: string) => string | undefined;
  /** Setup of the provider over the usual one. */
  readonly setup?: Readonly<Record<string, unknown>>;
}

export function providersFor({ api, official }: Flavour, url: string, options: TestOptions = {}): Providers {
  const maker = new URL(ENDPOINTS[api].baseUrl).origin;
  const clock = options.clock ?? new HurriedClock();
  return makeProviders({
    settings: settingsOf({ [providersSetting.key]: { standin: { api, ...(official ? {} : { baseUrl: url }), apiKey: "key-1", models: ["standin"], ...options.setup } }, ...options.settings }),
    ...(official ? { send: sendOver((input, init) => fetch(String(input).replace(maker, url), init)) } : {}),
    clock,
    book: allowanceBook(clock),
    random: seededRandom(1),
    log: silentLog,
    environment: options.environment ?? (() => undefined),
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
  });
}

export async function faultOf(work: Promise<unknown>): Promise<Fault> {
  try {
    await work;
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new assert.AssertionError({ message: "expected a Fault" });
}

const ignore = (): void => {};

/** The history that follows after `answer` to `text`, with a result for each of its calls. */
function answered(text: string, answer: ModelAnswer, result = "found"): ChatMessage[] {
  const results = toolCallsOf(answer.parts).map(({ callId, tool }) => ({ callId, tool, text: result, isError: false }));
  return [{ role: "user", text }, { role: "assistant", parts: answer.parts }, ...(results.length === 0 ? [] : [{ role: "tool", results } as const])];
}

export function providerContract(flavour: Flavour): void {
  const { api } = flavour;
  describe(`${api}${flavour.official ? " at its maker's address" : ""}`, () => {
    let standin: Standin;
    before(async () => {
      standin = await startStandin({ strict: true });
    });
    after(() => standin.close());

    test("a text comes in frames and as a whole, and both say the same", async () => {
      const frames: ModelFrame[] = [];
      const answer = await providersFor(flavour, standin.url).call(ask("! write 300"), (frame) => frames.push(frame));
      const streamed = frames.map((frame) => (frame.type === "text" ? frame.text : "")).join("");
      assert.ok(frames.length > 1, "more than one frame");
      assert.equal(streamed.length, 300);
      assert.equal(textOf(answer.parts), streamed);
      assert.equal(answer.stop, "end");
      assert.equal(answer.model, "standin/standin");
    });

    test("usage is counted, because allowances and costs are made of it", async () => {
      const { usage } = await providersFor(flavour, standin.url, { settings: { "models.prices": { standin: { input: 1, output: 2 } } } }).call(ask("! write 4000"), ignore);
      assert.equal(usage.output, 1000);
      assert.ok(usage.input > 20, `input ${usage.input}`);
      assert.equal(usage.costMicros, usage.input + 2000);
      assert.equal(usage.calls, 1);
    });

    test("a tool that must be called is named to the provider, so that an answer without the call is not even possible", async () => {
      const providers = providersFor(flavour, standin.url);
      await providers.call(ask("! say hi", { toolChoice: { tool: "look" } }), ignore);
      assert.equal(standin.log().at(-1)?.forced, "look");
      await providers.call(ask("! say hi"), ignore);
      assert.equal(standin.log().at(-1)?.forced, null);
    });

    test("parallel tool calls keep their order and inputs, and their results make a valid history", async () => {
      const providers = providersFor(flavour, standin.url);
      const text = '! say looking then call look {"what":"a"} & look {"what":"b & {c}"} then say done <last>';
      const first = await providers.call(ask(text), ignore);
      assert.deepEqual(toolCallsOf(first.parts).map((part) => part.input), [{ what: "a" }, { what: "b & {c}" }]);
      assert.equal(first.stop, "tools");
      const second = await providers.call(ask("", { messages: answered(text, first) }), ignore);
      assert.equal(textOf(second.parts), "done found\nfound");
      assert.deepEqual(standin.log().at(-1)?.problems, []);
    });

    // OpenAI itself never shows reasoning in chat completions.
    if (!(flavour.official && api === "openai-completions")) {
      test("reasoning goes back as it came, because signed or encrypted reasoning must not change", async () => {
        const providers = providersFor(flavour, standin.url);
        const text = "! think step by step then call look {} then say ok";
        const first = await providers.call(ask(text, { model: "standin/gpt-5.4" }), ignore);
        const [reasoning] = first.parts;
        assert.equal(reasoning?.type, "reasoning");
        assert.equal(reasoning?.type === "reasoning" ? reasoning.text : "", "step by step");
        const second = await providers.call(ask("", { model: "standin/gpt-5.4", messages: answered(text, first) }), ignore);
        assert.equal(textOf(second.parts), "ok");
        assert.equal(standin.log().at(-1)?.reasoning, 1);
        assert.deepEqual(standin.log().at(-1)?.problems, []);
      });
    }

    test("one call is one request, because a hidden retry would be paid for and never seen", async () => {
      const before = standin.stats().requests;
      await providersFor(flavour, standin.url).call(ask("hello"), ignore);
      assert.equal(standin.stats().requests, before + 1);
    });

    test("an abort ends the request at once with its own reason", async () => {
      const controller = new AbortController();
      const call = providersFor(flavour, standin.url).call(ask("! say a then wait 1m then say b", { signal: controller.signal }), () => controller.abort(new Error("the person said stop")));
      await assert.rejects(call, /the person said stop/);
      await until(() => standin.stats().inFlight === 0);
      assert.equal(standin.log().at(-1)?.outcome, "client gone");
    });

    test("an abort also ends the wait between two attempts", async () => {
      const controller = new AbortController();
      const clock = new ManualClock();
      const seen = standin.stats().requests;
      const call = providersFor(flavour, standin.url, { clock }).call(ask("! fail 429 after 50s", { signal: controller.signal }), ignore);
      const rejected = assert.rejects(call, /enough/);
      await until(() => standin.stats().requests === seen + 1 && standin.stats().inFlight === 0 && (clock.nextAt() ?? Infinity) - clock.now() < 60_000);
      controller.abort(new Error("enough"));
      await rejected;
      assert.equal(clock.nextAt(), undefined, "no timer is left");
    });

    test("a 429 waits as long as the provider asks and then goes on", async () => {
      const clock = new HurriedClock();
      const answer = await providersFor(flavour, standin.url, { clock }).call(ask("! fail 429 after 7s times 2 then say through"), ignore);
      assert.equal(textOf(answer.parts), "through");
      assert.equal(clock.waits.length, 2);
      for (const wait of clock.waits) assert.ok(wait >= 7000 && wait <= 8000, `waited ${wait}`);
    });

    test("a 429 that would need more patience than allowed is given up at once, with the time to come back", async () => {
      const clock = new HurriedClock();
      const fault = await faultOf(providersFor(flavour, standin.url, { clock, settings: { "models.retry.maxWaitSeconds": 5 } }).call(ask("! fail 429 after 9s"), ignore));
      assert.deepEqual(clock.waits, []);
      assert.equal(fault.code, "PROVIDER_RATE_LIMITED");
      assert.equal(fault.retryAfterMs, 9000);
    });

    test("a refused key is told at once and not tried again, but another key is", async () => {
      const keyed = await startStandin({ keys: ["good-key"] });
      try {
        let key = "bad-key";
        const providers = providersFor(flavour, keyed.url, {
          setup: { apiKey: null, apiKeyEnv: "STANDIN_KEY" },
          environment: (name) => (name === "STANDIN_KEY" ? key : undefined),
        });
        assert.equal((await faultOf(providers.call(ask("hello"), ignore))).code, "PROVIDER_AUTH");
        assert.equal((await faultOf(providers.call(ask("hello"), ignore))).code, "PROVIDER_AUTH");
        assert.equal(keyed.stats().requests, 1, "the second call asked nobody");
        key = "good-key";
        assert.equal(textOf((await providers.call(ask("hello"), ignore)).parts), "You said: hello");
      } finally {
        await keyed.close();
      }
    });

    test("a cut stream is tried again, and the reader is told that what came before is void", async () => {
      const frames: ModelFrame[] = [];
      const answer = await providersFor(flavour, standin.url).call(ask("! cut 3 times 1 then write 300"), (frame) => frames.push(frame));
      assert.equal(textOf(answer.parts).length, 300);
      const restart = frames.findIndex((frame) => frame.type === "restart");
      assert.ok(restart > 0, "frames, then a restart");
      assert.equal(frames.slice(restart + 1).map((frame) => (frame.type === "text" ? frame.text : "")).join("").length, 300);
    });

    for (const [script, code, attempts] of [
      ["noend", "PROVIDER_BROKEN_STREAM", 4],
      ["html", "PROVIDER_BROKEN_STREAM", 4],
      ["jsonerror", "PROVIDER_BROKEN_STREAM", 4],
      ["fail 500", "PROVIDER_OVERLOADED", 8],
      ["reset", "PROVIDER_UNREACHABLE", 8],
      ["fail 400", "PROVIDER_REJECTED", 1],
      ["fail 404", "PROVIDER_MODEL_MISSING", 1],
      ["fail 402", "PROVIDER_QUOTA", 1],
      ["fail 403", "PROVIDER_AUTH", 1],
    ] as const satisfies readonly (readonly [string, FaultCode, number])[]) {
      test(`"${script}" for ever ends in ${code} after ${attempts} attempts`, async () => {
        const seen = standin.stats().requests;
        const fault = await faultOf(providersFor(flavour, standin.url).call(ask(`! ${script} then say never`), ignore));
        assert.equal(fault.code, code);
        assert.equal(standin.stats().requests - seen, attempts);
      });
    }

    for (const [script, deadlineMs, deadline] of [
      ["stall then say never", 120_000, "first byte"],
      ["keepalive then say never", 120_000, "first byte"],
      ["say one then wait 10m then say two", 90_000, "between chunks"],
    ] as const) {
      test(`"${script}" misses the ${deadline} deadline three times and is then given up`, async () => {
        const clock = new ManualClock();
        const frames: ModelFrame[] = [];
        const seen = standin.stats().requests;
        const fault = faultOf(providersFor(flavour, standin.url, { clock }).call(ask(`! ${script}`), (frame) => frames.push(frame)));
        for (let attempt = 1; attempt <= 3; attempt++) {
          await until(() => standin.stats().requests === seen + attempt && standin.stats().inFlight === 1);
          if (deadline === "between chunks") await until(() => frames.filter((frame) => frame.type === "text").length === attempt && (clock.nextAt() ?? Infinity) - clock.now() <= 90_000);
          clock.advance(deadlineMs);
          await until(() => standin.stats().inFlight === 0);
          if (attempt === 3) break;
          await until(() => clock.nextAt() !== undefined);
          clock.advance(clock.nextAt()! - clock.now());
        }
        const { code, details } = await fault;
        assert.equal(code, "PROVIDER_TIMED_OUT");
        assert.deepEqual(details, { provider: "standin", deadline, ms: deadlineMs });
        assert.equal(clock.nextAt(), undefined, "no timer is left");
      });
    }

    test("characters that are cut in the middle by the network arrive whole", async () => {
      const answer = await providersFor(flavour, standin.url).call(ask("! splitutf8 then say grüße 🎈 aus 東京"), ignore);
      assert.equal(textOf(answer.parts), "grüße 🎈 aus 東京");
    });

    test("bytes that are no UTF-8 become a replacement character, never a broken text", async () => {
      const text = textOf((await providersFor(flavour, standin.url).call(ask("! badutf8 then say hello"), ignore)).parts);
      assert.ok(text.startsWith("hello") && text.isWellFormed());
    });

    test("events that nobody knows, or that come twice, do not harm an answer that ends well", async () => {
      const answer = await providersFor(flavour, standin.url).call(ask("! oddevents then say still here"), ignore);
      assert.equal(textOf(answer.parts), "still here");
    });

    test("a very large event is read like any other", async () => {
      const answer = await providersFor(flavour, standin.url).call(ask("! giant 2000000 then say big"), ignore);
      assert.ok(textOf(answer.parts).length >= 2_000_000);
    });

    // Google sends tool inputs as objects, which cannot be broken JSON, and calls without ids.
    if (api !== "google-generative-ai") {
      test("a tool input that is no JSON is given to the caller as it came", async () => {
        const [part] = toolCallsOf((await providersFor(flavour, standin.url).call(ask("! badjson look"), ignore)).parts);
        assert.deepEqual(part?.input, { $invalid: '{"text": "this never ends' });
      });

      test("raw control characters in a tool input make it invalid, and are not passed on", async () => {
        const [part] = toolCallsOf((await providersFor(flavour, standin.url).call(ask("! control look"), ignore)).parts);
        assert.deepEqual(part?.input, { $invalid: '{"text": "abc\nd"}' });
      });

      test("tool calls with the same id get ids of their own, because results are matched by id", async () => {
        const calls = toolCallsOf((await providersFor(flavour, standin.url).call(ask("! sameids then call look {} x 3"), ignore)).parts);
        assert.equal(calls.length, 3);
        assert.equal(new Set(calls.map((call) => call.callId)).size, 3);
      });
    }

    test("escaped control characters and half surrogates are taken out of tool inputs", async () => {
      const [part] = toolCallsOf((await providersFor(flavour, standin.url).call(ask('! call look {"what":"a\\u0007b\\ud83dc\\u2603"}'), ignore)).parts);
      assert.deepEqual(part?.input, { what: "ab\ufffdc☃" });
    });

    test("more than 128 tool calls are cut, and the model is told", async () => {
      const answer = await providersFor(flavour, standin.url).call(ask('! call look {"what":"<i>"} x 130'), ignore);
      assert.equal(toolCallsOf(answer.parts).length, 128);
      assert.match(textOf(answer.parts), /2 more tool calls were left out/);
    });
  });
}
