/** Traces: one for each message, from its arrival to the delivery of what its children found out, and no words in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpawnAccepted, TokenMade } from "../../src/api/wire.ts";
import { startGateway, standinConfig } from "../support/gateway.ts";
import { harnessConfig, scripted, workFolder } from "../support/harness.ts";
import { startModel } from "../support/model.ts";
import { startOtlpReceiver, type ReceivedSpan } from "../support/otlp-receiver.ts";

const SECRET_WORDS = "the-word-of-the-person";

const traced = (model: string, receiver: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => standinConfig(model, { "telemetry.otlp.endpoint": receiver, "agents.defaults.subagents.gatherMs": 0, ...more });
const named = (spans: readonly ReceivedSpan[], name: string | RegExp): ReceivedSpan[] => spans.filter((span) => (typeof name === "string" ? span.name === name : name.test(span.name)));

test("one message with a tool and two children is one trace: each turn, model call, tool, spawn and delivery stands where it belongs, with the tokens that the provider counted and no word of anybody", async (t) => {
  const [model, receiver] = await Promise.all([startModel(t), startOtlpReceiver(t)]);
  const gateway = await startGateway(t, { config: traced(model.url, receiver.url) });
  const script = `! call read {"path":"${SECRET_WORDS}.md"} then call sessions_spawn {"task":"! call list {\\"path\\":\\".\\"} then say ${SECRET_WORDS} <i>","label":"c<i>"} x 2 then call sessions_yield {} then say all in`;
  const { messageId } = await gateway.send(`${SECRET_WORDS}\n${script}`);
  await gateway.waitEvent(({ type, data }) => type === "reply" && data["text"] === "all in");
  await receiver.until((spans) => named(spans, "deliver digest").length === 2 && named(spans, "invoke_agent main").length === 4);
  const { spans } = receiver;

  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1, "all of it is one trace");
  for (const { traceId, spanId, startMs, endMs } of spans) {
    assert.match(traceId, /^[0-9a-f]{32}$/);
    assert.match(spanId, /^[0-9a-f]{16}$/);
    assert.ok(startMs <= endMs && Math.abs(endMs - Date.now()) < 600_000);
  }
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  assert.equal(byId.size, spans.length, "no span is told twice");
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined);
  assert.deepEqual(roots.map(({ name, attributes }) => [name, attributes["yard.message.id"]]), [["message api", messageId]]);
  assert.deepEqual(spans.filter(({ parentSpanId }) => parentSpanId !== undefined && !byId.has(parentSpanId)), [], "whatever stands above a span is there");
  const parentOf = (span: ReceivedSpan): ReceivedSpan => byId.get(span.parentSpanId!)!;

  const tasks = named(spans, "spawn main");
  assert.equal(tasks.length, 2);
  for (const task of tasks) assert.deepEqual([parentOf(task).name, task.attributes["yard.task.state"]], ["invoke_agent main", "succeeded"]);
  const childTurns = named(spans, "invoke_agent main").filter((turn) => tasks.includes(parentOf(turn)));
  assert.equal(childTurns.length, 2);
  const [first, told] = named(spans, "invoke_agent main").filter((turn) => parentOf(turn) === roots[0]).sort((a, b) => a.startMs - b.startMs) as [ReceivedSpan, ReceivedSpan];
  assert.deepEqual([first.attributes["yard.turn.outcome"], told.attributes["yard.turn.outcome"]], ["yielded", "done"]);
  assert.deepEqual(new Set(told.links.map(({ spanId }) => spanId)), new Set(tasks.map(({ spanId }) => spanId)), "the turn that is told follows from the children");
  assert.deepEqual(told.events.map(({ name }) => name), ["reply"]);

  const tools = named(spans, /^execute_tool /);
  assert.deepEqual(tools.map((tool) => tool.attributes["gen_ai.tool.name"]).sort(), ["list", "list", "read", "sessions_spawn", "sessions_spawn", "sessions_yield"]);
  assert.deepEqual(tools.filter(({ error }) => error !== null).map((tool) => tool.attributes["gen_ai.tool.name"]), ["read"], "the file that is not there");
  const calls = named(spans, "chat m");
  assert.equal(calls.length, (await model.stats()).requests);
  for (const call of calls) {
    assert.equal(call.kind, 3);
    assert.match(parentOf(call).name, /^invoke_agent /);
    assert.deepEqual([call.attributes["gen_ai.operation.name"], call.attributes["gen_ai.provider.name"], call.attributes["gen_ai.request.model"]], ["chat", "standin", "m"]);
  }
  const logged = (await model.log()).reduce((sum, { usage }) => sum + usage!.input, 0);
  assert.equal(calls.reduce((sum, call) => sum + Number(call.attributes["gen_ai.usage.input_tokens"]), 0), logged);

  const sent = receiver.requests.map(({ body }) => body).join("\n");
  assert.ok(!sent.includes(SECRET_WORDS) && !sent.includes("test-key") && !sent.includes("all in"), "no words, no keys");
  assert.ok(receiver.requests.every(({ path, headers }) => path === "/v1/traces" && headers["content-type"] === "application/json"));
});

test("a call through the proxy, a failed call and a parked one are in traces, with what was waited for and why it failed", async (t) => {
  const [model, receiver] = await Promise.all([startModel(t), startOtlpReceiver(t)]);
  const gateway = await startGateway(t, { config: traced(model.url, receiver.url, { "telemetry.otlp.headers": { "x-team": "yard" } }) });
  const { secret } = await gateway.api<TokenMade>("POST", "/api/tokens", { scope: "proxy" });
  const answer = await fetch(`${gateway.url}/proxy/openai/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${secret}` }, body: JSON.stringify({ model: "m", stream: true, stream_options: { include_usage: true }, messages: [{ role: "user", content: `! say ${SECRET_WORDS}` }] }) });
  assert.match(await answer.text(), /the-word/);
  await assert.rejects(gateway.ask(`! fail 400`));
  await gateway.ask("! fail 429 after 1s times 1 then say after all", { session: "agent:main:api:direct:2" });
  await receiver.until((spans) => named(spans, "chat m").length === 3);
  const [proxied, failed, parked] = named(receiver.spans, "chat m") as [ReceivedSpan, ReceivedSpan, ReceivedSpan];
  assert.deepEqual([proxied.attributes["yard.proxy"], proxied.attributes["http.response.status_code"], proxied.parentSpanId], [true, 200, undefined]);
  assert.ok(Number(proxied.attributes["gen_ai.usage.output_tokens"]) > 0);
  assert.equal(failed.error, "PROVIDER_REJECTED");
  assert.deepEqual(parked.events.map(({ name }) => name), ["parked", "resumed"]);
  assert.equal(parked.events[0]!.attributes["yard.parked.reason"], "wall");
  await receiver.until((spans) => named(spans, "invoke_agent main").length === 2);
  assert.equal(named(receiver.spans, "message api").find(({ error }) => error !== null)!.error, "PROVIDER_REJECTED");
  assert.ok(receiver.requests.every(({ headers }) => headers["x-team"] === "yard"));
  assert.ok(!JSON.stringify(await gateway.api("GET", "/api/config")).includes('"yard"'), "headers may hold a credential");
});

test("the model calls of a coding agent that is proxied stand below the turn that it works on", async (t) => {
  const [model, receiver] = await Promise.all([startModel(t), startOtlpReceiver(t)]);
  const cwd = workFolder(t);
  const agent = scripted(cwd) as { env: Record<string, string> };
  const agents = { scripted: { ...agent, proxy: true, env: { ...agent.env, MODEL_URL: "{proxy}/openai/v1", MODEL_KEY: "{token}" } } };
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, traced(model.url, receiver.url, { "acp.agents": agents })) });
  const { taskId } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify([{ model: "! say from the model" }]) });
  await receiver.until((spans) => named(spans, "spawn scripted").length === 1 && named(spans, "chat m").length === 1 && named(spans, "invoke_agent scripted").length === 1);
  const [[task], [turn], [call]] = ["spawn scripted", "invoke_agent scripted", "chat m"].map((name) => named(receiver.spans, name)) as [ReceivedSpan[], ReceivedSpan[], ReceivedSpan[]];
  assert.equal(task!.attributes["yard.task.id"], taskId);
  assert.deepEqual([task!.parentSpanId, turn!.parentSpanId, call!.parentSpanId], [undefined, task!.spanId, turn!.spanId], "a child that a program started is the root");
  assert.equal(new Set([task, turn, call].map((span) => span!.traceId)).size, 1);
  assert.equal(call!.attributes["gen_ai.conversation.id"], turn!.attributes["gen_ai.conversation.id"]);
});

test("a restart in the middle of a turn does not tear its trace, and a collector that is away is caught up with", async (t) => {
  const [model, receiver] = await Promise.all([startModel(t), startOtlpReceiver(t)]);
  receiver.answer(503);
  const gateway = await startGateway(t, { config: traced(model.url, receiver.url) });
  const { messageId } = await gateway.send('! call list {"path":"."} then wait 2s then say done');
  while ((await model.stats()).requests < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  await gateway.kill9();
  await gateway.start();
  assert.equal(await gateway.waitReply(messageId), "done");
  receiver.answer(200);
  await receiver.until((spans) => named(spans, "message api").length === 1 && named(spans, "chat m").length === 1);
  const message = named(receiver.spans, "message api")[0]!;
  const [call] = named(receiver.spans, "chat m");
  const [turn] = named(receiver.spans, "invoke_agent main");
  assert.deepEqual([call!.traceId, call!.parentSpanId, turn!.parentSpanId], [message.traceId, turn!.spanId, message.spanId]);
  assert.ok(turn!.endMs - turn!.startMs >= 2_000, "the turn is told from its first start");
});

test("words go along when they are asked for, with credentials masked; and nothing is sent any more once the address is taken back", async (t) => {
  const [model, receiver] = await Promise.all([startModel(t), startOtlpReceiver(t)]);
  const gateway = await startGateway(t, { config: traced(model.url, receiver.url, { "telemetry.otlp.contents": true }) });
  await gateway.ask('! call write {"path":"a.txt","content":"key sk-abcdefghijklmnopqrstuv"} then say written');
  await receiver.until((spans) => named(spans, "execute_tool write").length === 1);
  const [tool] = named(receiver.spans, "execute_tool write");
  assert.match(String(tool!.attributes["gen_ai.tool.call.arguments"]), /"path":"a.txt".*\[secret\]/);
  await gateway.call("PATCH", "/api/config", { "telemetry.otlp.endpoint": "" });
  const before = receiver.requests.length;
  await gateway.ask("! say quiet");
  assert.equal(await gateway.stop(), 0);
  assert.equal(receiver.requests.length, before);
});
