import assert from "node:assert/strict";
import { test } from "node:test";
import { COUNT_MAX, countFrom } from "./count.ts";

test("a count that somebody reports can be kept, whatever it is", () => {
  assert.deepEqual([0, 7, 1.6, 1e300, Infinity].map((said) => countFrom(said)), [0, 7, 2, COUNT_MAX, COUNT_MAX]);
  assert.deepEqual([-1, NaN, "7", null, undefined, 7n, {}].map((said) => countFrom(said)), Array(7).fill(null));
  assert.ok(Number.isSafeInteger(COUNT_MAX * 1_000_000));
});
