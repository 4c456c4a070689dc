import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock.ts";
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { Admission } from "./admission.ts";

function setup(availableMb: number) {
  const clock = new ManualClock();
  const machine = { availableMb, roomsMade: 0 };
  const admission = new Admission({ clock, availableMb: () => machine.availableMb, reserveMb: () => 100, waitMs: () => 5_000, makeRoom: () => (machine.roomsMade++, false) });
  const never = new AbortController();
  const enter = (key: string, needsMb: number, signal = never.signal) => admission.enter({ key: key as SessionKey, harness: "h", needsMb, signal });
  return { clock, machine, admission, enter };
}

async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  for (let round = 0; round < 10; round++) await Promise.resolve();
  return (await Promise.race([promise.then(() => "over", () => "over"), Promise.resolve("open")])) === "open";
}

test("starts at the same moment do not all count on the same room, and who waits is let in in order", async () => {
  const { clock, machine, admission, enter } = setup(500);
  const settle = await enter("a", 300);
  const second = enter("b", 300);
  const small = enter("c", 50);
  assert.ok(await isOpen(second), "the first one's memory is promised already");
  assert.ok(await isOpen(small), "a smaller one does not overtake");
  assert.deepEqual(admission.waiting().map(({ key, availableMb }) => [key, availableMb]), [["b", 100], ["c", 100]]);
  assert.ok(machine.roomsMade > 0, "idle ones are asked to make room");
  settle();
  settle();
  clock.advance(500);
  (await second)();
  clock.advance(500);
  (await small)();
  assert.deepEqual(admission.waiting(), []);
});

test("a wait ends in words after its time, and at once when its turn is stopped", async () => {
  const { clock, admission, enter } = setup(150);
  const waiting = enter("a", 300);
  const gaveUp = assert.rejects(waiting, (cause) => cause instanceof Fault && cause.code === "ACP_NO_MEMORY");
  for (let passed = 0; passed <= 5_000; passed += 500) {
    await isOpen(waiting);
    clock.advance(500);
  }
  await gaveUp;
  const stop = new AbortController();
  const stopped = enter("b", 300, stop.signal);
  stop.abort(new Error("stopped"));
  await assert.rejects(stopped, /stopped/);
  assert.deepEqual(admission.waiting(), []);
});
