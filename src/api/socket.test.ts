import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import { WebSocket, type ClientOptions } from "ws";
import { Fault } from "../model/faults.ts";
import { FakeYard, MAIN, TASK, TOKEN, type Client, type Loose } from "./fake-yard.test-support.ts";
import { BEAT_MS, STRANGERS_MAX } from "./open-connections.ts";
import { routeTable } from "./route-table.ts";
import type { RouteDeps } from "./route.ts";
import { FRAME_BYTES_MAX } from "./socket.ts";

const BEARER = { authorization: `Bearer ${TOKEN}` };

async function setup(t: TestContext): Promise<{ yard: FakeYard; client: Client }> {
  const yard = new FakeYard();
  const client = await yard.start();
  t.after(() => client.close());
  return { yard, client };
}

/** One end of a socket; frames are taken in the order they came. */
class Line {
  readonly socket: WebSocket;
  readonly #frames: Loose[] = [];
  #wake: () => void = () => {};
  #id = 0;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => {
      this.#frames.push(JSON.parse(String(data)));
      this.#wake();
    });
  }

  static async open(client: Client, headers: ClientOptions["headers"] = BEARER): Promise<Line> {
    const line = new Line(new WebSocket(`ws://127.0.0.1:${client.port}/api/socket`, { headers: headers ?? {} }));
    await once(line.socket, "open");
    return line;
  }

  async next(): Promise<Loose> {
    while (this.#frames.length === 0) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error("the socket is closed");
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#frames.shift();
  }

  async call(method: string, params?: unknown): Promise<Loose> {
    const id = ++this.#id;
    this.say({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) });
    const reply = await this.next();
    assert.equal(reply.id, id);
    return reply.error ?? reply.result;
  }

  say(frame: unknown): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  async closed(): Promise<number> {
    if (this.socket.readyState === WebSocket.CLOSED) throw new Error("closed before it was waited for");
    const [code] = await once(this.socket, "close");
    return code as number;
  }
}

test("every route is a method: none is missing on the socket, and each reads its fields from one object", async (t) => {
  const { client } = await setup(t);
  const line = await Line.open(client);
  const params: Record<string, unknown> = { session: MAIN, taskId: TASK, flowId: "flow_1", handle: "T7", text: "hi", scope: "proxy", tokenId: "tok_1", deliveryId: "dlv_1", approvalId: "A1", answer: "once", model: "a/b", seq: 1 };
  for (const { rpc, fields } of routeTable({} as RouteDeps)) {
    const required = Object.entries({ ...fields.path, ...fields.query, ...fields.body }).filter(([, field]) => field.required).map(([name]) => [name, params[name]]);
    const answer = await line.call(rpc, { ...Object.fromEntries(required), ...(rpc === "spawns.create" ? { task: "x" } : {}) });
    assert.equal(answer.code, undefined, `${rpc}: ${JSON.stringify(answer)}`);
  }
  line.socket.terminate();
});

test("a call runs what HTTP runs: same fields, same faults, by name of the method", async (t) => {
  const { yard, client } = await setup(t);
  const line = await Line.open(client);
  assert.equal((await line.call("messages.send", { text: "hi", peer: "7" })).session, "agent:main:api:direct:7");
  assert.equal(yard.received[0]!.mayCommand, true);
  assert.equal((await line.call("sessions.list")).sessions.length, 2);

  const unknown = await line.call("sessions.get", { session: "agent:main:web:direct:none" });
  assert.equal(unknown.code, -32000);
  assert.equal(unknown.data.code, "SESSION_NOT_FOUND");
  assert.match((await line.call("messages.send", { txt: "hi" })).message, /params\.txt: unknown field; did you mean text\?/);
  assert.equal((await line.call("nothing.here")).code, -32601);
  assert.deepEqual(await line.call("config.patch", { "a.b": 1 }), { changed: [] });
  assert.deepEqual(yard.changed, [{ "a.b": 1 }]);

  yard.refusal = new Fault("LANE_FULL", { session: MAIN, queued: 9, queuedMax: 9 }, { retryAfterMs: 50 });
  assert.equal((await line.call("messages.send", { text: "hi" })).data.retryAfterMs, 50);
  line.socket.terminate();
});

