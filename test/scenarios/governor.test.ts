/** Providers that refuse: calls wait, nothing fails, people go on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LanesAnswer } from "../../src/api/wire.ts";
import { startGateway } from "../support/gateway.ts";
import { startStandin } from "../support/model-standin/standin.ts";

const provider = (url: string, more: Readonly<Record<string, unknown>> = {}) => ({ api: "openai-completions", baseUrl: `${url}/v1`, apiKey: "good-1", models: ["m"], ...more });

test("a turn that waits for a wall lends its only slot, so a person's question to another provider is answered meanwhile", async (t) => {
  const [walled, open] = await Promise.all([startStandin({ faults: [{ step: "fail 529 after 6s times 1" }] }), startStandin()]);
  t.after(() => Promise.all([walled.close(), open.close()]));
  const gateway = await startGateway(t, {
    config: { "models.providers": { walled: provider(walled.url), open: provider(open.url) }, "agents.defaults.model": "walled/m", "messages.messageWaitMs": 0, "agents.defaults.maxConcurrent": 1 },
  });
  await gateway.call("PATCH", "/api/config", { "agents.list": [{ id: "other", model: "open/m" }] });
  const first = await gateway.send("hello", { session: "agent:main:main" });
  const parked = await gateway.waitEvent((event) => event.type === "turn.parked");
  assert.equal(parked.data["reason"], "wall");
  const { parked: calls, accounts } = await gateway.api<LanesAnswer>("GET", "/api/lanes");
  assert.equal(calls[0]?.session, "agent:main:main");
  assert.ok(calls[0].until > Date.now());
  assert.equal(accounts.find((account) => account.provider === "walled")?.state, "walled");
  assert.equal(await gateway.ask("and you?", { session: "agent:other:main" }), "You said: and you?");
  assert.equal(walled.stats().requests, 1, "the wall still stands");
  assert.equal(await gateway.waitReply(first.messageId), "You said: hello");
  await gateway.waitEvent((event) => event.type === "turn.resumed");
  assert.equal(walled.stats().requests, 2);
});

test("a gateway that is killed in the middle of a wall finds it again: nobody asks before its end, and the answer comes", async (t) => {
  const standin = await startStandin({ faults: [{ step: "fail 429 after 5s times 1" }] });
  t.after(() => standin.close());
  const gateway = await startGateway(t, { config: { "models.providers": { p: provider(standin.url) }, "agents.defaults.model": "p/m", "messages.messageWaitMs": 0 } });
  const { messageId } = await gateway.send("hello");
  const parked = await gateway.waitEvent((event) => event.type === "turn.parked");
  await gateway.kill9();
  await gateway.start();
  const { accounts } = await gateway.api<LanesAnswer>("GET", "/api/lanes");
  // On a machine that is slow to start, the wall may be over by now.
  if (Date.now() < Number(parked.data["until"])) assert.equal(accounts[0]?.state, "walled");
  assert.equal(await gateway.waitReply(messageId), "You said: hello");
  const [refused, answered] = standin.log();
  assert.equal(standin.stats().requests, 2);
  assert.ok(answered!.arrivedAt - refused!.arrivedAt >= 5000);
});

test("one of three credentials is refused: twelve people are answered, and the operator is told once", async (t) => {
  const standin = await startStandin({ keys: ["good-1", "good-3"] });
  t.after(() => standin.close());
  const gateway = await startGateway(t, {
    config: { "models.providers": { p: provider(standin.url, { apiKey: undefined, accounts: [{ name: "a", apiKey: "good-1" }, { name: "b", apiKey: "bad-2" }, { name: "c", apiKey: "good-3" }] }) }, "agents.defaults.model": "p/m", "messages.messageWaitMs": 0 },
  });
  const people = Array.from({ length: 12 }, (_, person) => gateway.ask(`hello ${person}`, { session: `agent:main:web:direct:${person}` }));
  assert.deepEqual(await Promise.all(people), people.map((_, person) => `You said: hello ${person}`));
  const notice = await gateway.waitEvent((event) => event.type === "notice" && event.data["code"] === "PROVIDER_AUTH", { session: "agent:main:main" });
  assert.match(String(notice.data["text"]), /account b refused its credential \(401\); the other accounts go on/);
  assert.ok(!JSON.stringify(notice).includes("bad-2"));
  assert.equal(standin.log().filter((request) => request.status === 401).length <= 4, true, "only those that were on their way at the same moment");
  const { entries } = await gateway.api<{ entries: { text: string }[] }>("GET", "/api/sessions/agent%3Amain%3Amain/history");
  assert.deepEqual(entries, [], "and nothing of it is in the conversation");
});

test("a model that cannot be had is answered for by the next, and the person is told once", async (t) => {
  const [down, up] = await Promise.all([startStandin({ faults: [{ step: "fail 529 after 60s times 1000" }] }), startStandin()]);
  t.after(() => Promise.all([down.close(), up.close()]));
  const gateway = await startGateway(t, { config: { "models.providers": { down: provider(down.url), up: provider(up.url) }, "agents.defaults.model": "down/m", "agents.defaults.fallbackModels": ["up/m"], "messages.messageWaitMs": 0 } });
  assert.equal(await gateway.ask("hello"), "You said: hello");
  assert.equal(await gateway.ask("again"), "You said: again");
  const told: string[] = [];
  const last = await gateway.send("the end");
  await gateway.waitReply(last.messageId);
  for await (const event of gateway.events("agent:main:main", 0)) {
    if (event.type === "notice" && event.data["code"] === "FALLBACK_MODEL") told.push(String(event.data["text"]));
    if (event.type === "reply" && event.data["text"] === "You said: the end") break;
  }
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^up\/m answers instead of down\/m: /);
  assert.equal(down.stats().requests, 1, "the wall is known: nobody runs into it again");
});

test("a parked turn can be stopped at once", async (t) => {
  const standin = await startStandin({ faults: [{ step: "fail 429 after 60s times 1" }] });
  t.after(() => standin.close());
  const gateway = await startGateway(t, { config: { "models.providers": { p: provider(standin.url) }, "agents.defaults.model": "p/m", "messages.messageWaitMs": 0 } });
  await gateway.send("hello");
  await gateway.waitEvent((event) => event.type === "turn.parked");
  await gateway.call("POST", "/api/sessions/agent%3Amain%3Amain/cancel");
  const ended = await gateway.waitEvent((event) => event.type === "turn.ended");
  assert.equal(ended.data["outcome"], "cancelled");
  assert.deepEqual((await gateway.api<LanesAnswer>("GET", "/api/lanes")).parked, []);
});

test("fifty children under a limit and a wall: none fails, and none comes while the wall stands", async (t) => {
  const standin = await startStandin();
  t.after(() => standin.close());
  const limits = { requestsPerMinute: 900 };
  const gateway = await startGateway(t, { config: { "models.providers": { p: provider(standin.url, { limits }) }, "agents.defaults.model": "p/m", "agents.defaults.subagents.maxConcurrent": 50 } });
  const spawned = await Promise.all(Array.from({ length: 50 }, (_, n) => gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: `child ${n}`, label: `child-${n}` })));
  while (standin.stats().requests < 10) await new Promise((resolve) => setTimeout(resolve, 20));
  standin.configure({ faults: [{ step: "fail 529 after 3s times 3" }] });
  for (const { taskId } of spawned) await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId);
  const tasks = await Promise.all(spawned.map(({ taskId }) => gateway.api<{ state: string }>("GET", `/api/tasks/${taskId}`)));
  assert.deepEqual(new Set(tasks.map(({ state }) => state)), new Set(["succeeded"]));
  const log = standin.log();
  const wall = log.find(({ status }) => status === 529)!;
  const during = log.filter(({ arrivedAt }) => arrivedAt > wall.arrivedAt + 500 && arrivedAt < wall.arrivedAt + 3000);
  assert.deepEqual(during.map(({ arrivedAt }) => arrivedAt - wall.arrivedAt), []);
});

test("a provider that refuses every other call fails nobody: twenty agents with three calls each", async (t) => {
  const standin = await startStandin({ faults: [{ step: "fail 429 after 100ms times 1000000", probability: 0.5 }] });
  t.after(() => standin.close());
  const gateway = await startGateway(t, { config: { "models.providers": { p: provider(standin.url) }, "agents.defaults.model": "p/m", "agents.defaults.subagents.maxConcurrent": 20, "messages.messageWaitMs": 0 } });
  const task = '! call list {"path":"."} then call list {"path":"."} then say done';
  const spawned = await Promise.all(Array.from({ length: 20 }, (_, n) => gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: `agent ${n}\n${task}`, label: `agent-${n}` })));
  for (const { taskId } of spawned) await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: 120_000 });
  const tasks = await Promise.all(spawned.map(({ taskId }) => gateway.api<{ state: string }>("GET", `/api/tasks/${taskId}`)));
  assert.deepEqual(new Set(tasks.map(({ state }) => state)), new Set(["succeeded"]));
  assert.ok(standin.log().filter(({ status }) => status === 429).length > 20, "it did refuse");
});

test("twelve parked children and a kill in the middle of the wall: afterwards they go on in the order in which they began, one first and then more, none before its end", async (t) => {
  const standin = await startStandin({ firstByteMs: 200, totalMs: 300, faults: [{ step: "fail 529 after 8s times 1" }] });
  t.after(() => standin.close());
  const gateway = await startGateway(t, { config: { "models.providers": { p: provider(standin.url) }, "agents.defaults.model": "p/m", "agents.defaults.subagents.maxConcurrent": 12 } });
  const names: string[] = [];
  for (let n = 0; n < 12; n++) {
    const { taskId } = await gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: `child ${n}`, label: `child-${n}` });
    await gateway.waitEvent((event) => event.type === "turn.started" && event.taskId === taskId);
    if (n === 0) while (standin.stats().requests < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    names.push(taskId);
  }
  while ((await gateway.api<LanesAnswer>("GET", "/api/lanes")).parked.length < 12) await new Promise((resolve) => setTimeout(resolve, 20));
  await gateway.kill9();
  await gateway.start();
  for (const taskId of names) await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: 60_000 });
  const [refused, ...answered] = standin.log();
  assert.equal(refused!.status, 529);
  const came = answered.map(({ userTexts, arrivedAt }) => ({ child: Number(/child (\d+)/.exec(userTexts.join())![1]), arrivedAt }));
  assert.deepEqual(came.map(({ child }) => child).sort((a, b) => a - b), names.map((_, n) => n), "each once");
  // Those that are let through together may overtake each other on their way.
  const wrong = came.flatMap((early, n) => came.slice(n + 1).filter((late) => late.child < early.child && late.arrivedAt - early.arrivedAt > 200).map((late) => `${late.child} after ${early.child}`));
  assert.deepEqual(wrong, [], "in their order");
  assert.ok(answered[0]!.arrivedAt - refused!.arrivedAt >= 8_000);
  assert.ok(answered[1]!.arrivedAt >= answered[0]!.firstByteAt!, "one goes first, and the beginning of its answer is awaited");
  for (const [n, { arrivedAt }] of answered.entries()) {
    const taken = answered.filter(({ firstByteAt }) => firstByteAt! <= arrivedAt).length;
    const unanswered = answered.slice(0, n).filter(({ firstByteAt }) => firstByteAt! > arrivedAt).length;
    assert.ok(unanswered <= taken, `and each that is taken lets one more in: ${unanswered} beside it when ${taken} were taken`);
  }
});
