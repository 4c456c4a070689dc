/** Wrong things, each refused once, clearly, without harm to the rest. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import type { ApiFault } from "../../src/api/wire.ts";
import { Gateway, NoReply, startGateway, standinConfig } from "../support/gateway.ts";
import { wasTooBusy, watchMachine } from "../support/machine-load.ts";
import { startModel } from "../support/model.ts";
import type { TestContext } from "node:test";

/** Starts a gateway that must not come up. @returns its exit code and what it said. */
async function refused(t: TestContext, options: ConstructorParameters<typeof Gateway>[0]): Promise<{ code: number | null; said: string }> {
  const gateway = new Gateway(options);
  t.after(() => gateway.close());
  gateway.launch();
  const { code } = await gateway.exited();
  return { code, said: gateway.log() };
}

test("a second gateway on the same home is refused and says who holds it", async (t) => {
  const gateway = await startGateway(t);
  const { code, said } = await refused(t, { home: gateway.home });
  assert.equal(code, 1);
  assert.match(said, /STATE_DIR_HELD/);
  assert.ok(said.includes(String(gateway.pid)) && said.includes(gateway.url), said);
  assert.match(await gateway.ask("hello"), /^Hello/, "the first one goes on");
});

test("a port that is taken is named, with the way to choose another", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  const { code, said } = await refused(t, { args: ["--port", String(port)] });
  assert.equal(code, 1);
  assert.match(said, new RegExp(`PORT_TAKEN.*127\\.0\\.0\\.1:${port} is in use.*--port`));
});

test("broken JSON5 is refused with line and column", async (t) => {
  const { code, said } = await refused(t, { config: '{\n  "messages.messageWaitMs": 0,\n  oops oops\n}' });
  assert.equal(code, 1);
  assert.match(said, /CONFIG_SYNTAX.*yardmaster\.json5:3:\d+/);
});

test("an unknown setting is refused with the nearest known one", async (t) => {
  const { code, said } = await refused(t, { config: { "agents.defaults.maxConcurent": 8 } });
  assert.equal(code, 1);
  assert.match(said, /SETTING_UNKNOWN.*did you mean agents\.defaults\.maxConcurrent\?/);
  const gateway = await startGateway(t);
  const answer = await gateway.call("PATCH", "/api/config", { "messages.mesageWaitMs": 5 });
  assert.deepEqual([answer.status, answer.body.code], [400, "SETTING_UNKNOWN"]);
  assert.match(answer.body.message, /did you mean messages\.messageWaitMs\?/);
});

test("requests that cannot be served are refused one by one, and the next good one is served", async (t) => {
  const gateway = await startGateway(t);
  const invalid = Buffer.concat([Buffer.from('{"text":"caf'), Buffer.from([0xe9]), Buffer.from('"}')]);
  const cases: { why: string; ask: () => Promise<{ status: number; body: ApiFault }>; status: number; code: string }[] = [
    { why: "wrong token", ask: () => gateway.call("GET", "/api/status", undefined, { authorization: "Bearer wrong" }), status: 401, code: "UNAUTHORIZED" },
    { why: "10 MB message", ask: () => gateway.call("POST", "/api/messages", { text: "x".repeat(10_000_000) }), status: 413, code: "BODY_TOO_LARGE" },
    { why: "invalid UTF-8", ask: () => gateway.call("POST", "/api/messages", new Uint8Array(invalid)), status: 400, code: "INVALID_UTF8" },
    { why: "broken JSON", ask: () => gateway.call("POST", "/api/messages", "{"), status: 400, code: "BAD_REQUEST" },
    { why: "empty text", ask: () => gateway.call("POST", "/api/messages", { text: " " }), status: 400, code: "BAD_REQUEST" },
    { why: "unknown session", ask: () => gateway.call("GET", "/api/sessions/agent%3Amain%3Aapi%3Adirect%3Anobody"), status: 404, code: "SESSION_NOT_FOUND" },
    { why: "a child that nobody spawned", ask: () => gateway.call("POST", "/api/messages", { text: "hi", session: "agent:main:subagent:none" }), status: 404, code: "SESSION_NOT_FOUND" },
    { why: "unknown task", ask: () => gateway.call("POST", "/api/tasks/task_none/cancel", {}), status: 404, code: "TASK_NOT_FOUND" },
    { why: "unknown route", ask: () => gateway.call("GET", "/api/nothing"), status: 404, code: "ROUTE_NOT_FOUND" },
    { why: "a foreign origin", ask: () => gateway.call("GET", "/api/status", undefined, { origin: "https://evil.example" }), status: 403, code: "ORIGIN_REFUSED" },
  ];
  for (const { why, ask, status, code } of cases) {
    const answer = await ask();
    assert.deepEqual([answer.status, answer.body.code], [status, code], why);
    assert.ok(answer.body.message.length > 10 && typeof answer.body.retryable === "boolean", why);
  }
  assert.match(await gateway.ask("hello"), /^Hello/);
});

test("a credential that the provider refuses reaches the person within five seconds", async (t) => {
  const model = await startModel(t, ["--key", "another-key"]);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const sentAt = performance.now();
  const lost = watchMachine();
  await assert.rejects(gateway.ask("hi"), (error) => error instanceof NoReply && (error.event.data["fault"] as ApiFault).code === "PROVIDER_AUTH");
  assert.ok(performance.now() - sentAt < 5000 || wasTooBusy(lost()));
});
