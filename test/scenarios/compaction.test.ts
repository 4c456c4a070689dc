/** Long conversations: their older part becomes a summary, beside them where possible, once, and never inside an exchange with tools. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ApiEvent, ApiSession, CompactBegun, History } from "../../src/api/wire.ts";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";
import type { SpawnedStandin } from "../support/model-standin/spawn.ts";

const MAIN = "agent:main:main";
const ENTRIES_MAX = 20;
const STALLED = { step: "stall", match: "[compaction]" };

async function setup(t: TestContext): Promise<{ model: SpawnedStandin; gateway: Gateway }> {
  const model = await startModel(t, ["--strict"]);
  return { model, gateway: await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.contextEntries": ENTRIES_MAX }) }) };
}

async function talk(gateway: Gateway, from: number, to: number): Promise<void> {
  for (let turn = from; turn <= to; turn++) await gateway.ask(`! say answer ${turn}`);
}

const compacted = (gateway: Gateway): Promise<ApiEvent> => gateway.waitEvent(({ type }) => type === "session.compacted");

async function count(gateway: Gateway, type: string): Promise<number> {
  const { lastSeq } = await gateway.api<{ lastSeq: number }>("GET", `/api/sessions/${encodeURIComponent(MAIN)}`);
  let found = 0;
  for await (const event of gateway.events(MAIN)) {
    if (event.type === type) found++;
    if (event.seq === lastSeq) break;
  }
  return found;
}

const summaries = async (model: SpawnedStandin): Promise<number> => (await model.log()).filter(({ userTexts }) => userTexts.some((text) => text.startsWith("[compaction]"))).length;

test("a conversation that is nearly full is summarised after a turn, beside it, so that no message waits for the summary", async (t) => {
  const { model, gateway } = await setup(t);
  await model.configure({ faults: [STALLED] });
  await talk(gateway, 1, 10);
  await until(async () => (await summaries(model)) === 1);
  await gateway.ask("! say at once");
  assert.equal(await count(gateway, "session.compacted"), 0, "the answer came while the summary was still being made");
  await model.configure({ faults: [] });
  await gateway.kill9();
  await gateway.start();
  await gateway.ask("! say again");
  const event = await compacted(gateway);
  await gateway.ask("! say short now");
  assert.ok((await model.log()).at(-1)!.turns < 20, "the model is told less");
  assert.equal(await count(gateway, "session.compacted"), 1, "the kill in the middle neither lost nor doubled it");
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(MAIN)}/history?limit=500`);
  assert.equal(entries.length, 26, "the history keeps everything");
  assert.ok(Number(event.data["upTo"]) < 22);
});

test("the summary that was made beside a conversation counts from its next turn on, and is paid for by its session", async (t) => {
  const { model, gateway } = await setup(t);
  await talk(gateway, 1, 10);
  await compacted(gateway);
  await gateway.ask("! say short now");
  assert.ok((await model.log()).at(-1)!.turns < 12);
  assert.deepEqual([await summaries(model), await count(gateway, "session.compacted")], [1, 1]);
  const { usage } = await gateway.api<ApiSession>("GET", `/api/sessions/${encodeURIComponent(MAIN)}`);
  assert.equal(usage.calls, 12);
});

test("a full conversation waits for the summary that is on its way instead of making a second one", async (t) => {
  const { model, gateway } = await setup(t);
  await talk(gateway, 1, 8);
  await model.configure({ faults: [STALLED] });
  await talk(gateway, 9, 11);
  const begun = await summaries(model);
  assert.equal(begun, 1);
  const { messageId } = await gateway.send("! say waited");
  await gateway.waitEvent(({ type, data }) => type === "turn.started" && (data["messageIds"] as string[]).includes(messageId));
  assert.equal(await summaries(model), begun, "no second one");
  await gateway.kill9();
  await model.configure({ faults: [] });
  await gateway.start();
  assert.equal(await gateway.waitReply(messageId), "waited", "after a kill the turn makes the summary itself and goes on");
  assert.equal(await count(gateway, "session.compacted"), 1);
});

test("/compact makes a summary of everything before the newest exchange, never between a tool call and its result", async (t) => {
  const { model, gateway } = await setup(t);
  assert.match((await gateway.api<{ commandReply: string }>("POST", "/api/messages", { text: "/compact" })).commandReply, /nothing to make shorter/);
  await talk(gateway, 1, 2);
  await gateway.ask('! call list {"path":"."} then say looked');
  const begun = await gateway.api<CompactBegun>("POST", `/api/sessions/${encodeURIComponent(MAIN)}/compact`);
  assert.equal(begun.entries, 4);
  const { data } = await compacted(gateway);
  assert.equal(data["upTo"], 4);
  await gateway.ask("! say after");
  const last = (await model.log()).at(-1)!;
  assert.equal(last.turns, 5, "question, call, result, answer, and the new question");
  assert.equal((await model.stats()).problems, 0);
  assert.equal((await gateway.call("POST", "/api/sessions/agent%3Amain%3Aapi%3Adirect%3Anone/compact")).status, 404);
});

test("a summary of a conversation that was cleared meanwhile is thrown away", async (t) => {
  const { model, gateway } = await setup(t);
  await talk(gateway, 1, 3);
  await model.configure({ models: { m: { firstByteMs: 400, totalMs: 400 } } });
  await gateway.send("/compact");
  await gateway.send("/new");
  await model.configure({ models: {} });
  await new Promise((resolve) => setTimeout(resolve, 600));
  await gateway.ask("! say fresh");
  assert.equal((await model.log()).at(-1)!.turns, 1);
  assert.equal(await count(gateway, "session.compacted"), 0);
});

async function until(fits: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await fits()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("it never came to that");
}
