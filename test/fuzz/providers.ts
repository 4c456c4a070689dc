/** Model providers: streams of all four wire formats, cut, doubled, put out of order, damaged. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { seededRandom } from "../../src/base/ids.ts";
import { silentLog } from "../../src/base/log.ts";
import { textOf, toolCallsOf, type ChatMessage, type ModelAnswer, type ModelFrame } from "../../src/model/chat.ts";
import { Fault } from "../../src/model/faults.ts";
import { ask, HurriedClock, settingsOf } from "../../src/providers/contract-suite.ts";
import { makeProviders } from "../../src/providers/providers.ts";
import { APIS, providers as providersSetting, type Api } from "../../src/providers/settings.ts";
import { allowanceBook } from "../support/allowance-book.ts";
import type { Piece } from "../support/model-standin/plan.ts";
import { framesFor, errorBody } from "../support/model-standin/wire.ts";
import { sendOver } from "../support/send-over.ts";
import { cutInto, cuts, damageBytes, damageList, damages, json, nastyText } from "./hostile.ts";
import { target } from "./target.ts";

const STANDIN_API = { "anthropic-messages": "anthropic", "openai-completions": "chat", "openai-responses": "responses", "google-generative-ai": "google" } as const;

const said = fc.oneof(fc.constantFrom("grüße 🎈 aus 東京", "a", "two\nlines"), fc.string({ minLength: 1, maxLength: 60 }), nastyText.filter((text) => text !== ""));
const piece: fc.Arbitrary<Piece> = fc.oneof(
  said.map((text) => ({ kind: "text", text }) as Piece),
  said.map((text) => ({ kind: "reasoning", text }) as Piece),
  fc.tuple(fc.constantFrom("look", "no_such", "__proto__"), fc.oneof(json.map((value) => JSON.stringify(value)), fc.constantFrom("{}", '{"what":"a"}', '{"a":', "[1]", "", '{"__proto__":{"x":1}}'))).map(([name, input]) => ({ kind: "call", name, input }) as Piece),
);

const broken = fc.record({
  pieces: fc.array(piece, { maxLength: 4 }),
  /** Whole events. */
  order: damages,
  /** Bytes. */
  damage: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: damages }),
  sizes: cuts,
  status: fc.oneof({ weight: 12, arbitrary: fc.constant(200) }, { weight: 1, arbitrary: fc.constantFrom(400, 401, 404, 413, 429, 500, 529, 302, 204) }),
  breaks: fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  foreign: fc.option(json, { nil: undefined, freq: 6 }),
});

function eventsOf(api: Api, pieces: readonly Piece[]): string[] {
  const meta = { id: "m1", ask: { api: STANDIN_API[api], model: "standin", includeUsage: true }, usage: { input: 10, cacheRead: 0, cacheWrite: 0, output: 5, reasoning: 0 }, createdAt: 1_800_000_000, callId: (index: number) => `call_${index}` };
  const frames = framesFor(meta as unknown as Parameters<typeof framesFor>[0], pieces);
  return [frames.head, ...frames.pieces.flat(), frames.tail].join("").split(/(?<=\n\n)/);
}

/** A call whose id the provider is going to give once more. */
const HISTORY: readonly ChatMessage[] = [
  { role: "user", text: "look" },
  { role: "assistant", parts: [{ type: "tool-call", callId: "call_0", tool: "look", input: {} }] },
  { role: "tool", results: [{ callId: "call_0", tool: "look", text: "found", isError: false }] },
];

/** Answers each request with the bytes that are set. */
function world(api: Api) {
  let answer: () => Response = () => new Response("");
  const providers = makeProviders({
    settings: settingsOf({ [providersSetting.key]: { standin: { api, baseUrl: "http://127.0.0.1:9", apiKey: "key-1", models: ["standin"] } }, "models.retry.maxAttempts": 1, "models.retry.maxWaitSeconds": 0 }),
    clock: new HurriedClock(),
    book: allowanceBook(new HurriedClock()),
    random: seededRandom(1),
    log: silentLog,
    environment: () => undefined,
    rehearsal: { call: () => Promise.reject(new Error("not asked")) },
    send: sendOver(async () => answer()),
  });
  let turn = 0;
  async function call(make: () => Response): Promise<{ answer: ModelAnswer | null; frames: ModelFrame[]; fault: Fault | null }> {
    answer = make;
    const frames: ModelFrame[] = [];
    try {
      return { answer: await providers.call(ask("hello", { history: HISTORY }), (frame) => frames.push(frame)), frames, fault: null };
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      // A refused key is not tried again for a minute; a new world begins.
      if (thrown.code === "PROVIDER_AUTH") renew();
      return { answer: null, frames, fault: thrown };
    } finally {
      turn++;
    }
  }
  let renew = (): void => {};
  return { call, onRefused: (then: () => void) => void (renew = then), turns: () => turn, stop: () => providers.stop() };
}

