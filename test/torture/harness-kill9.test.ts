/** SIGKILL of the gateway and of harnesses, a few times; `node test/torture/harness-kill9.ts` does it hundreds of times. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { killAgainAndAgain } from "./harness-kill9.ts";

test("whoever is killed, gateway or harness: nothing that it started is left 10 s later, also what left its session", async (t) => {
  const { gateway, harness, orphans, longestMs } = await killAgainAndAgain({ kills: 10, seed: 1 });
  t.diagnostic(`${gateway} kills of the gateway, ${harness} of harnesses; all gone within ${longestMs} ms`);
  assert.deepEqual(orphans, []);
  assert.ok(gateway > 0 && harness > 0);
});
