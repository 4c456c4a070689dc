/** The small form of plans-kill9.ts for every run of the tests; `node test/torture/plans-kill9.ts --kills 100` is the long one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { killPlans } from "./plans-kill9.ts";

const KILLS = 6;

test(`after ${KILLS} kills of a gateway that runs a plan, the branch was never half moved, and every task is merged once`, async () => {
  assert.deepEqual((await killPlans(KILLS, { seed: 1 })).broken, []);
});
