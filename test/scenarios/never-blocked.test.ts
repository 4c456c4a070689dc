/** One person who does not wait: quick questions, corrections, second thoughts, lost connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiEvent, History, MessageAccepted } from "../../src/api/wire.ts";
import { NoReply, startGateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const SESSION = "agent:main:main";

test("a quick question while a long turn runs is answered after foregroundMs; the long answer comes once, to its own message", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "messages.foregroundMs": 1000 }) });
  const long = await gateway.send("! wait 5s then say the analysis");
  const quick = await Promise.all(["! say one", "! say two"].map(async (text) => {
    const sentAt = performance.now();
    return { text: await gateway.ask(text), ms: performance.now() - sentAt };
  }));
  assert.deepEqual(quick.map(({ text }) => text), ["one", "two"]);
  assert.ok(quick.every(({ ms }) => ms < 4000), `they took ${quick.map(({ ms }) => Math.round(ms)).join(", ")} ms`);
  assert.equal(await gateway.waitReply(long.messageId), "the analysis");

  const events = await eventsUntil(gateway.events(SESSION), (event) => event.type === "turn.ended" && (event.data["messageIds"] as string[]).includes(long.messageId));
  assert.deepEqual(events.filter((event) => event.data["code"] === "PROMOTED").map((event) => event.data["handle"]), ["T1"], "one notice with a handle");
  assert.equal(events.filter((event) => event.type === "reply" && event.data["text"] === "the analysis").length, 1);
  assert.match(await gateway.ask("! say and now"), /and now/);
  const { problems } = await model.stats();
  assert.equal(problems, 0, "every history was one that a real provider takes");
});

test("five independent questions at once in mode parallel are answered side by side with the settings as they come, each to its own message, and the next turn knows all five", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "messages.queue.mode": "parallel" }) });
  await gateway.ask("! say ready");
  const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => gateway.ask(`Question number ${n}?\n! wait 2s then say answer ${n}`)));
  assert.deepEqual(answers, [1, 2, 3, 4, 5].map((n) => `answer ${n}`));
  assert.equal((await model.stats()).inFlightMax, 5, "all ran at the same time");
  assert.equal(await gateway.ask("! say I know them"), "I know them");
  const told = (await model.log()).at(-1)!;
  assert.equal(told.turns, 7, "the transcript has every message, in order");
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(SESSION)}/history?limit=100`);
  for (const n of [1, 2, 3, 4, 5]) {
    const asked = entries.find(({ role, text }) => role === "user" && text.endsWith(`answer ${n}`))!;
    assert.deepEqual(entries.filter(({ role, text }) => role === "assistant" && text === `answer ${n}`).map(({ replyTo }) => replyTo), [[asked.messageId!]]);
  }
  assert.equal((await model.stats()).problems, 0);
});

test("a correction that comes at once is read together with what it corrects", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "messages.messageWaitMs": 4000 }) });
  const first = await gateway.send("Book 2pm tomorrow");
  await new Promise((resolve) => setTimeout(resolve, 150));
  const second = await gateway.send("Wait, make that 3pm");
  await gateway.waitReply(second.messageId);
  const log = await model.log();
  assert.equal(log.length, 1, "one request");
  assert.deepEqual(log[0]!.userTexts, ["Book 2pm tomorrow\nWait, make that 3pm"]);
  await gateway.waitReply(first.messageId);
});

test("a message that is sent again after a lost connection is accepted once and answered once", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const [one, other] = await Promise.all([gateway.send("! say once", { clientMessageId: "c1" }), gateway.send("! say once", { clientMessageId: "c1" })]);
  assert.equal(one.messageId, other.messageId);
  assert.deepEqual([one.duplicate, other.duplicate].toSorted(), [false, true]);
  await gateway.waitReply(one.messageId);
  assert.equal((await gateway.send("! say once", { clientMessageId: "c1" })).duplicate, true);
  assert.equal((await model.log()).length, 1);
});

test("a reader that lost the stream goes on after its last number, without a gap and without a second one", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  for (const word of ["one", "two", "three"]) await gateway.ask(`! say ${word}`);
  const all = (await eventsUntil(gateway.events(SESSION), (event) => event.type === "turn.ended" && event.data["handle"] === "T3")).filter((event) => event.seq !== undefined);
  assert.deepEqual(all.map((event) => event.seq), all.map((_event, index) => index + 1));
  for (const last of [1, 5, all.length - 2]) {
    const rest = await eventsUntil(gateway.events(SESSION, 0, last), (event) => event.seq === all.length);
    assert.deepEqual(rest.map((event) => event.seq), all.slice(last).map((event) => event.seq));
  }
});

test("steering reaches the running turn before its next model call", async (t) => {
  const model = await startModel(t, ["--strict"]);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const long = await gateway.send('! wait 300ms then call subagents {"action":"list"} then wait 100ms then say ready');
  await gateway.waitEvent((event) => event.type === "turn.started");
  const steer = await gateway.send("also look at cost", { queueMode: "steer" });
  const reply = await gateway.waitEvent((event) => event.type === "reply");
  assert.deepEqual(reply.data["replyTo"], [long.messageId, steer.messageId]);
  assert.ok((await model.log()).at(-1)!.userTexts.includes("also look at cost"));
});

test("interrupt stops the running turn and leaves the line behind it as it was", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const long = await gateway.send("! wait 1m then say never");
  await gateway.waitEvent((event) => event.type === "turn.started");
  const waiting = await gateway.send("! say waiting", { queueMode: "followup" });
  const urgent = await gateway.send("! say urgent", { queueMode: "interrupt" });
  assert.equal(await gateway.waitReply(waiting.messageId), "waiting");
  assert.equal(await gateway.waitReply(urgent.messageId), "urgent");
  await assert.rejects(gateway.waitReply(long.messageId), (error) => error instanceof NoReply && error.event.data["outcome"] === "cancelled");
  assert.equal((await model.log())[0]!.outcome, "client gone", "the model call was ended too");
});

test("slash commands are answered at once, without a turn and without the model", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const said = async (text: string): Promise<string> => (await gateway.send(text)).commandReply ?? assert.fail(`${text} is no command`);
  for (const name of ["/new", "/reset", "/stop", "/status", "/model", "/tasks", "/lanes", "/subagents"]) assert.match(await said("/help"), new RegExp(name));
  assert.match(await said("/status"), /model standin\/m/);
  assert.match(await said("/stop"), /Nothing was running/);
  assert.match(await said("/queue steer"), /steer/);
  assert.match(await said("/model"), /standin\/m/);
  assert.match(await said("/nonsense"), /no command \/nonsense/);
  assert.match(await said("/subagents list"), /No children yet/);
  assert.equal((await model.log()).length, 0);
  await gateway.ask("! say remembered");
  assert.match(await said("/reset"), /cleared/);
  await gateway.ask("! say fresh");
  assert.equal((await model.log()).at(-1)!.turns, 1, "nothing of before is told to the model");
});

test("/stop ends what runs, and the history says so", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const long: MessageAccepted = await gateway.send("! wait 1m then say never");
  await gateway.waitEvent((event) => event.type === "turn.started");
  assert.match((await gateway.send("/stop")).commandReply!, /Stopped 1 turn/);
  await assert.rejects(gateway.waitReply(long.messageId), NoReply);
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(SESSION)}/history`);
  assert.match(entries.at(-1)!.text, /cancelled by you/);
});

async function eventsUntil(events: AsyncIterable<ApiEvent>, isLast: (event: ApiEvent) => boolean): Promise<ApiEvent[]> {
  const seen: ApiEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (isLast(event)) break;
  }
  return seen;
}
