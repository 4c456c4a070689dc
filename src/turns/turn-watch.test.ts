import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import type { Fault } from "../model/faults.ts";
import { TurnWatch } from "./turn-watch.ts";

function setup(limits = { progressSeconds: 10, totalSeconds: 30 }) {
  const clock = new ManualClock();
  const controller = new AbortController();
  return { clock, watch: new TurnWatch(clock, limits, controller), code: () => (controller.signal.aborted ? (controller.signal.reason as Fault).code : null) };
}

test("a turn without a finished step is ended, and one with steps goes on until its whole time is over", () => {
  const stalled = setup();
  stalled.clock.advance(10_000);
  assert.equal(stalled.code(), "TURN_STALLED");
  const busy = setup();
  for (let i = 0; i < 3; i++) {
    busy.clock.advance(9_999);
    busy.watch.progress();
  }
  assert.equal(busy.code(), null);
  busy.clock.advance(3);
  assert.equal(busy.code(), "TURN_TIMED_OUT");
});

test("both deadlines rest while the model call is parked, because waiting for a provider is no fault of the turn", () => {
  const { clock, watch, code } = setup();
  clock.advance(9_000);
  watch.rest();
  clock.advance(3_600_000);
  watch.resume();
  clock.advance(999);
  assert.equal(code(), null);
  clock.advance(1);
  assert.equal(code(), "TURN_STALLED");
});

test("a watch that was stopped leaves no timer", () => {
  const { clock, watch } = setup();
  watch.stop();
  assert.equal(clock.nextAt(), undefined);
});