test("a frame that is no call is answered with the error that JSON-RPC has for it, and the connection stays", async (t) => {
  const { client } = await setup(t);
  const line = await Line.open(client);
  const cases: [frame: string, code: number][] = [
    ["{nope", -32700],
    ['{"__proto__": {}}', -32700],
    ["[".repeat(100) + "]".repeat(100), -32700],
    ["", -32600],
    ["7", -32600],
    ["[]", -32600],
    ["{}", -32600],
    ['{"jsonrpc":"2.0","id":{},"method":"status.get"}', -32600],
    ['{"jsonrpc":"1.0","id":1,"method":"status.get"}', -32600],
    [JSON.stringify(Array(101).fill({ jsonrpc: "2.0", id: 1, method: "status.get" })), -32600],
  ];
  for (const [frame, code] of cases) {
    line.say(frame);
    assert.equal((await line.next()).error.code, code, frame.slice(0, 60));
  }
  assert.equal((await line.call("status.get")).generation, 3);
  line.socket.terminate();
});

test("a batch is answered as one, in order, without those that wanted no answer", async (t) => {
  const { yard, client } = await setup(t);
  const line = await Line.open(client);
  line.say([{ jsonrpc: "2.0", id: "a", method: "status.get" }, { jsonrpc: "2.0", method: "messages.send", params: { text: "hi" } }, 5, { jsonrpc: "2.0", id: null, method: "none" }]);
  const replies = await line.next();
  assert.deepEqual(replies.map((reply: Loose) => [reply.id, reply.error?.code]), [["a", undefined], [null, -32600], [null, -32601]]);
  assert.equal(yard.received.length, 1);
  line.socket.terminate();
});

test("a subscription is named before its first event, follows the log, and ends when told to", async (t) => {
  const { yard, client } = await setup(t);
  yard.happen(MAIN, { n: 1 });
  yard.happen(MAIN, { n: 2 });
  const line = await Line.open(client);
  const { subscription } = await line.call("events.subscribe", { session: MAIN, after: 1 });
  const told = await line.next();
  assert.deepEqual([told.method, told.params.subscription, told.params.event.seq, told.id], ["event", subscription, 2, undefined]);
  yard.show(MAIN, "thin");
  assert.equal((await line.next()).params.event.type, "text.delta");

  const second = await line.call("events.subscribe", { after: "now" });
  yard.happen(MAIN);
  const both = [await line.next(), await line.next()];
  assert.deepEqual(both.map((frame) => frame.params.subscription), [subscription, second.subscription]);

  assert.deepEqual(await line.call("events.unsubscribe", { subscription }), { ended: true });
  assert.deepEqual(await line.call("events.unsubscribe", { subscription }), { ended: false });
  assert.equal(yard.followers.size, 1);
  assert.equal((await line.call("events.subscribe", { session: "agent:main:subagent:none" })).data.code, "SESSION_NOT_FOUND");
  line.socket.close();
  await line.closed();
  while (yard.followers.size > 0) await new Promise(setImmediate);
});

test("a subscription that is ended in the batch that began it never begins", async (t) => {
  const { yard, client } = await setup(t);
  const line = await Line.open(client);
  line.say([{ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: {} }, { jsonrpc: "2.0", id: 2, method: "events.unsubscribe", params: { subscription: "s1" } }]);
  assert.deepEqual((await line.next()).map((reply: Loose) => reply.result), [{ subscription: "s1" }, { ended: true }]);
  await line.call("status.get");
  assert.equal(yard.followers.size, 0);
  line.socket.terminate();
});

test("a subscriber that falls behind costs no memory and loses nothing", async (t) => {
  const { yard, client } = await setup(t);
  const line = await Line.open(client);
  await line.call("events.subscribe", {});
  line.socket.pause();
  const total = 3_000;
  for (let n = 0; n < total; n++) {
    yard.happen(MAIN, { text: "x".repeat(10_000) });
    if (n % 20 === 0) await new Promise(setImmediate);
    if (n === total - 1) assert.equal(yard.followers.size, 0);
  }
  line.socket.resume();
  for (let seq = 1; seq <= total; seq++) assert.equal((await line.next()).params.event.seq, seq);
  line.socket.terminate();
});

test("a socket may be opened with nothing and say the token first; nothing else is done before that", async (t) => {
  const { yard, client } = await setup(t);
  const good = await Line.open(client, {});
  assert.deepEqual(await good.call("auth", { token: TOKEN }), { authorized: true });
  assert.equal((await good.call("status.get")).generation, 3);

  for (const frame of [{ jsonrpc: "2.0", id: 1, method: "messages.send", params: { text: "hi" } }, { jsonrpc: "2.0", id: 1, method: "auth", params: { token: "wrong" } }]) {
    const stranger = await Line.open(client, {});
    const closed = stranger.closed();
    stranger.say(frame);
    assert.equal((await stranger.next()).error.data.code, "UNAUTHORIZED");
    assert.equal(await closed, 4401);
  }
  assert.equal(yard.received.length, 0);
  good.socket.terminate();
});

