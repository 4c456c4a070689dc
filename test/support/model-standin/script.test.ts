import assert from "node:assert/strict";
import { test } from "node:test";
import { BadScript, fill, parseScript, parseStep, scriptIn } from "./script.ts";

test("a script is a line that begins with an exclamation mark and a verb, so ordinary shouting is none", () => {
  assert.equal(scriptIn("please\n! say hi"), "say hi");
  assert.equal(scriptIn("[12:03] [Ann] ! say hi"), "say hi");
  assert.equal(scriptIn("! wow, what a day"), null);
  assert.equal(scriptIn("call me! say hi"), null);
  assert.equal(scriptIn("! say a\n! say b"), "say a then say b");
});

test("a call ends its round, and a script inside its input is left alone", () => {
  assert.deepEqual(parseScript('wait 1s then call spawn {"task":"! wait 2s then say {ok}"} & look then say first this then that then echo'), [
    [
      { do: "wait", ms: 1000 },
      { do: "call", calls: [{ tool: "spawn", input: '{"task":"! wait 2s then say {ok}"}', repeat: 1 }, { tool: "look", input: "{}", repeat: 1 }] },
    ],
    [{ do: "say", text: "first this then that" }, { do: "echo" }],
  ]);
});

test("faults take their numbers in one order", () => {
  assert.deepEqual(parseStep("fail 429 after 2s times 1"), { do: "fail", status: 429, afterMs: 2000, times: 1 });
  assert.deepEqual(parseStep("cut 3"), { do: "cut", count: 3, times: Infinity });
  assert.throws(() => parseStep("fail soon"), BadScript);
  assert.throws(() => parseStep("dance"), BadScript);
});

test("placeholders are filled from the last results", () => {
  const seen = { user: "hello", results: ['{"runId":"a","in":{"runId":"b"}}', "plain"] };
  assert.equal(fill("<i> <user> <first runId> <all runId> <upper ok> <other>", seen, 3), '3 hello a ["a","b"] OK <other>');
});
