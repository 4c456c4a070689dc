import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Claim } from "../model/claim.ts";
import type { StartedTurn } from "../model/turn.ts";
import { Scheduler } from "./scheduler.ts";

const NOTHING: Claim = { started: [], promoted: [], quiet: [], nextAt: null, more: false };
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Log;

/** A store whose answers are given by hand, one claim at a time. */
function setup() {
  const clock = new ManualClock();
  const waiting: { resolve: (claim: Claim) => void; reject: (cause: unknown) => void }[] = [];
  const started: string[] = [];
  const looked: string[] = [];
  let claims = 0;
  const scheduler = new Scheduler({
    claimTurns: () => {
      claims++;
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    clock,
    log: quiet,
    start: (turn) => started.push(turn.turnId),
    look: (turn) => looked.push(turn.turnId),
  });
  const settle = async (act: (one: (typeof waiting)[number]) => void): Promise<void> => {
    act(waiting.shift() ?? assert.fail("no claim is under way"));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    clock,
    scheduler,
    started,
    looked,
    claims: () => claims,
    answer: (claim: Partial<Claim>) => settle((one) => one.resolve({ ...NOTHING, ...claim })),
    fail: () => settle((one) => one.reject(new Error("the disk is full"))),
  };
}

function turn(id: string): StartedTurn {
  return { turnId: id } as unknown as StartedTurn;
}

test("before the start and after a drain it claims nothing, however often it is kicked", async () => {
  const { scheduler, claims, answer, clock } = setup();
  scheduler.kick();
  assert.equal(claims(), 0);
  scheduler.start();
  await answer({ nextAt: clock.now() + 100 });
  scheduler.drain();
  scheduler.kick();
  clock.advance(1000);
  assert.equal(claims(), 1);
});

test("kicks while a claim is under way lead to exactly one more", async () => {
  const { scheduler, claims, answer } = setup();
  scheduler.start();
  for (let kick = 0; kick < 5; kick++) scheduler.kick();
  assert.equal(claims(), 1);
  await answer({});
  assert.equal(claims(), 2);
  await answer({});
  assert.equal(claims(), 2);
});

test("what the store hands out is started, and a cut claim is followed by the next at once", async () => {
  const { scheduler, claims, answer, started } = setup();
  scheduler.start();
  await answer({ started: [turn("a"), turn("b")], more: true });
  assert.deepEqual([started, claims()], [["a", "b"], 2]);
});

test("it asks again when the store said that something comes due, not before", async () => {
  const { scheduler, claims, answer, clock } = setup();
  scheduler.start();
  await answer({ nextAt: clock.now() + 500 });
  clock.advance(499);
  assert.equal(claims(), 1);
  clock.advance(1);
  assert.equal(claims(), 2);
});

test("turns that seem to stand still are looked at, once for each time that the store names them", async () => {
  const { scheduler, looked, answer } = setup();
  scheduler.start();
  await answer({ quiet: [{ turnId: "turn_1" } as never] });
  assert.deepEqual(looked, ["turn_1"]);
});

test("a moment that is past is not asked for in a tight loop", async () => {
  const { scheduler, claims, answer, clock } = setup();
  scheduler.start();
  await answer({ nextAt: clock.now() - 60_000 });
  assert.equal(claims(), 1);
  clock.advance(1);
  assert.equal(claims(), 2);
});

test("a store that cannot answer is asked again after a pause, also when it was kicked meanwhile", async () => {
  const { scheduler, claims, fail, clock } = setup();
  scheduler.start();
  scheduler.kick();
  await fail();
  clock.advance(1_000);
  assert.equal(claims(), 2);
});

test("a kick takes the place of the timer, so nothing is asked twice", async () => {
  const { scheduler, claims, answer, clock } = setup();
  scheduler.start();
  await answer({ nextAt: clock.now() + 500 });
  scheduler.kick();
  await answer({});
  clock.advance(10_000);
  assert.equal(claims(), 2);
});

test("the first turn of a pool sets its mean, later ones move it", () => {
  const { scheduler } = setup();
  scheduler.turnEnded("main", 1000);
  assert.equal(scheduler.meanTurnMs.main, 1000);
  scheduler.turnEnded("main", 2000);
  assert.equal(scheduler.meanTurnMs.main, 1200);
  assert.equal(scheduler.meanTurnMs.side, 5000);
});
