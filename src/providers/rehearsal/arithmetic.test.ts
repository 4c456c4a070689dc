import assert from "node:assert/strict";
import { test } from "node:test";
import { isSum, workOut } from "./arithmetic.ts";
import { INTENTS } from "./intents.ts";

function valueOf(text: string): string {
  const sum = workOut(text);
  return sum.outcome === "value" ? sum.text : sum.outcome;
}

test("products bind before sums, and equal operations go from left to right, as people write them", () => {
  assert.equal(valueOf("17 * 23"), "391");
  assert.equal(valueOf("2 + 3 * 4"), "14");
  assert.equal(valueOf("(2 + 3) * -4"), "-20");
  assert.equal(valueOf("20 / 5 / 2 - 1 - 1"), "0");
  assert.equal(valueOf("6 × 7 ÷ 2"), "21");
});

test("decimal answers are shown without the noise of binary fractions", () => {
  assert.equal(valueOf("0.1 + 0.2"), "0.3");
  assert.equal(valueOf("1 / 3"), "0.333333333333");
});

test("a division by zero is said to be one, because infinity is no answer", () => {
  assert.equal(valueOf("1 / 0"), "division by zero");
  assert.equal(valueOf("0 / 0"), "division by zero");
});

test("what is not wholly a sum is refused, so that nothing else is ever worked out", () => {
  for (const text of ["", "2 +", "(2", "2)", "2 2", "process.exit()", "2 ** 3", "1e9 + 1", "x + 1"]) assert.equal(valueOf(text), "no sum", text);
  assert.equal(valueOf("(".repeat(5_000)), "no sum");
  assert.equal(isSum("42"), false);
  assert.equal(isSum("6*7"), true);
});

test("a long row of blanks after a question for a sum is looked at once, because everything else waits meanwhile", () => {
  const from = performance.now();
  for (const intent of INTENTS) intent.matches(`what is${" ".repeat(3900)}z`);
  assert.ok(performance.now() - from < 500);
  assert.deepEqual(INTENTS.filter((intent) => intent.matches("what is  17 * 23 ?!")).map(({ name }) => name), ["sum"]);
});
