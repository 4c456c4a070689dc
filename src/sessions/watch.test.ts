import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "../base/clock.ts";
import type { SessionKey } from "../base/ids.ts";
import type { LiveFrame, YardEvent } from "../model/event.ts";
import { EventHub } from "./watch.ts";

const ANN = "agent:main:api:direct:ann" as SessionKey;
const BOB = "agent:main:api:direct:bob" as SessionKey;

/** A log that commits and answers reads when it is told to. */
function setup() {
  const log: YardEvent[] = [];
  const reads: (() => void)[] = [];
  let tell: (events: readonly YardEvent[]) => void = () => {};
  let forgotten = 0;
  const hub = new EventHub({
    forgottenEvents: async () => forgotten,
    onEvents(listener) {
      tell = listener;
      return () => {};
    },
    // What a read finds is settled when it is asked; what commits before it arrives comes by the other way only.
    events({ session, after, limit }) {
      const page = log.filter((event) => (session === null ? event.cursor > after : event.session === session && event.seq > after)).slice(0, limit);
      return new Promise((resolve) => reads.push(() => resolve(page)));
    },
  }, new ManualClock());
  return {
    hub,
    forget: (upTo: number) => void (forgotten = upTo),
    log,
    commit(session: SessionKey, count = 1): void {
      const events = Array.from({ length: count }, (_none, index): YardEvent => ({ seq: log.filter((event) => event.session === session).length + 1 + index, session, at: 0, type: "notice", data: {}, cursor: log.length + 1 + index }));
      log.push(...events);
      tell(events);
    },
    async read(): Promise<void> {
      reads.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
    get reads() {
      return reads.length;
    },
  };
}

function reader() {
  const seen: number[] = [];
  const frames: LiveFrame[] = [];
  return { seen, frames, watcher: { onEvent: (event: YardEvent) => void seen.push(event.cursor), onFrame: (frame: LiveFrame) => void frames.push(frame), onFailure: assert.fail } };
}

test("a reader gets what was stored and then what commits, each once and in order, whatever comes between", async () => {
  const actions = fc.array(fc.constantFrom("commit ann" as const, "commit bob" as const, "read" as const), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 5 }), fc.nat({ max: 3 }), fc.boolean(), actions, async (before, after, all, steps) => {
      const bench = setup();
      for (let stored = 0; stored < before; stored++) bench.commit(stored % 2 === 0 ? ANN : BOB);
      const { seen, watcher } = reader();
      bench.hub.watch({ session: all ? null : ANN, after }, watcher);
      for (const step of steps) {
        if (step === "read") await bench.read();
        else bench.commit(step === "commit ann" ? ANN : BOB);
      }
      while (bench.reads > 0) await bench.read();
      const expected = bench.log.filter((event) => (all ? event.cursor > after : event.session === ANN && event.seq > after));
      assert.deepEqual(seen, expected.map((event) => event.cursor));
    }),
    { numRuns: 200, seed: 1 },
  );
});

test("a log longer than a page, and more commits than are kept meanwhile, arrive whole", async () => {
  const bench = setup();
  bench.commit(ANN, 1200);
  const { seen, watcher } = reader();
  bench.hub.watch({ session: ANN, after: 0 }, watcher);
  bench.commit(ANN, 6000);
  while (bench.reads > 0) await bench.read();
  bench.commit(ANN);
  assert.equal(seen.length, 7201);
  assert.deepEqual(seen, seen.map((_cursor, index) => index + 1));
});

test("live frames reach the readers of their session, also those that still catch up, so that an answer's first word is not lost", async () => {
  const bench = setup();
  const { frames, watcher } = reader();
  bench.hub.watch({ session: ANN, after: 0 }, watcher);
  const frame = (session: SessionKey): LiveFrame => ({ session, at: 0, type: "text.delta", turnId: "turn_1" as LiveFrame["turnId"], data: {} });
  bench.hub.frame(frame(ANN));
  bench.hub.frame(frame(BOB));
  assert.equal(frames.length, 0);
  await bench.read();
  assert.equal(frames.length, 1);
  bench.hub.frame(frame(ANN));
  assert.equal(frames.length, 2);
});

test("a watch that was ended hears nothing more, also from a read that was under way", async () => {
  const bench = setup();
  bench.commit(ANN);
  const { seen, watcher } = reader();
  const end = bench.hub.watch({ session: ANN, after: 0 }, watcher);
  end();
  await bench.read();
  bench.commit(ANN);
  assert.deepEqual(seen, []);
});

test("a reader who asks for events that were removed for their age is told so, and goes on after them", async () => {
  const yard = setup();
  yard.commit(ANN, 5);
  yard.log.splice(0, 3);
  yard.forget(3);
  const given: unknown[] = [];
  yard.hub.watch({ session: ANN, after: 1 }, { onEvent: ({ seq }) => given.push(seq), onResync: ({ type, data }) => given.push({ type, data }), onFailure: assert.fail });
  await yard.read();
  yard.commit(BOB);
  assert.deepEqual(given, [{ type: "resync", data: { after: 1, upTo: 3 } }, 4, 5]);

  const upToDate: unknown[] = [];
  yard.hub.watch({ session: ANN, after: 3 }, { onEvent: ({ seq }) => upToDate.push(seq), onResync: () => upToDate.push("resync"), onFailure: assert.fail });
  await yard.read();
  assert.deepEqual(upToDate, [4, 5], "who has all that is gone misses nothing");
});
