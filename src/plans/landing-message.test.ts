import assert from "node:assert/strict";
import test from "node:test";
import { GATEWAY_AUTHOR, type Commit } from "../model/workspace.ts";
import { landingMessage } from "./landing-message.ts";
import { readPlan } from "./read-plan.ts";

const [task] = readPlan("PLAN.md", "# P\n### auth command (owns: src/auth.ts)\n- [ ] Implement it\n- [ ] Test it\n").tasks;

function commit(subject: string, more: Partial<Commit> = {}): Commit {
  return { id: "1", parents: ["0"], at: 0, author: "Agent", subject, body: "", ...more };
}

test("one commit of the agent keeps its words, without the lines that were for the gateway", () => {
  assert.equal(landingMessage(task!, [commit("auth command", { author: GATEWAY_AUTHOR }), commit("feat: implement auth command", { body: "Tokens live an hour.\n\nSteps: 1, 2\nYard-Signal: DONE" })]), "feat: implement auth command\n\nTokens live an hour.");
  assert.equal(landingMessage(task!, [commit("feat: implement auth command")]), "feat: implement auth command\n\n- Implement it\n- Test it");
});

test("several commits land under the plan's words, and what was squashed is listed, oldest first", () => {
  const merged = commit("Merge main", { parents: ["1", "2"] });
  assert.equal(landingMessage(task!, [commit("fix it"), merged, commit("Revert \"try\""), commit("try")]), "auth command\n\n- Implement it\n- Test it\n\n* try\n* Revert \"try\"\n* fix it");
  assert.equal(landingMessage(task!, []), "auth command\n\n- Implement it\n- Test it");
});
