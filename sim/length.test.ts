import assert from "node:assert/strict";
import { test } from "node:test";
import { BadValue } from "../src/base/setting.ts";
import { arrivalTimes, readArrivals } from "./arrivals.ts";
import { chanceFor, drawMs, readDuration, readLength } from "./length.ts";

const DRAWS = 4_000;

function meanOf(text: string): number {
  const chance = chanceFor(1, "test");
  const length = readLength(text);
  return Array.from({ length: DRAWS }, () => drawMs(length, chance)).reduce((sum, ms) => sum + ms, 0) / DRAWS;
}

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < expected * 0.05, `${actual} is not near ${expected}`);
}

test("a time is read with its unit; without one it could be anything, so it is refused", () => {
  assert.deepEqual(["0", "500ms", "5s", "1.5s", "2m", "1h"].map(readDuration), [0, 500, 5_000, 1_500, 120_000, 3_600_000]);
  for (const text of ["", "5", "-1s", "5 s", "s", "1e3s", "999999999h", "5d"]) assert.throws(() => readDuration(text), BadValue, text);
});

test("lengths by chance have the middle that their text says, so that a report can be checked by hand", () => {
  near(meanOf("5s"), 5_000);
  near(meanOf("3s..8s"), 5_500);
  near(meanOf("0.5s..1.5s"), 1_000);
  near(meanOf("exp:5s"), 5_000);
  near(meanOf("lognormal:5s,0.5"), 5_000 * Math.exp(0.125));
  for (const text of ["8s..3s", "exp:", "exp:5", "lognormal:5s", "lognormal:5s,9", "normal:5s", "3s..", ".."]) assert.throws(() => readLength(text), BadValue, text);
});

test("chance depends on the seed and on what it is for, so that compared settings meet the same work", () => {
  const draw = (seed: number, what: string) => drawMs(readLength("exp:5s"), chanceFor(seed, what));
  assert.equal(draw(1, "7.1"), draw(1, "7.1"));
  assert.notEqual(draw(1, "7.1"), draw(2, "7.1"));
  assert.notEqual(draw(1, "7.1"), draw(1, "7.2"));
});

test("arrivals come in order of number, within their time or at their rate", () => {
  assert.deepEqual(arrivalTimes(readArrivals("burst"), 3, 1), [0, 0, 0]);
  const uniform = arrivalTimes(readArrivals("uniform:60s"), 500, 1);
  assert.deepEqual(uniform, uniform.toSorted((a, b) => a - b));
  assert.ok(uniform[0]! < 2_000 && uniform.at(-1)! > 58_000 && uniform.at(-1)! <= 60_000);
  near(arrivalTimes(readArrivals("poisson:2/s"), DRAWS, 1).at(-1)! / DRAWS, 500);
  near(arrivalTimes(readArrivals("poisson:120/m"), DRAWS, 1).at(-1)! / DRAWS, 500);
  for (const text of ["", "later", "uniform:60", "poisson:0/s", "poisson:2", "poisson:x/s"]) assert.throws(() => readArrivals(text), BadValue, text);
});
