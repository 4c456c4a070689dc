import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../model/faults.ts";
import { readFlags } from "./command-flags.ts";

const KNOWN = { bind: ["here", "off"], cwd: null, label: null } as const;

test("flags stand before or behind the first word, and the rest keeps its own blanks and dashes", () => {
  assert.deepEqual(readFlags("claude --bind here --label 'two words' fix it --now  please", KNOWN), { flags: { bind: "here", label: "two words" }, rest: "claude fix it --now  please" });
  assert.deepEqual(readFlags("--cwd=/work claude", KNOWN), { flags: { cwd: "/work" }, rest: "claude" });
  assert.deepEqual(readFlags("claude fix --bind", KNOWN), { flags: {}, rest: "claude fix --bind" });
  assert.deepEqual(readFlags("--bind off -- --bind here", KNOWN).rest, "--bind here");
});

test("a flag that is not known, or has no fitting value, is refused by its name", () => {
  for (const text of ["claude --bnd here", "claude --bind there", "claude --bind"]) {
    assert.throws(() => readFlags(text, KNOWN), (thrown) => thrown instanceof Fault && thrown.code === "WRONG_USE" && /--b(i?)nd/.test(thrown.message), text);
  }
});
