import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Fault } from "../model/faults.ts";
import type { SessionKey } from "../base/ids.ts";
import { FakeYard, MAIN, TASK, TOKEN, type Client, type Loose } from "./fake-yard.test-support.ts";
import { routeTable, SPECIAL_ROUTES } from "./route-table.ts";
import type { RouteDeps } from "./route.ts";

async function setup(t: TestContext, prepare: (yard: FakeYard) => void = () => {}): Promise<{ yard: FakeYard; client: Client }> {
  const yard = new FakeYard();
  prepare(yard);
  const client = await yard.start();
  t.after(() => client.close());
  return { yard, client };
}

const SAMPLE: Readonly<Record<string, string>> = { approvalId: "A1", tokenId: "tok_1", session: MAIN, taskId: TASK, flowId: "flow_1", handle: "T7", deliveryId: "dlv_1" };
const BODIES: Readonly<Record<string, unknown>> = { "messages.send": { text: "hi" }, "sessions.create": { session: "agent:main:main" }, "sessions.steer": { text: "hi" }, "tasks.steer": { text: "hi" }, "approvals.answer": { answer: "once" }, "spawns.create": { task: "x" }, "tokens.mint": { scope: "proxy" }, "models.rate": { model: "a/b" }, "sessions.seen": { seq: 1 } };
const routes = routeTable({} as RouteDeps);
const filled = (path: string): string => path.replace(/:(\w+)/g, (_all, name: string) => encodeURIComponent(SAMPLE[name]!));

/** A request with full control over its headers; fetch would mend them. */
function rawAsk(client: Client, options: { method?: string; path: string; headers: Record<string, string>; body?: string }): Promise<{ status: number; body: Loose; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port: client.port, method: options.method ?? "GET", path: options.path, headers: options.headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode!, body: text.startsWith("{") ? JSON.parse(text) : text, headers: response.headers }));
    });
    request.on("error", reject);
    request.end(options.body);
  });
}

// ── who gets in ─────────────────────────────────────────────────────────────────────────────

test("every route of the table needs the token, and every one answers with it", async (t) => {
  const { client } = await setup(t);
  for (const route of routes) {
    const body = route.method === "GET" ? undefined : BODIES[route.rpc] ?? {};
    const refusals: Record<string, string | undefined>[] = [
      { authorization: undefined },
      { authorization: "" },
      { authorization: "Bearer " },
      { authorization: `Bearer ${TOKEN}x` },
      { authorization: `Basic ${TOKEN}` },
      { authorization: undefined, cookie: `yard_session=${TOKEN}` },
      { authorization: undefined, "x-yard": "1", cookie: "yard_session=" },
    ];
    for (const headers of refusals) {
      const { status, body: fault } = await client.ask(route.method, filled(route.path), body, headers);
      assert.ok(status === 401 || status === 429, `${route.method} ${route.path} with ${JSON.stringify(headers)} answered ${status}`);
      assert.match(fault.code ?? fault.error.code, /UNAUTHORIZED|TOO_MANY_GUESSES|invalid_api_key|too_many_guesses/);
    }
    const { status, body: answer } = await client.ask(route.method, filled(route.path), body);
    assert.ok(status === 200 || status === 202, `${route.method} ${route.path} answered ${status} ${JSON.stringify(answer)}`);
  }
});

test("of the special routes only the open ones answer without the token", async (t) => {
  const { client } = await setup(t);
  for (const { method, path, open } of Object.values(SPECIAL_ROUTES)) {
    const { status } = await client.ask(method, path.replace("*", ""), method === "POST" ? {} : undefined, { authorization: undefined });
    assert.equal(status !== 401, open, `${method} ${path} answered ${status}`);
  }
});

test("an unknown route is a fault, and tells nothing to those without the token unless it could be a page", async (t) => {
  const { client } = await setup(t);
  assert.equal((await client.ask("GET", "/api/nothing")).body.code, "ROUTE_NOT_FOUND");
  assert.equal((await client.ask("PUT", "/api/lanes")).body.code, "ROUTE_NOT_FOUND");
  assert.equal((await client.ask("POST", "/api/nothing", {}, { authorization: undefined })).status, 401);
  assert.equal((await client.ask("GET", "/api/%zz")).status, 400);
});

