import assert from "node:assert/strict";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeBench } from "./tool-bench.test-support.ts";

test("read gives the lines that were asked for and says where to go on", async (t) => {
  const { call } = makeBench(t, { files: { "five.txt": "one\ntwo\nthree\nfour\nfive" } });
  assert.equal((await call("read", { path: "five.txt" })).text, "one\ntwo\nthree\nfour\nfive");
  assert.equal((await call("read", { path: "five.txt", offset: 2, limit: 2 })).text, "two\nthree\n[lines 2-3; the file may go on: offset 4]");
  assert.equal((await call("read", { path: "five.txt", offset: 5 })).text, "five");
  assert.equal((await call("read", { path: "five.txt", offset: 6 })).text, "[the file ends before line 6]");
});

test("read crosses chunk borders without losing a line", async (t) => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index + 1} ${"é".repeat(index % 7)}`);
  const { call } = makeBench(t, { files: { "long.txt": lines.join("\n") } });
  const { text } = await call("read", { path: "long.txt", offset: 9_990, limit: 5000 });
  assert.equal(text.split("\n[")[0], lines.slice(9989, 14_989).join("\n"));
});

test("read cuts a large text at a line and names the next offset, so that nothing is skipped", async (t) => {
  const { call } = makeBench(t, { files: { "large.txt": "0123456789\n".repeat(100_000) } });
  const { text } = await call("read", { path: "large.txt" });
  const next = Number(/offset (\d+)\]$/.exec(text)?.[1]);
  assert.equal(text.split("\n").length - 1, next - 1);
  assert.ok(text.length <= 256 * 1024 + 100);
});

test("read shows the beginning of a line that is longer than everything it may give", async (t) => {
  const { call } = makeBench(t, { files: { "wide.txt": "x".repeat(400_000) } });
  assert.match((await call("read", { path: "wide.txt" })).text, /x\n\[line 1 is longer than 262144 bytes and was cut\]$/);
});

test("read refuses binary files and costs no more for a file of 100 GB", async (t) => {
  const { call, workspace } = makeBench(t);
  const fd = openSync(join(workspace, "huge.img"), "w");
  ftruncateSync(fd, 100 * 1024 ** 3);
  closeSync(fd);
  assert.deepEqual(await call("read", { path: "huge.img" }), { text: "huge.img is a binary file of 107374182400 bytes; look at it with a command", isError: true });
  assert.match((await call("read", { path: "huge.img", offset: 2 })).text, /more than 67108864 bytes into the file/);
});

test("read tells an empty file from a missing one, and marks what is no UTF-8", async (t) => {
  const { call } = makeBench(t, { files: { "empty.txt": "", "latin1.txt": Buffer.from([0x63, 0x61, 0x66, 0xe9]) } });
  assert.deepEqual(await call("read", { path: "empty.txt" }), { text: "[the file is empty]", isError: false });
  assert.deepEqual(await call("read", { path: "none.txt" }), { text: "none.txt: no such file", isError: true });
  assert.match((await call("read", { path: "latin1.txt" })).text, /^caf\uFFFD\n\[not valid UTF-8/);
});

test("write says whether the file was new", async (t) => {
  const { call, workspace } = makeBench(t);
  assert.equal((await call("write", { path: "a/b.txt", content: "é" })).text, "created a/b.txt (2 bytes)");
  assert.equal((await call("write", { path: "a/b.txt", content: "" })).text, "replaced a/b.txt (0 bytes)");
  assert.equal(readFileSync(join(workspace, "a/b.txt"), "utf8"), "");
});

test("edit replaces one exact place and keeps line ends and byte order mark", async (t) => {
  const { call, workspace } = makeBench(t, { files: { "a.txt": "\uFEFFone\r\ntwo\r\nthree $& $1\r\n" } });
  assert.equal((await call("edit", { path: "a.txt", old: "two", new: "$& 2 $1" })).text, "replaced line 2 of a.txt");
  assert.equal(readFileSync(join(workspace, "a.txt"), "utf8"), "\uFEFFone\r\n$& 2 $1\r\nthree $& $1\r\n");
});

test("edit refuses to guess among several places and says where they are", async (t) => {
  const { call, workspace } = makeBench(t, { files: { "a.txt": "x\ny\nx\nz\nx\n" } });
  const refused = await call("edit", { path: "a.txt", old: "x", new: "q" });
  assert.deepEqual(refused, { text: "old is in a.txt 3 times, at lines 1, 3, 5; give more of the text around the one you mean, or set all", isError: true });
  assert.equal((await call("edit", { path: "a.txt", old: "x", new: "q", all: true })).text, "replaced 3 places of a.txt");
  assert.equal(readFileSync(join(workspace, "a.txt"), "utf8"), "q\ny\nq\nz\nq\n");
});

test("edit says what comes nearest when the text is not there", async (t) => {
  const { call } = makeBench(t, { files: { "a.ts": "function a() {\n\treturn 1;\n}\n" } });
  assert.match((await call("edit", { path: "a.ts", old: "  return 1;\n}", new: "x" })).text, /its first line is at line 2, but the white space or what follows differs/);
  assert.match((await call("edit", { path: "a.ts", old: "nowhere", new: "x" })).text, /read the file and copy the text exactly/);
});

test("edit leaves files alone that it could not write back unchanged", async (t) => {
  const bytes = Buffer.from([0x61, 0xff, 0x62]);
  const { call, workspace } = makeBench(t, { files: { "binary": bytes } });
  assert.match((await call("edit", { path: "binary", old: "a", new: "c" })).text, /not UTF-8/);
  assert.deepEqual(readFileSync(join(workspace, "binary")), bytes);
});

test("list shows kinds, goes as deep as asked, and does not enter links or skipped folders", async (t) => {
  const { call, workspace, outside } = makeBench(t, { files: { "b.txt": "", "a/c/d.txt": "", "node_modules/x/y.js": "" } });
  symlinkSync(outside, join(workspace, "out"));
  assert.equal((await call("list", {})).text, "a/\nb.txt\nnode_modules/\nout@");
  assert.equal((await call("list", { depth: 3 })).text, "a/\na/c/\na/c/d.txt\nb.txt\nnode_modules/\nout@");
  assert.equal((await call("list", { path: "a/c" })).text, "d.txt");
  assert.match((await call("list", { path: "b.txt" })).text, /is a file, not a folder/);
  mkdirSync(join(workspace, "none"));
  assert.equal((await call("list", { path: "none" })).text, "[the folder is empty]");
});

test("list gives a bounded number of names and says that there are more", async (t) => {
  const { call, workspace } = makeBench(t);
  for (let index = 0; index < 1100; index++) writeFileSync(join(workspace, `f${index}`), "");
  const { text } = await call("list", {});
  assert.equal(text.split("\n").length, 1001);
  assert.match(text, /\[more than 1000; list a folder below, or use glob\]$/);
});

test("glob gives paths that the other tools understand", async (t) => {
  const { call } = makeBench(t, { files: { "src/a.ts": "", "src/deep/b.ts": "", "src/c.js": "", "node_modules/d/e.ts": "", "top.ts": "" } });
  assert.equal((await call("glob", { pattern: "*.ts" })).text, "src/a.ts\nsrc/deep/b.ts\ntop.ts");
  assert.equal((await call("glob", { pattern: "*.ts", path: "./src/" })).text, "src/a.ts\nsrc/deep/b.ts");
  assert.equal((await call("glob", { pattern: "src/*.{ts,js}" })).text, "src/a.ts\nsrc/c.js");
  assert.equal((await call("glob", { pattern: "*.rs" })).text, "[no file matches]");
});

test("a walk stops at once when its turn is cancelled", async (t) => {
  const { call } = makeBench(t, { files: { "a.txt": "" } });
  const signal = AbortSignal.abort(new Error("cancelled"));
  await assert.rejects(call("list", {}, { signal }), /cancelled/);
  await assert.rejects(call("glob", { pattern: "a" }, { signal }), /cancelled/);
  await assert.rejects(call("grep", { pattern: "a" }, { signal }), /cancelled/);
});
