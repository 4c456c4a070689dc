/** Harnesses through the real program: a scripted one works on children, and everything it does is known and bounded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway } from "../support/gateway.ts";
import { harnessConfig, workFolder } from "../support/harness.ts";

test("a harness works on a child like an agent of our own: its words are the result, its tools are events and history", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd) });
  const answer = await gateway.api<{ task: { state: string; result: string }; childSessionKey: string }>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, wait: true, task: JSON.stringify([{ say: "Looking. " }, { tool: { id: "t1", name: "Grep", input: { q: "x" }, output: "two hits" } }, { say: "Found two." }]) });
  assert.equal(answer.task.state, "succeeded", JSON.stringify(answer));
  assert.equal(answer.task.result, "Found two.");
});
