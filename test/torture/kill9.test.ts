/** The small form of kill9.ts for every run of the tests; `node test/torture/kill9.ts --kills 200` is the long one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { killAtRandom } from "./kill9.ts";

const KILLS = 10;

test(`after ${KILLS} kills at random moments every message is answered once and nothing committed is done again`, async () => {
  assert.deepEqual((await killAtRandom(KILLS, { seed: 1 })).broken, []);
});

test(`the same when turns are sent to side tracks all the time`, async () => {
  const { broken, promotedTurns } = await killAtRandom(KILLS, { seed: 2, foregroundMs: 150 });
  assert.deepEqual(broken, []);
  assert.ok(promotedTurns > 0);
});
