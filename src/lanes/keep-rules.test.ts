import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { RulesKeeper } from "./keep-rules.ts";

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("rules that could not be written are written again until they are, so that no old size stays in force", async () => {
  const clock = new ManualClock();
  const tries: string[] = [];
  let isFull = true;
  const keeper = new RulesKeeper({
    clock,
    log: silentLog,
    set: async () => {
      tries.push(isFull ? "full" : "set");
      if (isFull) throw new Error("full");
    },
  });
  keeper.changed();
  await settled();
  clock.advance(1_000);
  await settled();
  isFull = false;
  clock.advance(1_000);
  await settled();
  clock.advance(60_000);
  await settled();
  assert.deepEqual(tries, ["full", "full", "set"]);
});

test("a change during a write is written too, and after stop nothing is", async () => {
  const clock = new ManualClock();
  const done: (() => void)[] = [];
  const keeper = new RulesKeeper({ clock, log: silentLog, set: () => new Promise((resolve) => done.push(resolve)) });
  keeper.changed();
  keeper.changed();
  keeper.changed();
  assert.equal(done.length, 1);
  done[0]!();
  await settled();
  assert.equal(done.length, 2);
  keeper.stop();
  done[1]!();
  await settled();
  keeper.changed();
  assert.equal(done.length, 2);
  assert.equal(clock.nextAt(), undefined);
});
