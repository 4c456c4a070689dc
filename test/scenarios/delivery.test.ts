/** Results that leave the tree: to a callback, to the board, to a person who was away; each once, whatever fails. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import type { ApiEvent, Board, DeliveryList, MissedAnswer, ReportAnswer, SpawnAccepted, SpawnsAccepted } from "../../src/api/wire.ts";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";
import { startReceiver, type WebhookReceiver } from "../support/webhook-receiver.ts";

const SECRET = "a secret of sixteen or more";
const MAIN = "agent:main:main";

function webhookConfig(modelUrl: string, receiver: WebhookReceiver, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return standinConfig(modelUrl, { "deliveries.webhook.secret": SECRET, "deliveries.webhook.allowPrivate": [receiver.place], "deliveries.webhook.retryMs": 50, ...more });
}

/** The deliveries, once as many as that are over. */
async function over(gateway: Gateway, count: number): Promise<DeliveryList["deliveries"]> {
  for (let look = 0; look < 400; look++) {
    const { deliveries } = await gateway.api<DeliveryList>("GET", "/api/deliveries?limit=500");
    if (deliveries.filter(({ endedAt }) => endedAt !== null).length >= count) return deliveries;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the deliveries did not end in time");
}

test("a result is posted to its callback, signed, and once more under the same id after each failure until it is taken", async (t) => {
  const model = await startModel(t);
  const receiver = await startReceiver(t, (_one, nth) => (nth === 1 ? 503 : nth === 2 ? "hang up" : nth === 3 ? { status: 429, headers: { "retry-after": "0" } } : 204));
  const gateway = await startGateway(t, { config: webhookConfig(model.url, receiver) });
  const spawns = ["one", "two", "three"].map((label) => ({ task: `! say result of ${label}`, label, callback: `${receiver.url}/hook?key=1` }));
  const { spawns: all, batch } = await gateway.api<SpawnsAccepted>("POST", "/api/spawns", { spawns });
  const deliveries = await over(gateway, 3);

  assert.deepEqual(deliveries.map(({ state, attempts, httpStatus }) => ({ state, attempts, httpStatus })), Array(3).fill({ state: "delivered", attempts: 4, httpStatus: 204 }));
  assert.ok(deliveries.every(({ url }) => url === `${receiver.url}/hook`), "what stands behind the ? may be a secret");
  assert.equal(receiver.received.length, 12);
  for (const { deliveryId, taskId } of deliveries) {
    const copies = receiver.received.filter(({ headers }) => headers["idempotency-key"] === deliveryId);
    assert.equal(copies.length, 4);
    assert.equal(new Set(copies.map(({ text }) => text)).size, 1, "the same bytes at every attempt");
    assert.equal(copies[0]!.body.task["taskId"], taskId);
  }
  for (const { headers, text, path } of receiver.received) {
    const mac = createHmac("sha256", SECRET).update(`${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${text}`).digest("base64");
    assert.equal(headers["webhook-signature"], `v1,${mac}`);
    assert.equal(path, "/hook?key=1");
    assert.ok(Math.abs(Number(headers["webhook-timestamp"]) - Date.now() / 1000) < 60);
  }
  const results = new Set(receiver.received.map(({ body }) => String(body.task["result"])));
  assert.deepEqual([...results].toSorted(), ["result of one", "result of three", "result of two"]);
  assert.ok(all.every((one) => one.flowId === all[0]!.flowId) && receiver.received[0]!.body.task["batch"] === batch, "one batch is one flow");
});

test("a gateway that is killed between attempts, and during one, still delivers each result under one id", async (t) => {
  const model = await startModel(t);
  let phase: "failing" | "silent" | "taking" = "failing";
  const receiver = await startReceiver(t, () => (phase === "failing" ? 500 : phase === "silent" ? "silence" : 200));
  const gateway = await startGateway(t, { config: webhookConfig(model.url, receiver) });
  await gateway.api<SpawnsAccepted>("POST", "/api/spawns", { callback: `${receiver.url}/hook`, spawns: Array.from({ length: 5 }, (_, i) => ({ task: `! say r${i}`, label: `c${i}` })) });
  await receiver.came(7); // each of the five at least once, some again
  await gateway.kill9(); // between attempts
  phase = "silent";
  const before = receiver.received.length;
  await gateway.start();
  await receiver.came(before + 5);
  await gateway.kill9(); // while all five are on their way
  phase = "taking";
  await gateway.start();
  const deliveries = await over(gateway, 5);
  assert.deepEqual(deliveries.map(({ state }) => state), Array(5).fill("delivered"));
  const taken = receiver.received.slice(before + 5);
  assert.deepEqual(new Set(taken.map(({ headers }) => headers["idempotency-key"])).size, 5);
  assert.equal(taken.length, 5, "what was delivered is never posted again");
  assert.equal(new Set(receiver.received.map(({ headers }) => headers["idempotency-key"])).size, 5, "one id per result, over three starts");
  await gateway.restart();
  assert.equal(receiver.received.length, before + 10, "nor after another start");
});

test("a receiver that says no for good, redirects, or never answers is given up truthfully, and the person is told", async (t) => {
  const model = await startModel(t);
  const inside = await startReceiver(t, () => 200);
  const receiver = await startReceiver(t, ({ path }) => (path === "/gone" ? 410 : path === "/moved" ? { status: 307, headers: { location: `${inside.url}/secret` } } : path === "/down" ? 500 : "silence"));
  const gateway = await startGateway(t, { config: webhookConfig(model.url, receiver, { "deliveries.webhook.attempts": 2, "deliveries.webhook.timeoutSeconds": 1 }) });
  for (const path of ["gone", "moved", "down", "silent"]) await gateway.api("POST", "/api/spawns", { task: "! say done", label: path, parent: MAIN, callback: `${receiver.url}/${path}` }).catch(async () => {
    await gateway.ask("! say hello");
    await gateway.api("POST", "/api/spawns", { task: "! say done", label: path, parent: MAIN, callback: `${receiver.url}/${path}` });
  });
  const deliveries = await over(gateway, 4);
  const stateOf = (path: string): string[] => deliveries.filter(({ url }) => url.endsWith(`/${path}`)).map(({ state, attempts }) => `${state} ${attempts}`);
  assert.deepEqual([stateOf("gone"), stateOf("moved"), stateOf("down"), stateOf("silent")], [["rejected 1"], ["rejected 1"], ["rejected 2"], ["unknown 2"]]);
  assert.equal(inside.received.length, 0, "a redirect is not followed, so it leads nowhere by surprise");
  const notice = await gateway.waitEvent((event) => event.type === "notice" && event.data["code"] === "WEBHOOK_NOT_DELIVERED", { session: MAIN });
  assert.match(String(notice.data["text"]), /could not be posted/);

  const { deliveryId } = deliveries.find(({ url }) => url.endsWith("/gone"))!;
  assert.equal((await gateway.call("POST", "/api/deliveries/dlv_nothing/retry")).status, 404);
  await gateway.api("POST", `/api/deliveries/${deliveryId}/retry`);
  await over(gateway, 4);
  assert.ok(receiver.received.filter(({ headers }) => headers["idempotency-key"] === deliveryId).length >= 2, "under its old id");
});

test("a callback into the private network is refused at the spawn, unless it was allowed by name", async (t) => {
  const gateway = await startGateway(t);
  for (const callback of ["http://127.0.0.1:1/x", "http://169.254.169.254/latest", "http://[::ffff:7f00:1]/", "http://2130706433/", "http://localhost:9/", "ftp://example.org/", "http://user:pw@example.org/"]) {
    const { status, body } = await gateway.call("POST", "/api/spawns", { task: "say hi", callback });
    assert.deepEqual([status, body.code], [403, "ADDRESS_REFUSED"], callback);
  }
  assert.equal((await gateway.call("POST", "/api/spawns", { task: "say hi", delivery: "webhook" })).status, 400);
  assert.equal((await gateway.call("POST", "/api/spawns", { task: "say hi", delivery: "digest", callback: "https://example.org/" })).status, 400);
  assert.equal((await gateway.api<Board>("GET", "/api/board")).columns.every(({ total }) => total === 0), true, "nothing half done");
});

test("a batch is all or nothing, and the same key spawns it once, with or without a wait", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const spawns = Array.from({ length: 8 }, (_, i) => ({ task: i === 3 ? "! fail 400" : `! say r${i}`, label: `w${i}` }));
  assert.equal((await gateway.call("POST", "/api/spawns", { spawns: [...spawns, { task: "x", agent: "nobody" }] })).body.code, "AGENT_NOT_FOUND");
  assert.equal((await gateway.call("POST", "/api/spawns", { spawns: [] })).status, 400);
  assert.equal((await gateway.call("POST", "/api/spawns", { task: "a", spawns })).status, 400);
  const send = async (): Promise<SpawnsAccepted> => (await gateway.call<SpawnsAccepted>("POST", "/api/spawns", { spawns, wait: true }, { "idempotency-key": "night run" })).body;
  const [first, again] = await Promise.all([send(), send()]);
  assert.deepEqual(again.spawns.map(({ taskId }) => taskId), first.spawns.map(({ taskId }) => taskId));
  assert.deepEqual([first, again].map((one) => one.spawns.filter(({ duplicate }) => duplicate).length).toSorted(), [0, 8]);
  assert.deepEqual(first.spawns.map(({ task }) => task!.state), ["succeeded", "succeeded", "succeeded", "failed", "succeeded", "succeeded", "succeeded", "succeeded"]);
  assert.equal(first.spawns[4]!.task!.result, "r4");

  const report = await gateway.api<ReportAnswer>("GET", "/api/report");
  const batch = report.batches.find(({ name }) => name === first.batch)!;
  assert.deepEqual([batch.total, batch.succeeded, batch.failed, batch.completion], [8, 7, 1, 7 / 8]);
  assert.deepEqual(batch.failedTasks.map(({ label, state }) => [label, state]), [["w3", "failed"]]);
  assert.deepEqual([report.flows.length, report.days.length], [1, 1]);
  const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${gateway.token}` } })).text();
  for (const name of ["yard_announce_latency_seconds", "yard_spawn_wait_seconds", "yard_undelivered 0", "yard_delivery_retries", "yard_task_retries 0"]) assert.ok(metrics.includes(name), name);
});

test("each child's life is told in order: accepted, queued, started, ended, delivered; whatever way its result goes", async (t) => {
  const model = await startModel(t);
  const receiver = await startReceiver(t, () => 200);
  const gateway = await startGateway(t, { config: webhookConfig(model.url, receiver) });
  await gateway.ask("! say hello");
  const ways = [{ delivery: "digest" }, { delivery: "notify" }, { delivery: "board" }, { callback: receiver.url }];
  const spawned = await Promise.all(ways.map((way) => gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! say done", label: JSON.stringify(way), parent: MAIN, ...way })));
  const alone = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! say done" });
  for (const { taskId } of [...spawned, alone]) await gateway.waitEvent((event) => event.type === "task.delivered" && event.taskId === taskId);

  const lives = new Map<string, ApiEvent[]>();
  const last = await gateway.send("! say that is all");
  for await (const event of gateway.events()) {
    if (event.type.startsWith("task.")) lives.set(event.taskId!, [...(lives.get(event.taskId!) ?? []), event]);
    if (event.type === "reply" && (event.data["replyTo"] as string[]).includes(last.messageId)) break;
  }
  const by = (taskId: string): unknown => lives.get(taskId)!.at(-1)!.data["by"];
  for (const { taskId } of [...spawned, alone]) {
    assert.deepEqual(lives.get(taskId)!.map(({ type }) => type), ["task.accepted", "task.queued", "task.started", "task.ended", "task.delivered"]);
  }
  assert.deepEqual([...spawned.map(({ taskId }) => by(taskId)), by(alone.taskId)], ["digest", "notify", "board", "webhook", "task"]);

  const board = await gateway.api<Board>("GET", "/api/board?parent=agent:main:main");
  assert.deepEqual(board.columns.map(({ name, total }) => [name, total]), [["queued", 0], ["running", 0], ["waiting", 0], ["done", 4], ["failed", 0], ["cancelled", 0]]);
  assert.equal(board.columns[3]!.cards[0]!.result, "done");
});

test("a person who was away is told what finished meanwhile, once", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const { messageId } = await gateway.send("! say hello");
  await gateway.waitReply(messageId);
  const missed = (): Promise<MissedAnswer> => gateway.api("GET", `/api/sessions/${MAIN}/missed`);
  assert.deepEqual((await missed()).events, [], "nothing is missed by somebody who never looked");
  const { lastSeq } = await gateway.api<{ lastSeq: number }>("GET", `/api/sessions/${MAIN}`);
  await gateway.api("POST", `/api/sessions/${MAIN}/seen`, { seq: lastSeq });
  const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { task: "! say done", label: "tides", parent: MAIN, delivery: "notify", wait: true });
  await gateway.kill9();
  await gateway.start();
  const { events } = await missed();
  assert.deepEqual(events.map(({ type, taskId: id }) => [type, id]), [["task.ended", taskId], ["notice", taskId]]);
  await gateway.api("POST", `/api/sessions/${MAIN}/seen`, { seq: events.at(-1)!.seq });
  assert.deepEqual((await missed()).events, []);
});
