import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock } from "../base/clock.ts";
import type { TurnId } from "../base/ids.ts";
import { makeBench } from "./tool-bench.test-support.ts";

const clock = new ManualClock(Date.UTC(2031, 4, 6));

test("a note is added with its date, and read without the key that makes it unique", async (t) => {
  const { call, workspace } = makeBench(t, { clock, files: { "MEMORY.md": "# Notes" } });
  assert.deepEqual(await call("memory", { action: "append", text: "likes tea\nand cake" }), { text: "noted", isError: false });
  assert.equal((await call("memory", { action: "read" })).text, "# Notes\n- 2031-05-06 likes tea\n  and cake\n");
  assert.match(readFileSync(join(workspace, "MEMORY.md"), "utf8"), /cake <!-- key:[0-9a-f]{16} -->\n$/);
});

test("the same call adds its note once, also when it runs again after a crash; another call adds its own", async (t) => {
  const { call } = makeBench(t, { clock });
  const note = { action: "append", text: "x" };
  for (let run = 0; run < 3; run++) await call("memory", note);
  assert.equal((await call("memory", { action: "read" })).text, "- 2031-05-06 x\n");
  await call("memory", note, { stepKey: "tool:2:call_1" });
  await call("memory", note, { turnId: "turn_2" as TurnId });
  assert.equal((await call("memory", { action: "read" })).text, "- 2031-05-06 x\n".repeat(3));
});

test("notes that are added at the same moment are all kept", async (t) => {
  const { call, workspace } = makeBench(t);
  await Promise.all(Array.from({ length: 40 }, (_, index) => call("memory", { action: "append", text: `note ${index}` }, { stepKey: `tool:${index}:c` })));
  const { text } = await call("memory", { action: "read" });
  assert.deepEqual(text.trim().split("\n").map((line) => Number(line.split(" ").at(-1))).sort((a, b) => a - b), Array.from({ length: 40 }, (_, index) => index));
  assert.deepEqual(readdirSync(workspace), ["MEMORY.md"]);
});

test("a search finds the notes that hold every word", async (t) => {
  const { call } = makeBench(t, { files: { "MEMORY.md": "# Family\n\n- Anna likes tea\n  and green CAKE\n- Ben likes cake\n\nLoose text about tea.\n" } });
  assert.equal((await call("memory", { action: "search", query: "cake likes tea" })).text, "- Anna likes tea\n  and green CAKE");
  assert.equal((await call("memory", { action: "search", query: "TEA" })).text, "- Anna likes tea\n  and green CAKE\nLoose text about tea.");
  assert.equal((await call("memory", { action: "search", query: "coffee" })).text, "[no note holds all of these words]");
});

test("a full file takes no more notes, and says what to do", async (t) => {
  const { call } = makeBench(t, { files: { "MEMORY.md": "x".repeat(256 * 1024 - 10) } });
  assert.match((await call("memory", { action: "append", text: "one more" })).text, /is full .*shorten it/);
});

test("no notes yet is no error, and a missing argument is named", async (t) => {
  const { call } = makeBench(t);
  assert.equal((await call("memory", { action: "read" })).text, "[there are no notes yet]");
  assert.match((await call("memory", { action: "append" })).text, /text is missing/);
  assert.match((await call("memory", { action: "search" })).text, /query is missing/);
});

test("a MEMORY.md that leads out of the workspace is neither read nor written", async (t) => {
  const { call, workspace, outside } = makeBench(t);
  symlinkSync(join(outside, "secret.txt"), join(workspace, "MEMORY.md"));
  assert.match((await call("memory", { action: "read" })).text, /leads out of the workspace/);
  assert.match((await call("memory", { action: "append", text: "x" })).text, /leads out of the workspace/);
  assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "OUTSIDE");
  assert.ok(!existsSync(join(outside, "MEMORY.md")));
});

test("bytes that are no UTF-8 survive an append", async (t) => {
  const before = Buffer.from([0x61, 0xff, 0x0a]);
  const { call, workspace } = makeBench(t, { files: { "MEMORY.md": before } });
  await call("memory", { action: "append", text: "x" });
  assert.deepEqual(readFileSync(join(workspace, "MEMORY.md")).subarray(0, 3), before);
});
