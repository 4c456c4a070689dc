import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, systemClock } from "../src/base/clock.ts";
import { Fault } from "../src/model/faults.ts";
import { makeSimulator } from "./in-thread.ts";

/** More than any machine simulates before the test has ended it. */
const ENDLESS = { customers: 10_000, messages: 9 };

const isFault = (code: string) => (thrown: unknown) => thrown instanceof Fault && thrown.code === code;

test("the report comes from another thread, as this one would have made it", async () => {
  const simulate = makeSimulator({ clock: systemClock });
  const { columns, svg } = await simulate({ customers: 7, svg: true });
  assert.deepEqual(columns[0]!.messages.map(({ waitMs }) => waitMs), [0, 0, 0, 0, 5_000, 5_000, 5_000]);
  assert.match(svg!, /^<\?xml/);
  assert.equal("svg" in (await simulate({ customers: 1 })), false);
});

test("there is one simulation at a time, and the next one after it has ended, whatever its end", async () => {
  const simulate = makeSimulator({ clock: systemClock });
  const gone = new AbortController();
  const first = simulate(ENDLESS, gone.signal);
  await assert.rejects(simulate({}), isFault("SIMULATION_BUSY"));
  gone.abort(new Error("the caller has gone"));
  await assert.rejects(first, /the caller has gone/);
  await assert.rejects(simulate({ turn: "x" }), isFault("BAD_REQUEST"));
  assert.equal((await simulate({})).columns.length, 1);
});

test("one that takes too long is ended with advice, so that it cannot keep a processor for itself", async () => {
  const clock = new ManualClock();
  const simulate = makeSimulator({ clock, secondsMax: 10 });
  const running = simulate(ENDLESS);
  clock.advance(10_000);
  await assert.rejects(running, isFault("SIMULATION_TOO_LONG"));
  assert.equal(clock.nextAt(), undefined);
});
