/** The first thing that a new person tries: no key, no setting, two researches side by side. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiTask, SpawnAccepted, TaskList } from "../../src/api/wire.ts";
import { isReplyTo, startGateway, standinConfig } from "../support/gateway.ts";
import { wasTooBusy, watchMachine } from "../support/machine-load.ts";
import { startModel } from "../support/model.ts";

test("without any key two researches run side by side, the person is answered meanwhile, and the summary comes once", async (t) => {
  const gateway = await startGateway(t);
  const { messageId, session } = await gateway.send("research solar and research wind, then summarise");
  const started = await gateway.waitReply(messageId);
  assert.match(started, /started 2 researches in the background: solar, wind/);

  const askedAt = performance.now();
  const lost = watchMachine();
  assert.match(await gateway.ask("what is running?"), /^Running in the background: 2\n- solar: running for \S+ m?s\n- wind: running for \S+ m?s$/, "one answer, and nothing of what passed between the gateway and its agent");
  const tookMs = performance.now() - askedAt;
  t.diagnostic(`the question took ${Math.round(tookMs)} ms`);
  assert.ok(tookMs < 500 || wasTooBusy(lost()), `the question took ${Math.round(tookMs)} ms`);

  const digest = await gateway.waitEvent((event) => event.type === "reply" && /2 background tasks are over/.test(String(event.data["text"])));
  assert.match(String(digest.data["text"]), /solar succeeded[\s\S]*wind succeeded/);
  const { tasks } = await gateway.api<TaskList>("GET", `/api/tasks?parent=${encodeURIComponent(session)}`);
  assert.deepEqual(tasks.map((task) => task.state), ["succeeded", "succeeded"]);
  const [wind, solar] = tasks as [ApiTask, ApiTask];
  assert.ok(wind.startedAt! < solar.endedAt! && solar.startedAt! < wind.endedAt!, "they overlapped");

  await gateway.ask("hello");
  let digests = 0;
  for await (const event of gateway.events(session)) {
    if (event.type === "reply" && /background tasks are over/.test(String(event.data["text"]))) digests++;
    if (event.type === "reply" && String(event.data["text"]).startsWith("Hello.")) break;
  }
  assert.equal(digests, 1);
});

test("a program spawns a child without any turn of a parent and waits for its result", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const waited = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! wait 50ms then say the sun is hot", label: "sun", wait: true });
  assert.deepEqual([waited.status, waited.task!.state, waited.task!.result, waited.task!.label], ["accepted", "succeeded", "the sun is hot", "sun"]);
  const again = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! say 1", idempotencyKey: "k" });
  assert.equal((await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! say 1", idempotencyKey: "k" })).taskId, again.taskId);
  const given = await gateway.call<SpawnAccepted>("POST", "/api/spawns", { task: "! wait 1m then say late", wait: true, waitSeconds: 1 });
  assert.equal(given.body.task!.state, "running", "the wait is over, the child is not");
});

test("a turn that waits for its children answers its own message with what they found", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.gatherMs": 0 }) });
  const { messageId } = await gateway.send('! call sessions_spawn {"task":"! wait 50ms then say part <i>","label":"part <i>"} x 3 then call sessions_yield {"waitFor":"all"}');
  const reply = await gateway.waitEvent((event) => isReplyTo(event, messageId));
  assert.match(String(reply.data["text"]), /results of 3 background tasks/);
  const { problems } = await model.stats();
  assert.equal(problems, 0);
});