function streamed(pieces: readonly Uint8Array[], { breaks, status }: { breaks: boolean; status: number }, body?: string): Response {
  if (status === 204) return new Response(null, { status });
  if (status !== 200) return new Response(body ?? "", { status, headers: { "content-type": "application/json" } });
  const queue = [...pieces];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = queue.shift();
      if (next !== undefined && next.length > 0) controller.enqueue(next);
      else if (next !== undefined) controller.enqueue(new Uint8Array([10]));
      else if (breaks) controller.error(Object.assign(new TypeError("terminated"), { cause: Object.assign(new Error("other side closed"), { code: "UND_ERR_SOCKET" }) }));
      else controller.close();
    },
  });
  return new Response(stream, { status, headers: { "content-type": "text/event-stream" } });
}

function expectSound({ parts, usage }: ModelAnswer): void {
  const calls = toolCallsOf(parts);
  assert.equal(new Set(calls.map(({ callId }) => callId)).size, calls.length, "ids of calls are unique");
  for (const { callId, input, tool } of calls) {
    assert.notEqual(callId, "call_0", "an id is not used twice in a conversation");
    assert.match(callId, /^[A-Za-z0-9_-]{1,64}$|^call_/);
    assert.ok(typeof input === "object" && input !== null && !Array.isArray(input), "an input is an object");
    assert.ok(!Object.hasOwn(input, "__proto__"));
    assert.ok(tool.isWellFormed());
  }
  const whole = JSON.stringify(parts.map((part) => (part.type === "tool-call" ? { input: part.input, tool: part.tool } : part.text)));
  assert.ok(whole.isWellFormed(), "texts are whole");
  for (const part of parts) if (part.type !== "tool-call") assert.doesNotMatch(part.text, /[^\P{Cc}\t\n\r]/u);
  for (const [name, count] of Object.entries(usage)) assert.ok(Number.isFinite(count) && count >= 0, `usage.${name} is ${count}`);
}

/** Some APIs give calls no ids; ours are new each time. */
function withoutIds(answer: ModelAnswer | null): unknown {
  return answer === null ? null : { ...answer, parts: answer.parts.map((part) => (part.type === "tool-call" ? { ...part, callId: "" } : part)) };
}

const streamTargets = APIS.map((api) =>
  target({
    name: `stream-${api}`,
    fact: "any bytes from a provider become a sound answer or a fault, and a whole stream the same answer however it is cut",
    share: 0.5,
    open() {
      let one = world(api);
      return {
        close: () => one.stop(),
        inputs: broken,
        bytesOf: ({ pieces }) => eventsOf(api, pieces).join("").length * 2,
        async check({ pieces, order, damage, sizes, status, breaks, foreign }) {
          const { call } = one;
          one.onRefused(() => {
            one.stop();
            one = world(api);
          });
          const events = eventsOf(api, pieces);
          const isWhole = order.length === 0 && damage.length === 0 && status === 200 && !breaks && foreign === undefined;
          const list = damageList(events, order);
          if (foreign !== undefined) list.splice(Math.floor(list.length / 2), 0, `data: ${JSON.stringify(foreign)}\n\n`);
          const bytes = damageBytes(Buffer.from(list.join("")), damage);
          const body = status === 400 ? Buffer.from(bytes).toString("utf8") : JSON.stringify(errorBody(STANDIN_API[api], status, "no"));
          const first = await call(() => streamed(cutInto(bytes, sizes), { breaks, status }, body));
          if (first.answer !== null) expectSound(first.answer);
          else {
            assert.match(first.fault!.code, /^PROVIDER_|^CONTEXT_TOO_LONG$/);
            assert.ok(first.fault!.message.length < 1000 && !first.fault!.message.includes("key-1"));
          }
          if (!isWhole) return;
          const again = await call(() => streamed([bytes], { breaks, status }));
          assert.deepEqual(withoutIds(again.answer), withoutIds(first.answer));
          const texts = pieces.filter((each) => each.kind === "text").map((each) => each.text).join("");
          if (first.answer !== null && texts.isWellFormed() && !/[^\P{Cc}\t\n\r]/u.test(texts)) assert.equal(textOf(first.answer.parts), texts);
          const shown = first.frames.map((frame) => (frame.type === "text" ? frame.text : "")).join("");
          if (first.answer !== null) assert.equal(shown, textOf(first.answer.parts));
        },
      };
    },
  }),
);

export const PROVIDER_TARGETS = streamTargets;
