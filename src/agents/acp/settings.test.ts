import assert from "node:assert/strict";
import { test } from "node:test";
import { BadValue } from "../../base/setting.ts";
import { acpAgents } from "./settings.ts";

test("what a person wrote about a harness and nobody can read is refused with its name, so that a misspelled limit never means none", () => {
  assert.deepEqual(acpAgents.parse({ mine: { command: "/bin/mine", args: ["--acp"], memoryMb: 400 } }), { mine: { command: "/bin/mine", args: ["--acp"], memoryMb: 400 } });
  const refuses = (value: unknown, words: RegExp): void => assert.throws(() => acpAgents.parse(value), (cause) => cause instanceof BadValue && words.test(cause.expected));
  refuses({ mine: { comand: "x" } }, /mine has no field comand/);
  refuses({ mine: { memoryMb: 0 } }, /mine\.memoryMb/);
  refuses({ mine: { envFrom: ["A=B"] } }, /mine\.envFrom/);
  refuses({ "a:b": { command: "x" } }, /a:b/);
});
