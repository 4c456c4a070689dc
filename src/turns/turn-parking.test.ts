import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { WAIT_NOTICE_MS } from "../model/lane.ts";
import { TurnParking } from "./turn-parking.ts";
import { TurnWatch } from "./turn-watch.ts";

const PARKING = { reason: "wall", model: "p/m", until: 0, ahead: 0 } as const;

function setup() {
  const clock = new ManualClock();
  const said: string[] = [];
  const answers: (() => void)[] = [];
  const tell = (word: string) => (): Promise<boolean> => {
    said.push(word);
    return new Promise((resolve) => answers.push(() => resolve(true)));
  };
  const watch = new TurnWatch(clock, { progressSeconds: 60, totalSeconds: 60 }, new AbortController());
  const parking = new TurnParking({ clock, log: silentLog, watch, park: tell("park"), unpark: tell("unpark"), kick: () => {} });
  return {
    clock, said, parking,
    async answer(): Promise<void> {
      answers.shift()?.();
      await settled();
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a word to the store that has to be said again does not undo a later one", async () => {
  const { clock, said, parking, answer } = setup();
  parking.parked(PARKING);
  clock.advance(WAIT_NOTICE_MS);
  await settled();
  parking.resumed();
  parking.parked(PARKING);
  clock.advance(WAIT_NOTICE_MS);
  await settled();
  assert.deepEqual(said, ["park"]);
  await answer();
  assert.deepEqual(said, ["park", "unpark"], "the second wait is told when the end of the first is on disk");
  await answer();
  assert.deepEqual(said, ["park", "unpark", "park"]);
});

test("a wait too short to notice is not told", async () => {
  const { clock, said, parking } = setup();
  parking.parked(PARKING);
  clock.advance(WAIT_NOTICE_MS - 1);
  parking.resumed();
  clock.advance(WAIT_NOTICE_MS);
  await settled();
  assert.deepEqual(said, []);
});
