import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import { GREP_MAX_MS } from "./grep.ts";
import { makeBench } from "./tool-bench.test-support.ts";

const FILES = {
  "src/a.ts": "const apple = 1;\nconst pear = 2;\r\n",
  "src/b.js": "apple();\n",
  "docs/Apple.md": "An Apple a day.\n",
  "image.png": Buffer.from("apple\0apple"),
};

test("grep finds plain text and regular expressions alike, with paths that other tools understand", async (t) => {
  const { call } = makeBench(t, { files: FILES });
  assert.equal((await call("grep", { pattern: "apple" })).text, "src/a.ts:1:const apple = 1;\nsrc/b.js:1:apple();");
  assert.equal((await call("grep", { pattern: "^const p\\w+ = \\d;$" })).text, "src/a.ts:2:const pear = 2;");
  assert.equal((await call("grep", { pattern: "apple", ignoreCase: true, glob: "*.md" })).text, "docs/Apple.md:1:An Apple a day.");
  assert.equal((await call("grep", { pattern: "apple", path: "src", glob: "*.js" })).text, "src/b.js:1:apple();");
  assert.equal((await call("grep", { pattern: "apple|pear", path: "src/a.ts" })).text, "src/a.ts:1:const apple = 1;\nsrc/a.ts:2:const pear = 2;");
  assert.equal((await call("grep", { pattern: "nowhere" })).text, "[no line matches]");
});

test("grep refuses paths that lead out, in the worker too", async (t) => {
  const { call, workspace, outside } = makeBench(t);
  symlinkSync(outside, join(workspace, "out"));
  for (const pattern of ["OUTSIDE", "OUT.*"]) {
    assert.match((await call("grep", { pattern, path: "out" })).text, /leads out of the workspace/);
    assert.match((await call("grep", { pattern, path: "../outside" })).text, /leads out of the workspace/);
    assert.equal((await call("grep", { pattern })).text, "[no line matches]");
  }
});

test("a bad regular expression is an answer that says what is wrong with it", async (t) => {
  const { call } = makeBench(t);
  const answer = await call("grep", { pattern: "foo(" });
  assert.ok(answer.isError);
  assert.match(answer.text, /Unterminated group.*put \\ before special characters/);
});

test("an expression that would take for ever is ended when its time is over, and holds nobody up", async (t) => {
  const clock = new ManualClock();
  const { call } = makeBench(t, { files: { "bait.txt": `${"a".repeat(60)}!`, "other/b.txt": "bbb" }, clock });
  const hostile = call("grep", { pattern: "(a+)+$" });
  // A second worker does its work meanwhile, and shows that this thread is free.
  assert.equal((await call("grep", { pattern: "b+", path: "other" })).text, "other/b.txt:1:bbb");

  clock.advance(GREP_MAX_MS);

  const ended = await hostile;
  assert.ok(ended.isError);
  assert.match(ended.text, /took longer than 15 s and was ended/);
});

test("searches beyond the number of workers wait in line and are all answered", async (t) => {
  const { call } = makeBench(t, { files: { "a.txt": "abc" } });
  const answers = await Promise.all(Array.from({ length: 5 }, () => call("grep", { pattern: "a.c" })));
  assert.deepEqual(answers.map(({ text }) => text), Array.from({ length: 5 }, () => "a.txt:1:abc"));
});

test("a cancelled turn ends its search, also one that waits in line", async (t) => {
  const { call } = makeBench(t, { files: { "bait.txt": `${"a".repeat(60)}!` } });
  const cancel = new AbortController();
  const searches = Array.from({ length: 3 }, () => call("grep", { pattern: "(a+)+$" }, { signal: cancel.signal }));
  cancel.abort(new Error("cancelled"));
  await Promise.all(searches.map((search) => assert.rejects(search, /cancelled/)));
});

test("grep gives a bounded number of lines, each of bounded length", async (t) => {
  const { call } = makeBench(t, { files: { "a.txt": `${"x".repeat(5000)}\n`.repeat(1000) } });
  for (const pattern of ["x", "x+"]) {
    const { text } = await call("grep", { pattern });
    assert.equal(text.split("\n").length, 201);
    assert.ok(text.length < 200 * 320 + 200);
  }
});
