import assert from "node:assert/strict";
import { test } from "node:test";
import { JSON_DEPTH_MAX, nestsTooDeep, parseJson } from "./json.ts";

test("what is read can be written and read again: a number that no double can hold is refused", () => {
  assert.throws(() => parseJson('{"a": [1e999]}'), /out of range/);
  assert.deepEqual(parseJson("[1e308]"), [1e308]);
});

test("keys that poison objects, and nesting that is too deep, are refused", () => {
  assert.throws(() => parseJson('{"a": {"__proto__": {}}}'), SyntaxError);
  assert.throws(() => parseJson("[".repeat(JSON_DEPTH_MAX + 1) + "]".repeat(JSON_DEPTH_MAX + 1)), SyntaxError);
  assert.throws(() => parseJson("[".repeat(100_000)), SyntaxError);
});

test("a value of any depth can be asked whether it nests too deep", () => {
  const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.equal(nestsTooDeep(JSON.parse(nested(JSON_DEPTH_MAX))), false);
  assert.equal(nestsTooDeep(JSON.parse(nested(JSON_DEPTH_MAX + 2))), true);
  assert.equal(nestsTooDeep(JSON.parse(`{"a": ${nested(200_000)}}`)), true);
  assert.equal(nestsTooDeep({ a: [1, { b: null }], c: "x" }), false);
});