test("a socket that does not say the token in 5 s is closed, and so is one that sends much before it", async (t) => {
  const { yard, client } = await setup(t);
  const silent = await Line.open(client, {});
  const closed = silent.closed();
  yard.clock.advance(5_000);
  assert.equal(await closed, 4401);

  const loud = await Line.open(client, {});
  const dropped = loud.closed();
  loud.say("x".repeat(70_000));
  assert.equal(await dropped, 4401);
});

test("sockets without a token are few at a time, so that strangers cannot fill the gateway", async (t) => {
  const { client } = await setup(t);
  const strangers = await Promise.all(Array.from({ length: STRANGERS_MAX }, () => Line.open(client, {})));
  await assert.rejects(Line.open(client, {}), /429/);
  const known = await Line.open(client);
  for (const { socket } of [...strangers, known]) socket.terminate();
});

test("a wrong bearer, a foreign page, and a cookie from no page open no socket", async (t) => {
  const { client } = await setup(t);
  const login = await client.ask("POST", "/api/login", { token: TOKEN }, { authorization: undefined });
  const cookie = login.headers.get("set-cookie")!.split(";")[0]!;
  const origin = `http://localhost:${client.port}`;

  await assert.rejects(Line.open(client, { authorization: "Bearer wrong" }), /401/);
  await assert.rejects(Line.open(client, { cookie, origin: "http://127.0.0.1.evil.com" }), /403/);
  await assert.rejects(Line.open(client, { cookie, origin: "null" }), /403/);
  const page = await Line.open(client, { cookie, origin });
  assert.equal((await page.call("status.get")).generation, 3);
  const noPage = await Line.open(client, { cookie });
  assert.equal((await noPage.call("status.get")).data.code, "UNAUTHORIZED");
  page.socket.terminate();
});

test("a frame over the limit closes the connection with the number for that", async (t) => {
  const { client } = await setup(t);
  const line = await Line.open(client);
  const closed = line.closed();
  line.say("x".repeat(FRAME_BYTES_MAX + 1));
  assert.equal(await closed, 1009);
});

test("a changed token closes the sockets that were opened with the old one, and what they still say is not heard", async (t) => {
  const { yard, client } = await setup(t);
  const line = await Line.open(client);
  const closed = line.closed();
  yard.token = "n".repeat(43);
  yard.clock.advance(BEAT_MS);
  line.say({ jsonrpc: "2.0", id: 1, method: "messages.send", params: { text: "too late" } });
  assert.equal(await closed, 4401);
  assert.deepEqual(yard.received, []);
});

test("a socket that answers no ping is let go", async (t) => {
  const { yard, client } = await setup(t);
  const line = new Line(new WebSocket(`ws://127.0.0.1:${client.port}/api/socket`, { headers: BEARER, autoPong: false }));
  await once(line.socket, "open");
  const closed = line.closed();
  yard.clock.advance(30_000);
  await once(line.socket, "ping");
  yard.clock.advance(30_000);
  assert.equal(await closed, 1006);
});

test("closing the gateway says so to its sockets, and ends what they wait for", async (t) => {
  const { yard, client } = await setup(t);
  const line = await Line.open(client);
  const ended = new Promise((resolve) => {
    yard.waiting = (signal) => new Promise((_, reject) => signal!.addEventListener("abort", () => (resolve(signal!.reason), reject(signal!.reason))));
  });
  line.say({ jsonrpc: "2.0", id: 1, method: "spawns.create", params: { task: "x", wait: true } });
  while (yard.spawned.length === 0) await new Promise(setImmediate);
  const closed = line.closed();
  await client.close();
  assert.equal(await closed, 1001);
  assert.ok((await ended) instanceof Fault);
  assert.equal(yard.clock.nextAt(), undefined);
});

test("a request that asks for an upgrade elsewhere is answered as any other, and one that could not become a socket is refused at once", async (t) => {
  const { client } = await setup(t);
  const asked = async (head: string): Promise<string> => {
    const socket = connect(client.port, "127.0.0.1");
    socket.end(`${head}\r\nhost: 127.0.0.1:${client.port}\r\nauthorization: Bearer ${TOKEN}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    let said = "";
    for await (const chunk of socket) said += chunk;
    return said.split("\r\n", 1)[0]!;
  };
  assert.equal(await asked("GET /healthz HTTP/1.1"), "HTTP/1.1 200 OK");
  assert.equal(await asked("GET /api/nothing HTTP/1.1"), "HTTP/1.1 404 Not Found");
  assert.equal(await asked("POST /api/messages HTTP/1.1\r\ncontent-length: 2"), "HTTP/1.1 400 Bad Request");
  assert.equal(await asked("GET /api/socket HTTP/1.1\r\nsec-websocket-version: 1"), "HTTP/1.1 400 Bad Request");
});
