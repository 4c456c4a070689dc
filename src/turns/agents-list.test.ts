import assert from "node:assert/strict";
import { test } from "node:test";
import { BadValue } from "../base/setting.ts";
import { agentIds, agentsList, findAgent } from "./agents-list.ts";

test("with no list there is one agent, main, so that a fresh install answers", () => {
  assert.deepEqual(agentIds([]), ["main"]);
  assert.deepEqual(findAgent([], "main"), { id: "main" });
  assert.equal(findAgent([], "other"), null);
});

test("an entry for main replaces what is built in, and main stays first", () => {
  const list = agentsList.parse([{ id: "writer" }, { id: "main", model: "mock/large" }]);
  assert.deepEqual(agentIds(list), ["main", "writer"]);
  assert.equal(findAgent(list, "main")?.model, "mock/large");
});

test("a full entry comes back as it was written", () => {
  const entry = { id: "a", model: "p/m", workspace: "/w", prompt: "Be short.", tools: { allow: ["read*"], deny: ["exec"] }, subagents: { model: "p/s", allowAgents: ["b"] } };
  assert.deepEqual(agentsList.parse([entry]), [entry]);
});

test("a misspelled field is refused and named, so that a limit is never silently absent", () => {
  const refused = (value: unknown, words: RegExp) =>
    assert.throws(() => agentsList.parse(value), (error) => error instanceof BadValue && words.test(error.expected));
  refused([{ id: "a", tool: {} }], /\[0\] has no field tool/);
  refused([{ id: "a", tools: { denied: [] } }], /\[0\]\.tools has no field denied/);
  refused([{ id: "a:b" }], /\[0\]\.id/);
  refused([{ id: "a" }, { id: "a" }], /a stands twice/);
  refused([{ id: "a", model: 3 }], /\[0\]\.model/);
  refused("a", /a list/);
});
