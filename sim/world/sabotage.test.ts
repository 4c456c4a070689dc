import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { PROMISES, sabotagesOf } from "./promises.ts";
import { catchSabotage } from "./sabotage.ts";
import { SABOTAGES } from "./sabotages.ts";
import { shrink } from "./shrink.ts";
import { runWorld } from "./world.ts";

/** All of them run by `node sim/world/sabotage.ts`; these are quick to catch. */
const QUICK = [
  "acknowledged before it is saved",
  "a message is taken in twice",
  "the newest message goes first",
  "an ended child can end again",
  "one slot too many",
  "a slot is held while its turn waits for children",
  "recovery forgets the model's answers",
  "a child is announced twice",
  "a budget is three times what was said",
  "what the provider counted is forgotten",
  "a success does not close a circuit",
  "a task of a plan is done when its agent says so",
  "tasks of a plan wait for nobody",
];
const SEEDS_MAX = 60;

for (const name of QUICK) {
  test(`a gateway in which ${name} is noticed, so the checks are worth something`, async () => {
    const sabotage = SABOTAGES.find((one) => one.name === name);
    assert.ok(sabotage, name);
    const { seeds, tookEffect } = await catchSabotage(sabotage, SEEDS_MAX);
    assert.ok(tookEffect, "the statements that it breaks are not there any more");
    assert.ok(seeds !== null, `${SEEDS_MAX} seeds did not notice it`);
  });
}

test("a failing run is made smaller and still fails the same way, so that it can be read", async () => {
  const sabotage = SABOTAGES.find(({ name }) => name === "the newest message goes first")!;
  const { seeds } = await catchSabotage(sabotage, SEEDS_MAX);
  const options = { seed: seeds!, sabotage };
  const actions = await shrink(options);
  const { violations } = await runWorld({ ...options, keep: new Set(actions) });
  assert.ok(actions.length <= 8, `${actions.length} actions`);
  assert.match(violations[0] ?? "", /^mainTrackKeepsOrder/);
});

test("each promise has a sabotage, a test where worlds cannot go, or the area that will bring it, so that none is only believed", () => {
  for (const [index, { promise, elsewhere }] of PROMISES.entries()) {
    const isBroken = sabotagesOf(index + 1).length > 0;
    assert.notEqual(isBroken, elsewhere !== undefined, `INV-${index + 1}, ${promise}: either sabotages or elsewhere`);
    if (elsewhere !== undefined && !elsewhere.startsWith("pending: ")) assert.ok(existsSync(fileURLToPath(new URL(`../../${elsewhere}`, import.meta.url))), elsewhere);
  }
  assert.equal(PROMISES.length, 57);
});
