import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { spawnStandin } from "./spawn.ts";
import { makeWallClock } from "./respond.ts";
import { startStandin, type Standin } from "./standin.ts";

let standin: Standin;
before(async () => {
  standin = await startStandin();
});
beforeEach(() => {
  standin.reset();
  standin.configure({ requestsPerMinute: 0, tokensPerMinute: 0, inFlightMax: 0, strict: false, faults: [], refuse: false });
});
after(() => standin.close());

type Body = Readonly<Record<string, unknown>>;

const PATHS = { anthropic: "/v1/messages", chat: "/v1/chat/completions", responses: "/v1/responses" } as const;

function post(path: string, body: Body): Promise<Response> {
  return fetch(standin.url + path, { method: "POST", body: JSON.stringify(body) });
}
function chat(text: string, more: Body = {}): Promise<Response> {
  return post(PATHS.chat, { model: "m", messages: [{ role: "user", content: text }], ...more });
}
async function said(response: Response): Promise<string> {
  return ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
}

test("the same request gets the same answer however often it is sent, because the history decides", async () => {
  assert.equal(await said(await chat("! say one then say two")), "one\ntwo");
  assert.equal(await said(await chat("! say one then say two")), "one\ntwo");
  assert.equal(await said(await chat("hello")), "You said: hello");
});

test("each answer since the script was one of its rounds; after the last one it is over", async () => {
  const script = { role: "user", content: '! call a {"n":"<i>"} x 2 then say done <last>' };
  const calls = { role: "assistant", tool_calls: [0, 1].map((n) => ({ id: `c${n}`, function: { name: "a", arguments: "{}" } })) };
  const results = [0, 1].map((n) => ({ role: "tool", tool_call_id: `c${n}`, content: `r${n}` }));
  const first = (await (await post(PATHS.chat, { model: "m", messages: [script] })).json()) as { choices: { message: { tool_calls: { function: { arguments: string } }[] } }[] };
  assert.deepEqual(first.choices[0]!.message.tool_calls.map((call) => call.function.arguments), ['{"n":"0"}', '{"n":"1"}']);
  assert.equal(await said(await post(PATHS.chat, { model: "m", messages: [script, calls, ...results] })), "done r0\nr1");
  const next = [script, calls, ...results, { role: "assistant", content: "done" }, { role: "user", content: "thanks" }];
  assert.equal(await said(await post(PATHS.chat, { model: "m", messages: next })), "You said: thanks");
});

test("a fault with times is counted per conversation, so others do not use it up", async () => {
  assert.equal((await chat("! fail 503 times 1 then say ok")).status, 503);
  assert.equal((await chat("! fail 503 times 1 then say ok", { messages: [{ role: "user", content: "other" }, { role: "user", content: "! fail 503 times 1 then say ok" }] })).status, 503);
  assert.equal(await said(await chat("! fail 503 times 1 then say ok")), "ok");
});

test("a fault that is set over HTTP meets the requests that it names", async () => {
  await fetch(`${standin.url}/_config`, { method: "POST", body: JSON.stringify({ faults: [{ step: "fail 500 times 1", match: "poor" }] }) });
  assert.equal((await chat("hello")).status, 200);
  assert.equal((await chat("poor me")).status, 500);
  assert.equal((await chat("poor me")).status, 200);
  const refused = await fetch(`${standin.url}/_config`, { method: "POST", body: JSON.stringify({ fault: [] }) });
  assert.equal(refused.status, 400);
});

test("requests over the rate are refused with the time to wait", async () => {
  standin.configure({ requestsPerMinute: 2 });
  assert.deepEqual([(await chat("a")).status, (await chat("b")).status], [200, 200]);
  const refused = await chat("c");
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) >= 29);
  assert.equal(refused.headers.get("x-ratelimit-remaining-requests"), "0");
});

test("what breaks the rules of a history is counted, and refused when strict", async () => {
  const messages = [
    { role: "user", content: "hi" },
    { role: "assistant", tool_calls: [{ id: "c1", function: { name: "a", arguments: "{}" } }] },
    { role: "user", content: "and?" },
  ];
  assert.equal((await post(PATHS.chat, { model: "m", messages })).status, 200);
  assert.deepEqual(standin.log()[0]!.problems, ["call c1 of a has no result"]);
  standin.configure({ strict: true });
  assert.equal((await post(PATHS.chat, { model: "m", messages })).status, 400);
});

test("a prompt that was marked is read from the cache the next time, and a changed one is not", async () => {
  const marked = { type: "text", cache_control: { type: "ephemeral" } };
  const ask = async (system: string): Promise<{ cache_read_input_tokens: number; cache_creation_input_tokens: number }> =>
    ((await (await post(PATHS.anthropic, { model: "m", system: [{ ...marked, text: system }], messages: [{ role: "user", content: "hi" }] })).json()) as { usage: never }).usage;
  const written = (await ask("s".repeat(8000))).cache_creation_input_tokens;
  assert.ok(written > 1900);
  assert.deepEqual([(await ask("s".repeat(8000))).cache_read_input_tokens, (await ask("t".repeat(8000))).cache_read_input_tokens], [written, 0]);
  assert.equal((await ask("short")).cache_creation_input_tokens, 0);
});

test("latency is part of the model's name, so that one run can hold quick and slow models", async () => {
  const startedAt = performance.now();
  await (await chat("hello", { model: "m-first20-total60", stream: true })).text();
  assert.ok(performance.now() - startedAt >= 58);
  const [record] = standin.log();
  assert.ok(record!.firstByteAt! - record!.arrivedAt >= 18 && record!.endedAt! - record!.arrivedAt >= 58);
});

test("a client that goes away is logged as gone, and nothing of its request is left", async () => {
  const controller = new AbortController();
  const response = await fetch(standin.url + PATHS.responses, { method: "POST", signal: controller.signal, body: JSON.stringify({ model: "m", stream: true, input: "! say a then wait 1m then say b" }) });
  controller.abort();
  await assert.rejects(response.text());
  while (standin.stats().inFlight > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(standin.log()[0]!.outcome, "client gone");
});

test("as a process it prints its port, keeps its log in a file, and ends when it is told to", async () => {
  const folder = await mkdtemp(join(tmpdir(), "standin-"));
  const spawned = await spawnStandin(["--log", join(folder, "log"), "--reply", "hi"]);
  try {
    await (await fetch(spawned.url + PATHS.chat, { method: "POST", body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "hello" }] }) })).text();
    assert.equal((await spawned.log())[0]?.reply, "hi");
    await spawned.configure({ refuse: true });
    await assert.rejects(fetch(spawned.url + PATHS.chat, { method: "POST", body: "{}" }));
  } finally {
    await spawned.close();
  }
  assert.equal(JSON.parse((await readFile(join(folder, "log"), "utf8")).trim()).outcome, "ok");
  await rm(folder, { recursive: true });
});

test("times in the log go with the system's clock when it is corrected, and keep their fractions", () => {
  let [wall, fine] = [1_000, 0];
  const now = makeWallClock(() => Math.floor(wall), () => fine);
  const at = (nextWall: number, nextFine: number): number => {
    [wall, fine] = [nextWall, nextFine];
    return now();
  };
  const first = at(1_000.25, 0.25);
  assert.ok(Math.abs(at(1_000.5, 0.5) - first - 0.25) < 1e-6, "fractions");
  for (const [nextWall, nextFine] of [[1_010, 12], [1_020, 24], [1_040, 36]] as const) {
    const seen = at(nextWall, nextFine);
    assert.ok(seen >= nextWall && seen < nextWall + 1, `${seen}`);
  }
});
