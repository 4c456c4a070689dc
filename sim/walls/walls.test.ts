import assert from "node:assert/strict";
import { test } from "node:test";
import { catchWallSabotage } from "./run.ts";
import { WALL_SABOTAGES } from "./sabotages.ts";
import { runWalls } from "./world.ts";

/** The first seeds, and those that once found something. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const FOUND = [40, 52, 54, 101, 1046, 2239, 3012, 5328, 7281];
const SABOTAGE_SEEDS_MAX = 30;

test("agents and people at walls, limits and refused credentials: nobody fails, and the provider is never asked more than it allows, whatever ends the gateway in between", async () => {
  for (const seed of [...SEEDS, ...FOUND]) assert.deepEqual((await runWalls({ seed })).violations, [], `node sim/walls/run.ts --seed ${seed}`);
});

test("the same seed gives the same world, so that what was found can be looked at again", async () => {
  assert.equal((await runWalls({ seed: 5 })).trace, (await runWalls({ seed: 5 })).trace);
});

for (const sabotage of WALL_SABOTAGES) {
  test(`a gateway in which ${sabotage.name} is noticed, so the checks are worth something`, async () => {
    assert.notEqual(await catchWallSabotage(sabotage, SABOTAGE_SEEDS_MAX), null, `${SABOTAGE_SEEDS_MAX} seeds did not notice it`);
  });
}
