/** Cancels that come in the very moment in which the work ends: what is said of them is what happened. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiTask, CancelResult } from "../../src/api/wire.ts";
import { seededRandom } from "../../src/base/ids.ts";
import { startGateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const RACES = 60;
const WORK_MS = 60;
/** Cancels come within this long after the spawn: some before, some at, some after the end. */
const CANCEL_WITHIN_MS = 250;

test("a cancel that races with the end says what really became of the work, to its caller, in the record and to the parent", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.maxConcurrent": 16, "agents.defaults.subagents.maxChildrenPerAgent": 100, "agents.defaults.subagents.gatherMs": 0 }) });
  await gateway.ask("! say ready", { session: "agent:main:main" });
  const random = seededRandom(7);
  const outcomes = await Promise.all(
    Array.from({ length: RACES }, async (_none, n) => {
      const { taskId } = await gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: `! wait ${WORK_MS}ms then say result ${n}`, label: `race ${n}`, parent: "agent:main:main" });
      await new Promise((resolve) => setTimeout(resolve, (random(1)[0]! / 255) * CANCEL_WITHIN_MS));
      const answer = await gateway.api<CancelResult>("POST", `/api/tasks/${taskId}/cancel`, {});
      const saidStopped = answer.tasks.includes(taskId);
      const { state } = await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`);
      assert.equal(state, saidStopped ? "cancelled" : "succeeded", `race ${n}: the cancel answered ${JSON.stringify(answer)}`);
      return { taskId, state };
    }),
  );
  const events = [];
  for await (const event of gateway.events("agent:main:main")) {
    if (event.type !== "task.ended") continue;
    events.push({ taskId: event.taskId!, state: String(event.data["state"]) });
    if (events.length === RACES) break;
  }
  const byId = (a: { taskId: string }, b: { taskId: string }): number => a.taskId.localeCompare(b.taskId);
  assert.deepEqual(events.sort(byId), outcomes.sort(byId), "each child has one end, and it is the one that was answered");
  // Both ways were met, or nothing was raced with.
  t.diagnostic(`${outcomes.filter(({ state }) => state === "cancelled").length} of ${RACES} were stopped`);
  assert.ok(outcomes.some(({ state }) => state === "cancelled"));
});
