import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { Tables } from "./tables.ts";
import { runWorld } from "./world.ts";

/** Enough to meet every kind of action and fault; `test/torture/worlds.test.ts` runs thousands. */
const SEEDS = 150;
/** Beyond this the rest is left to the next run, so that a slow machine does not fail for being slow. */
const BOUND_MS = 20_000;
const SEEDS_MIN = 30;
const TWICE = 20;

test(`${SEEDS} simulated worlds end with nothing lost, doubled, reordered or left over, whatever fails in them`, async () => {
  const startedMs = systemClock.monotonic();
  const tables = new Tables();
  for (let seed = 1; seed <= SEEDS && (seed <= SEEDS_MIN || systemClock.monotonic() - startedMs < BOUND_MS); seed++) {
    const { violations } = await runWorld({ seed, tables });
    assert.deepEqual(violations, [], `run again with: node sim/world/run.ts --seed ${seed}`);
  }
  tables.close();
});

test("the same seed gives the same trace, also in tables that another world has used, so that a failure can be looked at again", async () => {
  const traces = new Set<string>();
  const tables = new Tables();
  for (let seed = 1; seed <= TWICE; seed++) {
    const first = await runWorld({ seed });
    const second = await runWorld({ seed, tables });
    assert.equal(first.trace, second.trace, `seed ${seed}`);
    traces.add(first.trace);
  }
  tables.close();
  assert.equal(traces.size, TWICE, "seeds differ from each other");
});
