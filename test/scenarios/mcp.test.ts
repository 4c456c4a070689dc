/** The gateway and the Model Context Protocol, both ways: other programs' tools for agents, and its session tools for other programs. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { ApiSession, History, TokenMade, ToolServerList } from "../../src/api/wire.ts";
import { startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const TOOL_SERVER = join(ROOT, "test", "support", "tool-server", "main.ts");

async function connect(t: TestContext, transport: Transport): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  t.after(() => client.close());
  return client;
}

function overHttp(gateway: Gateway, token = gateway.token, query = ""): Transport {
  return new StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp${query}`), { requestInit: { headers: { authorization: `Bearer ${token}` } } }) as Transport;
}

async function call<T = Record<string, unknown>>(client: Client, name: string, input: Record<string, unknown> = {}): Promise<T> {
  const { content, isError } = (await client.callTool({ name, arguments: input })) as { content: { text: string }[]; isError?: boolean };
  assert.ok(!isError, content[0]!.text);
  return JSON.parse(content[0]!.text) as T;
}

async function refusal(client: Client, name: string, input: Record<string, unknown>): Promise<string> {
  const { content, isError } = (await client.callTool({ name, arguments: input })) as { content: { text: string }[]; isError?: boolean };
  assert.ok(isError, content[0]!.text);
  return content[0]!.text;
}

interface Yielded {
  readonly status: string;
  readonly finished: { label: string; state: string; result: string }[];
  readonly running: { label: string }[];
}

test("the official client starts agents through /mcp, waits for them in bounded time, and reaches only what is below its session", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const client = await connect(t, overHttp(gateway));
  assert.equal(client.getServerVersion()!.name, "yardmaster");
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map(({ name }) => name).sort(), ["agents_list", "board", "claims", "memory", "message", "session_status", "sessions_history", "sessions_list", "sessions_send", "sessions_spawn", "sessions_yield", "subagents"]);
  assert.ok(tools.every(({ name }) => !["exec", "write", "read"].includes(name)), "files and commands stay the caller's own");

  const quick = await call<{ taskId: string; childSessionKey: string }>(client, "sessions_spawn", { task: "! wait 500ms then say four", label: "quick" });
  await call(client, "sessions_spawn", { task: "! wait 30s then say late", label: "slow" });
  const first = await call<Yielded>(client, "sessions_yield", { waitFor: "any" });
  assert.deepEqual([first.status, first.finished.map(({ label, state, result }) => [label, state, result]), first.running.map(({ label }) => label)], ["enough", [["quick", "succeeded", "four"]], ["slow"]]);
  const again = await call<Yielded>(client, "sessions_yield", { timeoutSeconds: 0 });
  assert.deepEqual([again.status, again.running.length], ["still-running", 1]);
  await call(client, "subagents", { action: "kill", target: "slow" });
  assert.deepEqual((await call<Yielded>(client, "sessions_yield")).finished.map(({ label, state }) => [label, state]), [["slow", "cancelled"]]);
  assert.equal((await call<Yielded>(client, "sessions_yield")).status, "nothing-to-wait-for");
  assert.deepEqual((await call<{ sessions: { label: string }[] }>(client, "sessions_list")).sessions.map(({ label }) => label), ["slow", "quick"]);

  await client.callTool({ name: "message", arguments: { text: "half way there" } });
  const history = await gateway.api<History>("GET", "/api/sessions/agent%3Amain%3Amain/history");
  assert.ok(history.entries.some(({ text }) => text === "half way there"), "the person is told");

  await gateway.ask("! say hello", { session: "agent:main:api:direct:bob" });
  const bob = await connect(t, overHttp(gateway, gateway.token, "?session=agent:main:api:direct:bob"));
  assert.deepEqual((await call<{ sessions: unknown[] }>(bob, "sessions_list")).sessions, []);
  for (const name of [quick.taskId, quick.childSessionKey, "quick"]) assert.match(await refusal(bob, "sessions_history", { session: name }), /not|no /i);
  assert.match(await refusal(bob, "sessions_send", { session: quick.taskId, text: "x" }), /not|no /i);
  assert.match(await refusal(client, "sessions_spawn", { task: "x", agent: "nobody" }), /nobody/);
  await assert.rejects(client.callTool({ name: "exec", arguments: { command: "id" } }), /no tool exec/);
});

test("a scoped token acts as its own session only, opens nothing else, and ends when it is revoked or its session ends", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  await gateway.ask("! say hello", { session: "agent:main:api:direct:ann" });
  const mint = (session: string): Promise<TokenMade> => gateway.api("POST", "/api/tokens", { scope: "mcp", session });
  const { secret, id } = await mint("agent:main:api:direct:ann");
  const client = await connect(t, overHttp(gateway, secret, "?session=agent:main:main"));
  assert.equal((await call<{ session: string }>(client, "session_status")).session, "agent:main:api:direct:ann", "whatever it asks for");
  for (const [method, path] of [["GET", "/api/sessions"], ["POST", "/api/messages"], ["GET", "/metrics"]] as const) {
    assert.equal((await gateway.call(method, path, method === "POST" ? { text: "x" } : undefined, { authorization: `Bearer ${secret}` })).status, 401);
  }
  assert.equal((await gateway.call("POST", "/api/tokens", { scope: "mcp" })).status, 400, "it must be somebody's");
  const proxy = await gateway.api<TokenMade>("POST", "/api/tokens", { scope: "proxy" });
  await assert.rejects(connect(t, overHttp(gateway, proxy.secret)), /401|UNAUTHORIZED|token is wrong/);
  await gateway.api("DELETE", `/api/tokens/${id}`);
  await assert.rejects(client.listTools(), /token is wrong/);

  const { childSessionKey, taskId } = await gateway.api<{ childSessionKey: string; taskId: string }>("POST", "/api/spawns", { task: "! wait 30s then say x" });
  const ofChild = await connect(t, overHttp(gateway, (await mint(childSessionKey)).secret));
  assert.deepEqual((await ofChild.listTools()).tools.map(({ name }) => name).sort(), ["board", "claims", "memory"], "a leaf may neither spawn nor speak to the person");
  await gateway.api("POST", `/api/tasks/${taskId}/cancel`);
  await assert.rejects(ofChild.listTools(), /token is wrong/);
});

test("a result that was asked for wakes nobody any more, and one that was not comes as a message, each once", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.subagents.gatherMs": 500 }) });
  const session = "agent:main:api:direct:ann";
  await gateway.ask("! say ready", { session });
  const client = await connect(t, overHttp(gateway, gateway.token, `?session=${session}`));
  const spawn = (task: string): Promise<{ taskId: string }> => call(client, "sessions_spawn", { task, delivery: "digest" });
  const asked = await spawn("! say asked for");
  const { finished } = await call<Yielded>(client, "sessions_yield", { tasks: asked.taskId });
  assert.deepEqual(finished.map(({ result }) => result), ["asked for"]);
  const told = await spawn("! say told later");
  const started = await gateway.waitEvent((event) => event.type === "turn.started" && "digest" in event.data, { session });
  assert.match(String(started.data["digest"]), /told later/);
  assert.doesNotMatch(String(started.data["digest"]), /asked for/);
  const delivered: string[] = [];
  for await (const event of gateway.events(session)) {
    if (event.type === "task.delivered") delivered.push(event.taskId!);
    if (event.seq === started.seq) break;
  }
  assert.deepEqual(delivered, [asked.taskId, told.taskId]);
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent(session)}/history`);
  assert.equal(entries.filter(({ provenance, text }) => provenance === "child" && text.includes("asked for")).length, 1, "it stands in the transcript all the same");
});

test("`yard mcp` passes the same tools on over standard input and output, and goes on when the gateway comes back", async (t) => {
  const gateway = await startGateway(t, { config: { "messages.messageWaitMs": 0 } });
  const client = await connect(
    t,
    new StdioClientTransport({ command: process.execPath, args: [join(ROOT, "bin", "yard.mjs"), "mcp"], env: { PATH: "/usr/bin:/bin", HOME: gateway.home, YARD_HOME: gateway.home }, stderr: "pipe" }) as Transport,
  );
  const { childSessionKey } = await call<{ childSessionKey: string }>(client, "sessions_spawn", { task: "what is 6 * 7?", label: "sum" });
  const [side, { finished }] = await Promise.all([call<{ session: string }>(client, "session_status"), call<Yielded>(client, "sessions_yield")]);
  assert.equal(side.session, "agent:main:main");
  assert.match(finished[0]!.result, /42/);
  assert.ok((await gateway.api<ApiSession>("GET", `/api/sessions/${encodeURIComponent(childSessionKey)}`)).parent === "agent:main:main");
  await gateway.stop();
  await assert.rejects(client.listTools(), /GATEWAY_NOT_THERE/);
});

test("an agent calls the tools of a configured server, which is listed, and ends with the gateway, also when that is killed", async (t) => {
  const model = await startModel(t);
  const servers = { lab: { command: process.execPath, args: [TOOL_SERVER], env: { SERVER_SECRET: "very-secret-value" } }, dead: { command: process.execPath, args: [TOOL_SERVER, "--fail"] } };
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "mcp.servers": servers, "mcp.waitMs": 20_000 }) });
  assert.match(await gateway.ask('! call lab__echo {"text":"from the lab"} then say got <last>'), /got .*from the lab/);
  const listed = (): Promise<ToolServerList> => gateway.api("GET", "/api/mcp/servers");
  // It is tried again and again, and is broken in between.
  let [dead, lab] = (await listed()).servers;
  for (const until = Date.now() + 20_000; dead!.state !== "broken" && Date.now() < until; [dead, lab] = (await listed()).servers) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([lab!.state, dead!.state], ["ready", "broken"]);
  assert.match(dead!.problem!, /cannot start today/);
  assert.ok(!JSON.stringify(await gateway.api("GET", "/api/config")).includes("very-secret-value"));
  await gateway.ask("! call lab__crash {} then say survived");
  assert.ok(!gateway.log().includes("very-secret-value"), "what the server says of its own secrets is not repeated");
  assert.match(await gateway.ask('! call lab__echo {"text":"again"} then say got <last>'), /again/);

  const { pid } = (await listed()).servers[1]!;
  await gateway.kill9();
  await gateway.start();
  assert.match(await gateway.ask('! call lab__echo {"text":"anew"} then say got <last>'), /anew/);
  for (const endAt = Date.now() + 10_000; existsSync(`/proc/${pid}`); await new Promise((resolve) => setTimeout(resolve, 20))) assert.ok(Date.now() < endAt, "the old one is gone");
  const next = (await listed()).servers[1]!.pid;
  await gateway.stop();
  assert.ok(!existsSync(`/proc/${next}`));
});
