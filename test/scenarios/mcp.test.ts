/** The gateway and the Model Context Protocol, both ways: other programs' tools for agents, and its session tools for other programs. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
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

test("each way in which a tool server breaks is told to the agent by name, and costs no more than its call", async (t) => {
  const model = await startModel(t);
  const lab = { command: process.execPath, args: [TOOL_SERVER], env: { SERVER_SECRET: "very-secret-value", LAB: "yes" }, tools: { deny: ["put", "do*"] }, timeoutSeconds: 3, resultBytesMax: 1_024 };
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "mcp.servers": { lab }, "mcp.waitMs": 20_000 }), env: { ANTHROPIC_API_KEY: "sk-of-the-gateway", NODE_OPTIONS: "--no-warnings", MY_TOKEN: "t" } });
  const told = (tool: string, input: object = {}): Promise<string> => gateway.ask(`! call lab__${tool} ${JSON.stringify(input)} then say got <last>`);
  const back = async (what: string): Promise<void> => assert.match(await told("echo", { text: `back after ${what}` }), new RegExp(`got back after ${what}`));
  const state = async () => (await gateway.api<ToolServerList>("GET", "/api/mcp/servers")).servers[0]!;

  await back("its start");
  assert.match(await told("put"), /lab__put/);
  assert.ok(!(await state()).tools.some(({ own }) => own === "put" || own === "do.it!"), "filtered");
  const { env, cwd } = JSON.parse((await told("environment")).replace("got ", "")) as { env: Record<string, string>; cwd: string };
  assert.deepEqual([env["LAB"], env["ANTHROPIC_API_KEY"], env["NODE_OPTIONS"], env["MY_TOKEN"], env["YARD_HOME"]], ["yes", undefined, undefined, undefined, undefined]);
  assert.ok(cwd.startsWith(gateway.home), "a folder of its own");

  assert.match(await told("fail"), /it went wrong/);
  assert.match(await told("refuse"), /lab refused the call: .*not like this/);
  const cut = await told("giant", { bytes: 100_000 });
  assert.ok(cut.length < 1_200 && /bytes left out/.test(cut), `${cut.length} characters`);

  const ways: readonly (readonly [string, object, RegExp])[] = [
    ["crash", {}, /the connection to lab broke during the call; whether it was carried out is not known/],
    ["hang", {}, /lab did not answer within 3 s; whether it carried the call out is not known/],
    ["giant", { bytes: 5_000_000 }, /the connection to lab broke during the call/],
    ["flood", {}, /the connection to lab broke during the call|lab did not answer/],
  ];
  for (const [tool, input, words] of ways) {
    const { starts } = await state();
    assert.match(await told(tool, input), words, tool);
    await back(tool);
    // One that hangs is found out a moment later.
    for (const until = Date.now() + 20_000; (await state()).starts === starts; await new Promise((resolve) => setTimeout(resolve, 50))) assert.ok(Date.now() < until, `${tool}: it was not started anew`);
  }
  const { pid } = await state();
  process.kill(pid!, "SIGKILL");
  for (const until = Date.now() + 20_000; [pid, null].includes((await state()).pid); await new Promise((resolve) => setTimeout(resolve, 20))) assert.ok(Date.now() < until, "it came back by itself");
  await back("kill");
  assert.ok(!gateway.log().includes("very-secret-value") && !JSON.stringify(await state()).includes("very-secret-value"));
});

test("a server over HTTP that dies is found again, and one that cannot be used says why and is tried again", async (t) => {
  const model = await startModel(t);
  const launch = async (port = 0) => {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", TOOL_SERVER, "--http"], { env: { PORT: String(port) }, stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => void child.kill("SIGKILL"));
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    return { child, port: (JSON.parse(String(line)) as { port: number }).port };
  };
  const odd = createServer((request, response) => {
    if (request.url === "/closed") return void response.writeHead(401, { "www-authenticate": "Bearer" }).end("who are you?");
    if (request.url === "/away") return void response.writeHead(302, { location: "http://elsewhere.example/mcp" }).end();
    if (request.url === "/broken") return void response.writeHead(500).end("out of order");
    response.writeHead(200, { "content-type": "text/html" }).end("<h1>Welcome</h1>");
  });
  await new Promise<void>((done) => odd.listen(0, "127.0.0.1", done));
  t.after(() => void odd.close());
  const base = `http://127.0.0.1:${(odd.address() as AddressInfo).port}`;
  const first = await launch();
  const servers = {
    far: { url: `http://127.0.0.1:${first.port}/mcp`, headers: { authorization: "Bearer very-secret-value" }, timeoutSeconds: 5 },
    closed: { url: `${base}/closed` }, away: { url: `${base}/away` }, broken: { url: `${base}/broken` }, page: { url: `${base}/page` },
    nobody: { url: "http://127.0.0.1:1/mcp" }, missing: { command: "no-such-program" },
  };
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "mcp.servers": servers, "mcp.waitMs": 20_000 }) });
  const echo = (text: string): Promise<string> => gateway.ask(`! call far__echo ${JSON.stringify({ text })} then say got <last>`);
  assert.match(await echo("hello"), /got hello/);
  const problems = new Map<string, string>();
  for (const until = Date.now() + 30_000; problems.size < 6 && Date.now() < until; await new Promise((resolve) => setTimeout(resolve, 50))) {
    for (const { id, problem } of (await gateway.api<ToolServerList>("GET", "/api/mcp/servers")).servers) if (problem !== null) problems.set(id, problem);
  }
  for (const [id, words] of [["closed", /it answered 401 \(who are you\?\).*"headers"/], ["away", /elsewhere.example\/mcp not followed.*"url"/], ["broken", /it answered 500 \(out of order\)/], ["page", /text\/html.*"url"/], ["nobody", /bad port|refused|fetch failed/i], ["missing", /no program no-such-program on PATH .*full path/]] as const) assert.match(problems.get(id) ?? "nothing", words, id);

  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  assert.match(await echo("while it is away"), /far.*(not there|broke)|fetch failed/);
  await launch(first.port);
  let said = "";
  for (const until = Date.now() + 30_000; !/got again/.test(said) && Date.now() < until; ) said = await echo("again");
  assert.match(said, /got again/);
  assert.ok(!gateway.log().includes("very-secret-value"));

  const refused = await gateway.call<{ message: string }>("PATCH", "/api/config", { "mcp.servers": { bad: { command: "node", env: { NODE_OPTIONS: "--require /x" } } } });
  assert.ok(refused.status >= 400 && /NODE_OPTIONS/.test(refused.body.message), refused.body.message);
});
