/** Stopping a tree leaves no process of it, however stubborn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiTask, CancelResult, FlowDetail, SpawnAccepted } from "../../src/api/wire.ts";
import { startGateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";
import { endMarked, marked, STUBBORN } from "../support/processes.ts";

/** What the contract allows. */
const GONE_AFTER_MAX_MS = 10_000;
const noProc = process.platform === "linux" ? false : "needs /proc";

test("cancel of a flow ends its commands within ten seconds, also those that ignore SIGTERM and leave their group", { skip: noProc }, async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": 2 }) });
  const mark = `scenario-${process.pid}-${Date.now()}`;
  t.after(() => endMarked(mark));
  const task = `! call exec ${JSON.stringify({ command: `: ${mark}; ${STUBBORN}` })} then say never`;
  const { flowId, taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task, label: "stubborn" });
  await until(() => marked(mark).length >= 2, 10_000);

  const cancelled = await gateway.api<CancelResult>("POST", `/api/flows/${flowId}/cancel`, {});
  assert.deepEqual([cancelled.cancelled, cancelled.tasks], [true, [taskId]]);
  assert.equal((await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`)).state, "cancelled");
  await until(() => marked(mark).length === 0, GONE_AFTER_MAX_MS);
});

test("what a killed gateway left running is gone within ten seconds of the next start", { skip: noProc }, async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const mark = `scenario-${process.pid}-${Date.now()}`;
  t.after(() => endMarked(mark));
  const { messageId } = await gateway.send(`! call exec ${JSON.stringify({ command: `: ${mark}; ${STUBBORN}` })} then echo`);
  await until(() => marked(mark).length >= 2, 10_000);
  await gateway.kill9();
  await gateway.start();
  await until(() => marked(mark).length === 0, GONE_AFTER_MAX_MS);
  assert.match(await gateway.waitReply(messageId), /outcome unknown/, "a command is not run a second time; the model is told");
});

for (const isKilled of [false, true]) {
  test(`cancel in the middle of a nested tree of stubborn commands leaves nothing of it after ten seconds${isKilled ? ", also when the gateway is killed right after" : ""}, and no late result changes anything`, { skip: noProc }, async (t) => {
    const model = await startModel(t);
    const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": 2 }) });
    const mark = `scenario-${process.pid}-${Date.now()}`;
    t.after(() => endMarked(mark));
    const leaf = `! call exec ${JSON.stringify({ command: `: ${mark}; ${STUBBORN}` })} then say never`;
    const quick = { task: "! say found", label: "quick" };
    const branch = `! call sessions_spawn ${JSON.stringify({ task: leaf })} x 2 & sessions_spawn ${JSON.stringify(quick)} then call sessions_yield {}`;
    const { messageId } = await gateway.send(`! call sessions_spawn ${JSON.stringify({ task: branch })} x 2 then call sessions_yield {}`);
    const { taskId } = await gateway.waitEvent((event) => event.type === "task.ended" && event.data["label"] === "quick");
    await until(() => marked(mark).length >= 8, 20_000);
    const { flowId } = await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`);

    const before = await gateway.api<FlowDetail>("GET", `/api/flows/${flowId}`);
    const cancelled = await gateway.api<CancelResult>("POST", `/api/flows/${flowId}/cancel`, {});
    const cancelledAt = performance.now();
    if (isKilled) {
      await gateway.kill9();
      await gateway.start();
    }
    await until(() => marked(mark).length === 0, GONE_AFTER_MAX_MS);
    t.diagnostic(`gone after ${Math.round(performance.now() - cancelledAt)} ms`);
    const after = await gateway.api<FlowDetail>("GET", `/api/flows/${flowId}`);
    const finished = before.tasks.filter(({ state }) => state === "succeeded").map((task) => task.taskId);
    assert.deepEqual([after.state, after.active, after.tasks.length], ["cancelled", 0, before.tasks.length]);
    for (const id of finished) assert.ok(cancelled.finished!.includes(id), "what had succeeded is named");
    assert.deepEqual(after.tasks.filter(({ state }) => state === "succeeded").map((task) => task.taskId), cancelled.finished, "and nothing else succeeded later");
    assert.equal(cancelled.tasks.length + cancelled.finished!.length, after.tasks.length);
    assert.match(await gateway.waitReply(messageId), /You said/, "the person is answered: what they asked for was stopped");
    assert.deepEqual((await gateway.api<CancelResult>("POST", `/api/flows/${flowId}/cancel`, {})).tasks, [], "a second cancel has nothing left to stop");
  });
}

async function until(isTrue: () => boolean, maxMs: number): Promise<void> {
  const since = performance.now();
  while (!isTrue()) {
    assert.ok(performance.now() - since < maxMs, `not within ${maxMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
