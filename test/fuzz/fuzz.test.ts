/** A short run of every target with a fixed seed; `run.ts` is the long one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drive } from "./drive.ts";
import { TARGETS } from "./targets.ts";

const SEED = 20_260_101;
/** Runs of all targets together. */
const RUNS = 30_000;
const RUNS_MIN = 150;

const shares = TARGETS.reduce((sum, { share }) => sum + share, 0);

for (const target of TARGETS) {
  test(`fuzz ${target.name}: ${target.fact}`, async () => {
    const { failures } = await drive(target, { runs: Math.max(RUNS_MIN, Math.ceil((RUNS * target.share) / shares)), seed: SEED });
    assert.equal(failures.map(({ problem, input, replay }) => `${problem}\ninput: ${input}\nagain: node test/fuzz/run.ts --target ${target.name} --replay ${replay}`).join("\n\n"), "");
  });
}

test("targets have names of their own, because a name is how one is run again", () => {
  assert.equal(new Set(TARGETS.map(({ name }) => name)).size, TARGETS.length);
});
