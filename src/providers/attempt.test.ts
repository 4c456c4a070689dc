import assert from "node:assert/strict";
import { test } from "node:test";
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { ManualClock } from "../base/clock.ts";
import type { JsonObject } from "../base/json.ts";
import { AnswerBuilder } from "./answer.ts";
import { attempt, HELD_UP_MS } from "./attempt.ts";
import { ask, until } from "./contract-suite.ts";
import { MissedDeadline } from "./failure.ts";
import type { Send } from "./http-send.ts";
import type { Model } from "./models.ts";

const DEADLINES = { firstByteMs: 120_000, betweenChunksMs: 90_000, totalMs: 1_800_000 };
const USAGE = { inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 }, outputTokens: { total: 1, text: 1, reasoning: 0 } };
const FINISH: LanguageModelV4StreamPart = { type: "finish", usage: USAGE, finishReason: { unified: "stop", raw: "stop" } };
const text = (delta: string): LanguageModelV4StreamPart => ({ type: "text-delta", id: "0", delta });
const PING: LanguageModelV4StreamPart = { type: "ping" };

/** An attempt at a model whose answer is written by hand, each part as an event of its own. */
function setup(clock: ManualClock = new ManualClock()) {
  const caller = new AbortController();
  const builder = new AnswerBuilder(ask("hello"), () => {}, () => "id");
  let feed!: (bytes: Uint8Array) => void;
  let close!: () => void;
  let aborted: unknown;
  const model: Model = {
    request: ({ abortSignal: signal }) => Promise.resolve({ method: "POST", url: "http://127.0.0.1:9", headers: {}, signal }),
    read: (say) => {
      const reader = {
        isOver: false,
        take(event: JsonObject) {
          const part = event.part as unknown as LanguageModelV4StreamPart;
          reader.isOver ||= part.type === "finish";
          say(part);
          return true;
        },
        end() {},
      };
      return reader;
    },
  };
  const sendIt: Send = ({ signal }) =>
    Promise.resolve({
      status: 200,
      headers: { "content-type": "text/event-stream" },
      read: (take) =>
        new Promise((resolve, reject) => {
          feed = take;
          close = resolve;
          const end = (): void => {
            aborted = signal.reason;
            reject(signal.reason as Error);
          };
          if (signal.aborted) end();
          else signal.addEventListener("abort", end);
        }),
    });
  const done = attempt(sendIt, model, (abortSignal) => ({ prompt: [], abortSignal }), builder, DEADLINES, clock, caller.signal);
  done.catch(() => {});
  async function send(...parts: LanguageModelV4StreamPart[]): Promise<void> {
    await until(() => feed !== undefined);
    feed(Buffer.from(parts.map((part) => `data: ${JSON.stringify({ part })}\n\n`).join("")));
  }
  return { clock, caller, builder, done, send, close: () => close(), aborted: () => aborted };
}

const missed = (deadline: string) => (error: unknown) => error instanceof MissedDeadline && error.deadline === deadline;

test("pings and empty pieces are no signs of life before the first byte", async () => {
  const { clock, done, send } = setup();
  await send({ type: "stream-start", warnings: [] }, PING, text(""));
  clock.advance(119_000);
  await send(PING);
  clock.advance(1000);
  await assert.rejects(done, missed("first byte"));
});

test("pings are no signs of life between chunks, or a dead model would look alive for ever", async () => {
  const { clock, done, send } = setup();
  await send(text("a"));
  for (let i = 0; i < 9; i++) {
    clock.advance(9999);
    await send(PING);
  }
  assert.equal(clock.nextAt()! - clock.now(), 9);
  clock.advance(9);
  await assert.rejects(done, missed("between chunks"));
});

test("every piece that says something starts the time between chunks anew, up to the deadline for the whole", async () => {
  const { clock, done, send } = setup();
  for (let i = 0; i < 20; i++) {
    await send(text("a"));
    clock.advance(89_999);
  }
  await send(text("a"));
  clock.advance(1_800_000 - 20 * 89_999);
  await assert.rejects(done, missed("total"));
});

test("an abort ends the request with the caller's reason and leaves no timer", async () => {
  const { clock, caller, done, send, aborted } = setup();
  await send(text("a"));
  const reason = new Error("stop");
  caller.abort(reason);
  await assert.rejects(done, reason);
  assert.equal(aborted(), reason);
  assert.equal(clock.nextAt(), undefined);
});

test("a connection that stays open after the answer's end costs a second, but not the answer", async () => {
  const { clock, builder, done, send } = setup();
  await send(text("a"), FINISH);
  clock.advance(1000);
  await done;
  assert.deepEqual(builder.result().parts, [{ type: "text", text: "a" }]);
});

test("a machine that stood still blames no provider: what came meanwhile is read before a deadline counts as missed", async () => {
  const clock = new ManualClock();
  let stoodStillMs = 0;
  const monotonic = clock.monotonic.bind(clock);
  clock.monotonic = () => monotonic() + stoodStillMs;
  const { builder, done, send, close } = setup(clock);
  await send({ type: "stream-start", warnings: [] });
  stoodStillMs = 5_000;
  clock.advance(120_000);
  await send({ type: "text-start", id: "0" }, text("in time"), FINISH);
  clock.advance(HELD_UP_MS);
  close();
  await done;
  assert.deepEqual(builder.result().parts, [{ type: "text", text: "in time" }]);
  const silent = setup(clock);
  stoodStillMs = 10_000;
  clock.advance(120_000);
  clock.advance(HELD_UP_MS);
  await assert.rejects(silent.done, missed("first byte"), "and silence is silence");
});

test("of a page that comes instead of an answer only the beginning is read, however long it goes on", async () => {
  let chunks = 0;
  const endless: Send = async () => ({
    status: 200,
    headers: { "content-type": "text/html" },
    async read(take) {
      for (; chunks < 1_000; chunks++) take(Buffer.from("<p>sign in".padEnd(1_000)));
    },
  });
  const model: Model = { request: async ({ abortSignal: signal }) => ({ method: "POST", url: "http://127.0.0.1:9", headers: {}, signal }), read: () => assert.fail("it is no answer") };
  const builder = new AnswerBuilder(ask("hello"), () => {}, () => "id");
  await assert.rejects(attempt(endless, model, (abortSignal) => ({ prompt: [], abortSignal }), builder, DEADLINES, new ManualClock(), new AbortController().signal), /text\/html instead of an event stream: <p>sign in/);
  assert.ok(chunks < 10, `${chunks} chunks`);
});
