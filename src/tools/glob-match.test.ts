import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../model/faults.ts";
import { makeGlob } from "./glob-match.ts";

const TABLE: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] = [
  ["*.ts", ["a.ts", "deep/er/a.ts", ".ts"], ["a.tsx", "a.ts/b"]],
  ["src/*.ts", ["src/a.ts"], ["a.ts", "src/b/a.ts", "x/src/a.ts"]],
  ["src/**/*.ts", ["src/a.ts", "src/b/a.ts", "src/b/c/a.ts"], ["a.ts", "srcs/a.ts"]],
  ["**", ["a", "a/b"], []],
  ["**/test/**", ["test/a", "x/test/a/b"], ["tests/a"]],
  ["a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "b/c"]],
  ["?.md", ["a.md", "é.md", "😀.md"], ["ab.md", ".md"]],
  ["[a-c]x", ["ax", "cx"], ["dx", "x"]],
  ["[!a-c]x", ["dx"], ["ax"]],
  ["[]x]y", ["]y", "xy"], ["y"]],
  ["[x", ["[x"], ["x"]],
  ["a{b,c{d,e}}f", ["abf", "acdf", "acef"], ["acf", "af"]],
  ["{a,b}/{c,d}", ["a/c", "b/d"], ["a/b"]],
  ["{a", ["{a"], ["a"]],
  ["{a}", ["{a}"], ["a"]],
  ["a.b", ["a.b"], ["axb"]],
  ["(a+)+$", ["(a+)+$"], ["aaa"]],
];

for (const [pattern, matching, others] of TABLE) {
  test(`the glob ${pattern} means what shells mean`, () => {
    const isMatch = makeGlob("glob", pattern);
    for (const path of matching) assert.ok(isMatch(path), path);
    for (const path of others) assert.ok(!isMatch(path), path);
  });
}

test("no pattern is slow, because there is no backtracking over more than one star", () => {
  const name = "a".repeat(255);
  const path = Array.from({ length: 30 }, () => name).join("/");
  for (const pattern of ["*a".repeat(200) + "b", Array.from({ length: 30 }, () => "**/*a*a*a*a*b").join("/"), "?*".repeat(200) + "b"]) {
    const startedAt = performance.now();
    assert.equal(makeGlob("glob", pattern)(path), false);
    assert.ok(performance.now() - startedAt < 500, pattern.slice(0, 20));
  }
});

test("a pattern whose braces stand for too many patterns is refused", () => {
  assert.throws(() => makeGlob("glob", "{a,b}".repeat(30)), (error) => error instanceof Fault && error.code === "TOOL_INPUT");
  assert.throws(() => makeGlob("glob", "x".repeat(501)), Fault);
});

test("a pattern is taken apart once, not once per name of a path", () => {
  const isMatch = makeGlob("glob", `{a,b}${"[".repeat(490)}`);
  const from = performance.now();
  for (let count = 0; count < 20; count++) isMatch("a/".repeat(2000));
  assert.ok(performance.now() - from < 2000);
});
