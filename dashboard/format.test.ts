import assert from "node:assert/strict";
import { test } from "node:test";
import { age, ago, count, duration, inputSummary, oneLine, problemAndRemedy, sessionName } from "./format.ts";

test("durations keep as many figures as people can use", () => {
  assert.deepEqual([12, 400, 9_940, 9_960, 59_700, 125_000, 7_800_000].map(duration), ["12 ms", "0.4 s", "9.9 s", "10 s", "1 min 00 s", "2 min 05 s", "2 h 10 min"]);
  assert.deepEqual([-5, 42_900, 61_000].map(age), ["0 s", "42 s", "1 min 01 s"], "what ticks never goes below zero, whatever the clocks say");
  assert.deepEqual([0, 300_000, 7_200_000, 90_000_000].map(ago), ["now", "5 min", "2 h", "1 d"]);
  assert.deepEqual([950, 12_340, 999_960].map(count), ["950", "12.3k", "1.0M"]);
});

test("a fault is shown as what is wrong and what to do, because its text holds both", () => {
  assert.deepEqual(problemAndRemedy({ message: "refused (401); check the key; or the name" }), { problem: "refused (401)", remedy: "check the key; or the name" });
  assert.deepEqual(problemAndRemedy({ message: "cancelled" }), { problem: "cancelled", remedy: null });
});

test("a tool call is named by its most telling argument, also when the input is JSON text that was cut", () => {
  assert.equal(inputSummary({ timeout: 5, command: "npm test" }), "npm test");
  assert.equal(inputSummary('{"task":"research alpha","label":"alpha"}'), "research alpha");
  assert.equal(inputSummary('{"task":"research al'), '{"task":"research al');
  assert.equal(inputSummary({}), "");
  assert.equal(oneLine("a\n  b c", 4), "a b…");
});

test("a session is named by its label, or by the part of its key that tells it apart", () => {
  const named = (key: string, kind: string, label: string | null = null, agent = "main"): string => sessionName({ key, kind, label, agent });
  assert.equal(named("agent:main:main", "main"), "Main");
  assert.equal(named("agent:work:main", "main", null, "work"), "work");
  assert.equal(named("agent:main:telegram:direct:42", "direct"), "telegram · 42");
  assert.equal(named("agent:main:telegram:direct:42", "direct", "Ada"), "Ada");
});