test("a session is made before anything is said in it, in a folder that must be absolute", async (t) => {
  const { client } = await setup(t);
  const session = "agent:main:editor:direct:new";
  const made = await client.ask("POST", "/api/sessions", { session, cwd: "/tmp/project", label: "new" });
  assert.deepEqual([made.status, made.body.key, made.body.cwd, made.body.label], [200, session, "/tmp/project", "new"]);
  const again = await client.ask("POST", "/api/sessions", { session });
  assert.equal(again.body.cwd, "/tmp/project", "what is there stays");
  assert.equal((await client.ask("PATCH", `/api/sessions/${encodeURIComponent(session)}`, { cwd: null })).body.cwd, null);
  assert.match((await client.ask("POST", "/api/sessions", { session, cwd: "project" })).body.message, /cwd: must be an absolute path/);
});

test("/mcp answers POST only, each version of the protocol that it knows, and one message at a time", async (t) => {
  const { client } = await setup(t);
  const rpc = (method: string, more: object = {}) => client.ask("POST", "/mcp", { jsonrpc: "2.0", id: 1, method, ...more });
  assert.equal((await client.ask("GET", "/mcp")).status, 405);
  assert.equal((await client.ask("DELETE", "/mcp")).status, 405);
  assert.equal((await rpc("initialize", { params: { protocolVersion: "2025-03-26" } })).body.result.protocolVersion, "2025-03-26");
  assert.equal((await rpc("initialize", { params: { protocolVersion: "1999-01-01" } })).body.result.protocolVersion, "2025-11-25");
  assert.equal((await client.ask("POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "ping" }, { "mcp-protocol-version": "1999-01-01" })).status, 400);
  assert.equal((await client.ask("POST", "/mcp", { jsonrpc: "2.0", method: "notifications/initialized" })).status, 202);
  assert.equal((await rpc("resources/list")).body.error.code, -32601);
  assert.equal((await rpc("tools/call", { params: { name: 5 } })).body.error.code, -32602);
  assert.equal((await client.ask("POST", "/mcp", [{ jsonrpc: "2.0", id: 1, method: "ping" }])).body.error.code, -32600);
});

test("a foreign host name is refused with 421, so that a rebound DNS name opens nothing", async (t) => {
  const { client, yard } = await setup(t);
  const statusFor = async (host: string) => (await rawAsk(client, { path: "/api/status", headers: { host, authorization: `Bearer ${TOKEN}` } })).status;
  for (const host of ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:9273", `127.0.0.1:${client.port}`]) assert.equal(await statusFor(host), 200, host);
  for (const host of ["evil.com", "127.0.0.1.evil.com", "127.evil.com", "localhost.evil.com", "evil.com:9273", "127.0.0.1@evil.com", "[::2]", "2130706433", "0x7f.1", "127.0.0.2", "a, 127.0.0.1", "localhost:x"]) {
    assert.equal(await statusFor(host), 421, host);
  }
  yard.settingsSet.set("gateway.allowedHosts", ["Yard.example.org"]);
  assert.equal(await statusFor("yard.example.org:443"), 200);
});

test("a foreign origin is refused before the token is looked at, on HTTP and before a socket opens", async (t) => {
  const { client, yard } = await setup(t);
  const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
  const statusFor = async (origin: string, path: string) => (await rawAsk(client, { path, headers: { host: `127.0.0.1:${client.port}`, origin, authorization: `Bearer ${TOKEN}`, ...(path === "/api/socket" ? upgrade : {}) } })).status;
  const { port } = client;
  const foreign = ["null", "http://127.0.0.1.evil.com", `http://127.0.0.1.evil.com:${port}`, "http://evil.com", "http://127.0.0.1", `http://127.0.0.1:${port + 1}`, `https://127.0.0.1:${port}`, `http://localhost:${port}.evil.com`, `http://evil.com/http://127.0.0.1:${port}`, "", "file://"];
  for (const origin of foreign) {
    assert.equal(await statusFor(origin, "/api/status"), 403, origin);
    assert.equal(await statusFor(origin, "/api/socket"), 403, origin);
  }
  for (const origin of [`http://127.0.0.1:${port}`, `http://localhost:${port}`, `http://[::1]:${port}`]) assert.equal(await statusFor(origin, "/api/status"), 200, origin);
  yard.settingsSet.set("gateway.allowedOrigins", ["https://yard.example.org"]);
  assert.equal(await statusFor("https://yard.example.org", "/api/status"), 200);
  assert.equal(await statusFor("https://yard.example.org.evil.com", "/api/status"), 403);
});

test("wrong tokens are told to wait after 20 a minute, also from this machine, and the right one always gets in", async (t) => {
  const { client, yard } = await setup(t);
  const guess = (n: number) => client.ask("GET", "/api/status", undefined, { authorization: `Bearer wrong${n}`, "x-forwarded-for": `10.0.0.${n}`, devicetoken: "x" });
  for (let n = 0; n < 20; n++) assert.equal((await guess(n)).status, 401);

  const refused = await guess(20);
  assert.equal(refused.status, 429);
  assert.equal(refused.body.code, "TOO_MANY_GUESSES");
  assert.equal(refused.headers.get("retry-after"), "30");
  assert.equal((await client.ask("GET", "/api/status")).status, 200);
  assert.equal((await client.ask("POST", "/api/login", { token: "wrong" }, { authorization: undefined })).status, 429);
  assert.equal((await client.ask("POST", "/api/login", { token: TOKEN }, { authorization: undefined })).status, 200);

  yard.clock.advance(61_000);
  assert.equal((await guess(21)).status, 401);
});

test("an empty token file opens nothing", async (t) => {
  const { client } = await setup(t, (yard) => (yard.token = ""));
  for (const authorization of ["", "Bearer ", "Bearer"]) assert.equal((await client.ask("GET", "/api/status", undefined, { authorization })).status, 401);
});

test("a page logs in once; its cookie alone reads but changes nothing without the header that only our page sends", async (t) => {
  const { client } = await setup(t);
  const login = await client.ask("POST", "/api/login", { token: TOKEN }, { authorization: undefined });
  const set = login.headers.get("set-cookie")!;
  assert.match(set, /^yard_session=[\w.-]{80,90}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=2592000$/);
  const page = { authorization: undefined, cookie: `other=1; ${set.split(";")[0]}` };

  assert.equal((await client.ask("GET", "/api/status", undefined, page)).status, 200);
  assert.equal((await client.ask("POST", "/api/messages", { text: "hi" }, page)).status, 401);
  assert.equal((await client.ask("POST", "/api/messages", { text: "hi" }, { ...page, "x-yard": "1" })).status, 202);
  assert.equal((await client.ask("GET", "/api/status", undefined, { ...page, authorization: "Bearer wrong" })).status, 401, "a wrong bearer is not made good by a cookie");

  assert.equal((await client.ask("DELETE", "/api/login", undefined, page)).status, 401);
  assert.equal((await client.ask("DELETE", "/api/login", undefined, { ...page, "x-yard": "1" })).status, 200);
  assert.equal((await client.ask("GET", "/api/status", undefined, page)).status, 401);
});

test("a page's login outlives the gateway, and ends with a change of the token, after 30 days, or when a letter of it is changed", async (t) => {
  const { client, yard } = await setup(t);
  const login = async () => (await client.ask("POST", "/api/login", { token: yard.token }, { authorization: undefined })).headers.get("set-cookie")!.split(";")[0]!;
  const reads = async (cookie: string) => (await client.ask("GET", "/api/status", undefined, { authorization: undefined, cookie })).status;

  const rotated = await login();
  yard.token = "n".repeat(43);
  assert.equal(await reads(rotated), 401);
  const old = await login();
  yard.clock.advance(30 * 86_400_000);
  assert.equal(await reads(old), 401);
  const fresh = await login();
  assert.equal(await reads(fresh), 200);
  assert.equal(await reads(fresh.replace(/=\d/, "=9")), 401, "a longer life is not to be had by editing the cookie");

  const { client: afterRestart, yard: next } = await setup(t);
  next.token = yard.token;
  next.clock.advance(yard.clock.now() - next.clock.now());
  assert.equal((await afterRestart.ask("GET", "/api/status", undefined, { authorization: undefined, cookie: fresh })).status, 200);
});

// ── what comes in ───────────────────────────────────────────────────────────────────────────

test("a message names its session by key, by channel and peer, or not at all", async (t) => {
  const { client, yard } = await setup(t);
  const sessionOf = async (body: object) => (await client.ask("POST", "/api/messages", { text: "hi", ...body })).body.session;
  assert.equal(await sessionOf({}), "agent:main:main");
  assert.equal(await sessionOf({ agent: "reviewer" }), "agent:reviewer:main");
  assert.equal(await sessionOf({ channel: "web", peer: "42" }), "agent:main:web:direct:42");
  assert.equal(await sessionOf({ peer: "42" }), "agent:main:api:direct:42");
  assert.equal(await sessionOf({ session: "agent:main:telegram:direct:7", clientMessageId: "c1", queueMode: "steer", replyTo: "msg_1" }), "agent:main:telegram:direct:7");
  assert.deepEqual(yard.received.at(-1), {
    session: "agent:main:telegram:direct:7", text: "hi", provenance: "user", channel: "api", sourceId: "c1", author: null, queueMode: "steer", replyTo: "msg_1", mayCommand: true,
  });
});

test("a message is answered with 202 and what became of it", async (t) => {
  const { client } = await setup(t);
  const { status, body, headers } = await client.ask("POST", "/api/messages", { text: "/help" });
  assert.equal(status, 202);
  assert.deepEqual(body, { messageId: "msg_1", session: MAIN, queuedAhead: 0, etaMs: 0, duplicate: false, commandReply: "help" });
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("referrer-policy"), "no-referrer");
  assert.equal(headers.get("cache-control"), "no-store");
});

test("a message that cannot be meant is refused with where and why", async (t) => {
  const { client, yard } = await setup(t);
  const cases: [body: unknown, code: string, says: RegExp][] = [
    [{}, "BAD_REQUEST", /body\.text: is missing/],
    [{ text: " \n" }, "BAD_REQUEST", /body\.text: is empty/],
    [{ text: 7 }, "BAD_REQUEST", /body\.text: must be text/],
    [{ text: "a\0b" }, "BAD_REQUEST", /NUL/],
    ['{"text": "\\ud800"}', "INVALID_UTF8", /body\.text/],
    [Uint8Array.from([...Buffer.from('{"text":"'), 0xff, 0xfe, ...Buffer.from('"}')]), "INVALID_UTF8", /body is not valid UTF-8/],
    [{ text: "hi", sesion: MAIN }, "BAD_REQUEST", /body\.sesion: unknown field; did you mean session\?/],
    [{ text: "hi", session: "main" }, "BAD_REQUEST", /body\.session/],
    [{ text: "hi", session: "agent:main:subagent:none" }, "SESSION_NOT_FOUND", /subagent:none/],
    [{ text: "hi", session: MAIN, agent: "reviewer" }, "BAD_REQUEST", /^agent: /],
    [{ text: "hi", agent: "nobody" }, "AGENT_NOT_FOUND", /main, reviewer/],
    [{ text: "hi", channel: "a:b", peer: "1" }, "BAD_REQUEST", /channel/],
    [{ text: "hi", queueMode: "later" }, "BAD_REQUEST", /auto \| followup/],
    ["[]", "BAD_REQUEST", /body: must be an object/],
    ["{nope", "BAD_REQUEST", /^body: /],
    ['{"text":"hi","__proto__":{"x":1}}', "BAD_REQUEST", /__proto__/],
    ['{"text":"hi","a":{"constructor":{}}}', "BAD_REQUEST", /constructor/],
    [`{"text":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, "BAD_REQUEST", /deeper than 64/],
    [{ text: "x".repeat(1_000_001) }, "BODY_TOO_LARGE", /1000001/],
    [{ text: "é".repeat(500_001) }, "BODY_TOO_LARGE", /1000002/],
  ];
  for (const [body, code, says] of cases) {
    const answer = await client.ask("POST", "/api/messages", body);
    assert.equal(answer.body.code, code, JSON.stringify(answer.body).slice(0, 300));
    assert.match(answer.body.message, says);
    assert.doesNotMatch(answer.text, /\.ts:|at \w+ \(/);
  }
  assert.deepEqual(yard.received, []);
});

test("a text of the greatest size fits also when much of it is escaped", async (t) => {
  const { client, yard } = await setup(t);
  assert.equal((await client.ask("POST", "/api/messages", { text: "\n\"".repeat(499_999) + "é" })).status, 202);
  assert.equal(Buffer.byteLength(yard.received[0]!.text), 1_000_000);
});

test("a body that is no JSON by its type is refused, because a foreign page could have sent it", async (t) => {
  const { client } = await setup(t);
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
    const { status, body } = await client.ask("POST", "/api/messages", '{"text":"hi"}', { "content-type": type });
    assert.equal(status, 400);
    assert.match(body.message, /application\/json/);
  }
  assert.equal((await client.ask("POST", `/api/sessions/${MAIN}/cancel`)).status, 200, "no body at all is an empty one");
});

test("a body of 10 MB gets one clean 413 on a connection that goes on, whether its size was announced or not", async (t) => {
  const { client, yard } = await setup(t);
  const big = JSON.stringify({ text: "x".repeat(10_000_000) });
  const announced = await client.ask("POST", "/api/messages", big);
  assert.equal(announced.status, 413);
  assert.equal(announced.body.code, "BODY_TOO_LARGE");
  assert.equal((await client.ask("POST", "/api/sessions", big)).status, 413);
  assert.equal((await client.ask("POST", "/api/login", big, { authorization: undefined })).status, 413);

  const agent = new Agent({ keepAlive: true });
  const chunked = await new Promise<{ status: number; text: string; connection: string | undefined }>((resolve, reject) => {
    const request = httpRequest(`${client.url}/api/messages`, { method: "POST", agent, headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", "transfer-encoding": "chunked" } }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode!, text, connection: response.headers.connection }));
    });
    request.on("error", reject);
    for (let at = 0; at < big.length; at += 500_000) request.write(big.slice(at, at + 500_000));
    request.end();
  });
  agent.destroy();
  assert.equal(chunked.status, 413);
  assert.notEqual(chunked.connection, "close");
  assert.equal(JSON.parse(chunked.text).code, "BODY_TOO_LARGE");
  assert.deepEqual(yard.received, []);
});

test("without the token the body is not even waited for", async (t) => {
  const { client } = await setup(t);
  const socket = connect(client.port, "127.0.0.1");
  socket.write("POST /api/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
  const [answer] = await once(socket, "data");
  assert.match(String(answer), /^HTTP\/1\.1 401 /);
  socket.destroy();
});

test("what is no HTTP gets a fault too", async (t) => {
  const { client } = await setup(t);
  const socket = connect(client.port, "127.0.0.1");
  socket.write("hello\r\n\r\n");
  const [answer] = await once(socket, "data");
  assert.match(String(answer), /^HTTP\/1\.1 400 [^]*"code":"BAD_REQUEST"/);
  socket.destroy();
});

// ── what goes out ───────────────────────────────────────────────────────────────────────────

test("a fault keeps its status and says when to try again; a defect shows no secret and no stack, and is logged", async (t) => {
  const { client, yard } = await setup(t);
  yard.refusal = new Fault("QUEUE_REJECTED", { session: MAIN, etaMs: 1500 }, { retryAfterMs: 1500 });
  const busy = await client.ask("POST", "/api/messages", { text: "hi" });
  assert.equal(busy.status, 409);
  assert.equal(busy.headers.get("retry-after"), "2");
  assert.deepEqual(Object.keys(busy.body).sort(), ["code", "details", "message", "retryAfterMs", "retryable"]);

  yard.refusal = new TypeError("cannot read x of sk-abcdefghijklmnopqrstuvwx");
  const defect = await client.ask("POST", "/api/messages", { text: "hi" });
  assert.equal(defect.status, 500);
  assert.equal(defect.body.code, "INTERNAL");
  assert.doesNotMatch(defect.text, /sk-abc|stack|\.ts/);
  assert.equal((yard.logged[0]!.fields as { cause: unknown }).cause, yard.refusal);
});

test("a session key is read with its colons encoded or not, up to its full length", async (t) => {
  const { client, yard } = await setup(t);
  assert.equal((await client.ask("GET", "/api/sessions/agent:main:main")).body.key, MAIN);
  assert.equal((await client.ask("GET", "/api/sessions/agent%3Amain%3Amain")).body.key, MAIN);
  const long = `agent:${"a".repeat(90)}:${"b".repeat(15)}:direct:${"c".repeat(78)}`.padEnd(200, "d") as SessionKey;
  yard.open(long);
  assert.equal((await client.ask("GET", `/api/sessions/${encodeURIComponent(long)}`)).body.key, long);
  assert.equal((await client.ask("GET", "/api/sessions/agent:main:web:direct:none")).body.code, "SESSION_NOT_FOUND");
  assert.equal((await client.ask("GET", `/api/sessions/${"x".repeat(300)}`)).body.code, "SESSION_NOT_FOUND");
  assert.equal((await client.ask("GET", "/api/sessions/nobody/history")).status, 404, "what is no key names no session");
});

test("history without a number is the newest page, and asks for one direction only", async (t) => {
  const { client, yard } = await setup(t);
  const asked = async (query: string) => {
    await client.ask("GET", `/api/sessions/${MAIN}/history${query}`);
    return yard.asked.at(-1)!.input;
  };
  assert.deepEqual(await asked(""), { key: MAIN, before: Number.MAX_SAFE_INTEGER, limit: 100 });
  assert.deepEqual(await asked("?before=7&limit=2"), { key: MAIN, before: 7, limit: 2 });
  assert.deepEqual(await asked("?after=0"), { key: MAIN, after: 0, limit: 100 });
  assert.equal((await client.ask("GET", `/api/sessions/${MAIN}/history?after=1&before=7`)).status, 400);
  assert.equal((await client.ask("GET", `/api/sessions/${MAIN}/history?limit=501`)).status, 400);
});

test("filters of listings reach the store, and a mistyped one is refused instead of being passed over", async (t) => {
  const { client, yard } = await setup(t);
  const { body } = await client.ask("GET", "/api/tasks?state=queued,running&limit=5&flow=flow_1");
  assert.deepEqual(yard.asked.at(-1)!.input, { states: ["queued", "running"], flow: "flow_1", limit: 5 });
  assert.equal(body.next, "more");
  await client.ask("GET", "/api/sessions?kind=direct&archived=true");
  assert.deepEqual(yard.asked.at(-1)!.input, { kind: "direct", archived: true, limit: 50 });
  assert.match((await client.ask("GET", "/api/tasks?stat=queued")).body.message, /query\.stat: unknown field; did you mean state\?/);
  assert.equal((await client.ask("GET", "/api/tasks?state=ready")).status, 400);
  assert.equal((await client.ask("GET", "/api/tasks?limit=1&limit=2")).status, 400);
});

test("a spawn is accepted at once, with its defaults, and waits for the end only when told to", async (t) => {
  const { client, yard } = await setup(t);
  const at202 = await client.ask("POST", "/api/spawns", { task: "look", parent: "agent:reviewer:main", claims: ["src"] });
  assert.equal(at202.status, 202);
  assert.deepEqual(at202.body, { status: "accepted", taskId: TASK, flowId: "flow_1", childSessionKey: "agent:main:subagent:abc", duplicate: false });
  assert.deepEqual(yard.spawned[0], {
    task: "look", label: null, parent: "agent:reviewer:main", turnId: null, agent: "reviewer", kind: "subagent", model: null, context: "isolated", cwd: null,
    deadlineSeconds: null, delivery: "digest", cleanup: "keep", claims: ["src"], idempotencyKey: null, callback: null,
  });
  const at200 = await client.ask("POST", "/api/spawns", { task: "look", wait: true });
  assert.equal(at200.status, 200);
  assert.equal(at200.body.task.result, "done");
});

test("each child of a batch has its own supervision, or what stands beside the list", async (t) => {
  const { client, yard } = await setup(t);
  const answer = await client.ask("POST", "/api/spawns", { attempts: 3, category: "dig", claims: ["src"], spawns: [{ task: "a" }, { task: "b", attempts: 1, onEnd: "handUp", onConflict: "refuse", claims: ["docs"] }] });
  assert.equal(answer.status, 202);
  assert.deepEqual(yard.spawned.map(({ claims, supervision }) => ({ claims, supervision })), [
    { claims: ["src"], supervision: { attempts: 3, category: "dig" } },
    { claims: ["docs"], supervision: { attempts: 1, category: "dig", onEnd: "handUp", onConflict: "refuse" } },
  ]);
});

test("a caller that goes away ends the waiting and not the child", async (t) => {
  const { client, yard } = await setup(t);
  const leaving = new AbortController();
  const gaveUp = new Promise<unknown>((resolve) => {
    yard.waiting = (signal) =>
      new Promise((_, reject) => {
        signal!.addEventListener("abort", () => {
          resolve(signal!.reason);
          reject(signal!.reason);
        });
        leaving.abort();
      });
  });
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  await assert.rejects(fetch(`${client.url}/api/spawns`, { method: "POST", headers, body: JSON.stringify({ task: "long", wait: true }), signal: leaving.signal }));
  assert.ok((await gaveUp) instanceof Fault);
  assert.deepEqual(yard.asked, []);
});

test("settings are changed by flat key, and null passes through to take one back", async (t) => {
  const { client, yard } = await setup(t);
  assert.equal((await client.ask("PATCH", "/api/config", { "messages.foregroundMs": 5, "gateway.allowedHosts": null })).status, 200);
  assert.deepEqual(yard.changed, [{ "messages.foregroundMs": 5, "gateway.allowedHosts": null }]);
});

test("while the gateway drains it is alive and not ready", async (t) => {
  const { client, yard } = await setup(t);
  assert.equal((await client.ask("GET", "/readyz")).text, "ok");
  yard.draining = true;
  const ready = await client.ask("GET", "/readyz");
  assert.equal(ready.status, 503);
  assert.equal(ready.body.code, "DRAINING");
  assert.equal((await client.ask("GET", "/healthz")).text, "ok");
});

test("the figures are Prometheus text", async (t) => {
  const { client } = await setup(t);
  const { text, headers } = await client.ask("GET", "/metrics");
  assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.match(text, /^yard_sessions 1$/m);
  assert.match(text, /^yard_pool_used\{pool="main"\} 1$/m);
  for (const line of text.trimEnd().split("\n")) assert.match(line, /^(# (HELP|TYPE) yard_\w+ .+|yard_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+)$/);
});

test("the OpenAPI document names every route once, and no field of a route hides another", async (t) => {
  const { client } = await setup(t);
  const { body } = await client.ask("GET", "/api/openapi.json");
  const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`));
  const served = [...routes, ...Object.values(SPECIAL_ROUTES)].map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
  assert.deepEqual(documented.sort(), served.sort());
  const shapes = [...JSON.stringify(body).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  assert.deepEqual(shapes.filter((name) => !Object.hasOwn(body.components.schemas, name)), [], "every shape that is named is there");
  assert.equal(new Set(routes.map((route) => route.rpc)).size, routes.length);
  for (const { rpc, path, fields } of routes) {
    const names = [fields.path, fields.query, fields.body].flatMap((part) => Object.keys(part));
    assert.equal(new Set(names).size, names.length, rpc);
    assert.deepEqual([...path.matchAll(/:(\w+)/g)].map((match) => match[1]), Object.keys(fields.path), rpc);
  }
});

test("the page is served from memory: only files that are in the folder, with types from a table, and no way out of it", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "yard-page-"));
  t.after(() => rm(dir, { recursive: true }));
  const page = join(dir, "page");
  await mkdir(join(page, "assets"), { recursive: true });
  await writeFile(join(page, "index.html"), "<!doctype html>ok");
  await writeFile(join(page, "assets", "app-Ab3dEf9h.js"), "1");
  await writeFile(join(page, "secret.key"), "no");
  await writeFile(join(dir, "outside.html"), "no");
  await symlink(join(dir, "outside.html"), join(page, "link.html"));
  const { client } = await setup(t, (yard) => (yard.pageDir = page));
  const open = { authorization: undefined };

  const index = await client.ask("GET", "/", undefined, open);
  assert.equal(index.text, "<!doctype html>ok");
  assert.match(index.headers.get("content-security-policy")!, /default-src 'self'.*frame-ancestors 'none'/);
  assert.equal(index.headers.get("cache-control"), "no-cache");
  assert.equal((await client.ask("GET", "/?gatewayUrl=ws://evil", undefined, { ...open, "if-none-match": index.headers.get("etag")! })).status, 304);
  const asset = await client.ask("GET", "/assets/app-Ab3dEf9h.js", undefined, open);
  assert.match(asset.headers.get("content-type")!, /^text\/javascript/);
  assert.match(asset.headers.get("cache-control")!, /immutable/);
  for (const path of ["/secret.key", "/link.html", "/outside.html", "/../outside.html", "/%2e%2e/outside.html", "/..%2foutside.html", "/assets", "/assets/", "//etc/passwd", "/index.html%00.js", "/__proto__"]) {
    assert.equal((await rawAsk(client, { path, headers: { host: "127.0.0.1" } })).status, 404, path);
  }
});

test("without a built page the front door says how to build it", async (t) => {
  const { client } = await setup(t);
  assert.match((await client.ask("GET", "/", undefined, { authorization: undefined })).text, /npm run build/);
});

const HEAD_MS = 150;

/** A server that waits for little, and a connection that it knows of. */
async function hurried(t: TestContext): Promise<{ socket: Socket; head: string; answer: Promise<string> }> {
  const client = await new FakeYard().start({ arrival: { headMs: HEAD_MS, wholeMs: HEAD_MS * 4, checkMs: 20 } });
  t.after(() => client.close());
  const socket = connect(client.port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  await client.ask("GET", "/healthz");
  return { socket, head: `GET /api/status HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`, answer: once(socket, "data").then(([chunk]) => String(chunk)) };
}

test("a request that came while the gateway was busy for too long is answered: a slow server does not blame its caller", async (t) => {
  const { socket, head, answer } = await hurried(t);
  socket.write(head);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HEAD_MS * 2); // nothing else runs meanwhile
  assert.match(await answer, /^HTTP\/1\.1 200 /);
});

test("a request whose head or body does not come in time is told so, and its connection ends", async (t) => {
  for (const sent of ["", "GET /api/status HTTP/1.1\r\nhost:", `POST /api/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"te`]) {
    const { socket, answer } = await hurried(t);
    const ended = once(socket, "end");
    socket.write(sent);
    assert.match(await answer, /^HTTP\/1\.1 408 Request Timeout\r\n[\s\S]*"code":"REQUEST_LATE"/, sent);
    await ended;
  }
});

test("a port in use is a fault that names it", async (t) => {
  const { client } = await setup(t);
  const { makeApi } = await import("./server.ts");
  const second = makeApi({ ...({} as Parameters<typeof makeApi>[0]), clock: new FakeYard().clock, token: () => TOKEN, pageDir: null });
  await assert.rejects(second.listen({ host: "127.0.0.1", port: client.port }), (error: Fault) => error.code === "PORT_TAKEN");
  await second.close();
});

/** A spawn that waits, on a connection that its caller would keep; resolves when the child is waited for. */
async function waitOnChild(t: TestContext, client: Client, yard: FakeYard, untilGone: (signal: AbortSignal) => Promise<never>): Promise<{ answered: Promise<number | "cut off"> }> {
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const entered = new Promise<void>((resolve) => {
    yard.waiting = (signal) => {
      resolve();
      return untilGone(signal!);
    };
  });
  const answered = new Promise<number | "cut off">((resolve) => {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    const request = httpRequest(`${client.url}/api/spawns`, { method: "POST", agent, headers }, (response) => response.resume().on("end", () => resolve(response.statusCode!)));
    request.on("error", () => resolve("cut off"));
    request.end('{"task":"x","wait":true}');
  });
  await entered;
  return { answered };
}

/** Moves the clock on, bit by bit, until `done`. @returns how far. */
async function advanceUntil(yard: FakeYard, done: Promise<unknown>): Promise<number> {
  const from = yard.clock.monotonic();
  let over = false;
  void done.finally(() => (over = true));
  while (!over) {
    yard.clock.advance(50);
    await new Promise(setImmediate);
  }
  return yard.clock.monotonic() - from;
}

test("closing answers those who wait and does not wait for their connections", async (t) => {
  const { client, yard } = await setup(t);
  const windingUpMs = 200;
  const { answered } = await waitOnChild(t, client, yard, (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => yard.clock.after(windingUpMs, () => reject(signal.reason)))));
  const tookMs = await advanceUntil(yard, client.close());
  assert.equal(await answered, 503);
  assert.ok(tookMs < 3_000, `took ${tookMs} ms`);
});

test("closing cuts off after 3 s what does not end by itself", async (t) => {
  const { client, yard } = await setup(t);
  const { answered } = await waitOnChild(t, client, yard, () => new Promise(() => {}));
  assert.equal(await advanceUntil(yard, client.close()), 3_000);
  assert.equal(await answered, "cut off");
});
