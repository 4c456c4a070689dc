/** The short form of soak.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak.ts";

test("a minute of fifty people, their children, jobs and clients that come and go leaves nothing growing, and no moment of a job is missing", async () => {
  const { broken, replies, runs } = await soak({ minutes: 1, sessions: 50, seed: 1 });
  assert.deepEqual(broken, []);
  assert.ok(runs > 100, `${runs} runs`);
  assert.ok(replies > 100, `${replies} replies`);
});
