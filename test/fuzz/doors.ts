/** The doors: every route over HTTP and the socket, with a real server before a real store. */
import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import * as fc from "fast-check";
import { WebSocket } from "ws";
import type { Json } from "../../src/base/json.ts";
import { FakeYard, TASK, TOKEN } from "../../src/api/fake-yard.test-support.ts";
import { readParams, readRequest, type RouteDeps } from "../../src/api/route.ts";
import { routeTable, SPECIAL_ROUTES } from "../../src/api/route-table.ts";
import { FAULTS } from "../../src/model/faults.ts";
import { makeHouse, type House } from "./house.ts";
import { damageBytes, damages, forSchema, json, nastyText, objectFor } from "./hostile.ts";
import { target, unlessRefused } from "./target.ts";

const ROUTES = routeTable({} as RouteDeps);
const PATH_VALUES = ["agent:main:main", "agent:main:nobody:direct:1", "job:x", "task_1", "flow_1", "T1", "T7", "$TASK", "$FLOW", "..", ""];
const pathValue = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...PATH_VALUES) }, { weight: 1, arbitrary: nastyText });
/** `wait` keeps an answer back until a child has ended, and nothing ends here. */
const NO_WAIT = { wait: fc.constantFrom<Json | undefined>(false, "false", 1, undefined) };
const cursors: fc.Arbitrary<Json | undefined> = fc.oneof(fc.constantFrom<Json>("1.2", "0", "1000_x", "1800000000000:agent:main:main", "eyJhIjoxfQ", "[1,2]", "null"), nastyText as fc.Arbitrary<Json>);

const schemasOf = (fields: Readonly<Record<string, { readonly schema: unknown }>>): Record<string, unknown> => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.schema]));

const asked = fc.nat({ max: ROUTES.length - 1 }).chain((index) => {
  const { query, body } = ROUTES[index]!.fields;
  return fc.record({
    index: fc.constant(index),
    path: fc.array(pathValue, { minLength: 3, maxLength: 3 }),
    query: objectFor(schemasOf(query), "after" in query ? { after: fc.oneof(cursors, forSchema(query["after"]!.schema)) } : {}),
    body: fc.oneof({ weight: 8, arbitrary: objectFor(schemasOf(body), "wait" in body ? NO_WAIT : {}) }, { weight: 1, arbitrary: json }),
    damage: fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: damages }),
    encode: fc.boolean(),
  });
});
type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never;

const fields = target({
  name: "route-fields",
  fact: "path, query and body of every route are read or refused",
  share: 20,
  open: () => ({
    inputs: asked,
    async check({ index, path, query, body }) {
      const route = ROUTES[index]!;
      const names = Object.keys(route.fields.path);
      const given = Object.fromEntries(names.map((name, at) => [name, path[at]]));
      await unlessRefused(() => readRequest(route, { path: given, query, body }));
      await unlessRefused(() => readParams(route, { ...given, ...query, ...(body as object) }));
    },
  }),
});

/** What an answer must be, whatever was asked. */
function expectAnswer(status: number, text: string, logged: readonly unknown[]): void {
  assert.ok(status < 500 || status === 503, `answered ${status} ${text.slice(0, 200)}`);
  assert.deepEqual(logged, [], "no defect was logged");
  if (status < 400) return;
  const { code, message, error } = JSON.parse(text) as { code: string; message: string; error?: { message: string } };
  // Doors that speak the API of a provider refuse in its words.
  if (error !== undefined) return assert.equal(typeof error.message, "string");
  assert.ok(Object.hasOwn(FAULTS, code) && code !== "INTERNAL", `code ${code}`);
  assert.equal(typeof message, "string");
}

/** A server with a house behind it, built anew after so many uses. */
class Served {
  readonly #usesMax: number;
  #uses = 0;
  #open: { house: House; yard: FakeYard; client: Awaited<ReturnType<FakeYard["start"]>>; agent: Agent } | null = null;

  constructor(usesMax: number) {
    this.#usesMax = usesMax;
  }

  async next() {
    if (this.#open === null || this.#uses++ >= this.#usesMax) {
      await this.close();
      const house = await makeHouse();
      const yard = new FakeYard();
      const client = await yard.start({ store: house.store, sessions: house.frontDoor, trees: house.grove, lanes: () => house.store.lanes({ meanTurnMs: house.meanTurnMs }) });
      this.#open = { house, yard, client, agent: new Agent({ keepAlive: true, maxSockets: 1 }) };
      this.#uses = 0;
    }
    return this.#open!;
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    if (open === null) return;
    open.agent.destroy();
    await open.client.close();
    await open.house.close();
  }
}

const http = target({
  name: "http-routes",
  fact: "every route answers any request, and a refusal is a fault of the table",
  share: 1,
  open() {
    const served = new Served(300);
    return {
      close: () => served.close(),
      inputs: asked,
      async check(one: Asked) {
        const { house, yard, client, agent } = await served.next();
        const route = ROUTES[one.index]!;
        const values = one.path.map((value) => value.replace("$TASK", house.taskId).replace("$FLOW", house.flowId));
        const place = route.path.replace(/:\w+/g, () => encodeURIComponent((values.shift() ?? "").toWellFormed()) || "-");
        const query = Object.entries(one.query).map(([name, value]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent((typeof value === "string" ? value : JSON.stringify(value)).toWellFormed())}`).join("&");
        const body = route.method === "GET" ? null : damageBytes(Buffer.from(JSON.stringify(one.body)), one.damage);
        const { status, text } = await send(agent, client.port, route.method, query === "" ? place : `${place}?${query}`, body);
        expectAnswer(status, text, yard.logged);
        if (body !== null && !isUtf8(body)) assert.equal(status, 400, "what is no UTF-8 is refused");
      },
    };
  },
});

function send(agent: Agent, port: number, method: string, path: string, body: Uint8Array | null): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${TOKEN}`, ...(body === null ? {} : { "content-type": "application/json", "content-length": body.length }) };
    const request = httpRequest({ agent, host: "127.0.0.1", port, method, path, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part)).on("end", () => resolve({ status: response.statusCode!, text }));
    });
    request.on("error", reject);
    request.end(body ?? undefined);
  });
}

// ── bytes on the port ───────────────────────────────────────────────────────────────────────

const WHOLE = [
  `GET /api/sessions?limit=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`,
  `POST /api/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"text":"hi"}`,
  `POST /api/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nd\r\n{"text":"hi"}\r\n0\r\n\r\n`,
  `GET ${SPECIAL_ROUTES.ready.path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil\r\nConnection: close\r\n\r\n`,
  `POST ${SPECIAL_ROUTES.login.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"token":"x"}`,
];

const bytes = target({
  name: "http-bytes",
  fact: "damaged HTTP is refused as a caller's mistake or its connection is closed, and the next request is served",
  share: 0.4,
  async open() {
    const yard = new FakeYard();
    const client = await yard.start();
    return {
      close: () => client.close(),
      inputs: fc.record({ which: fc.nat({ max: WHOLE.length - 1 }), damage: damages }),
      async check({ which, damage }) {
        const answer = await converse(client.port, damageBytes(Buffer.from(WHOLE[which]!), damage));
        for (const [, status] of answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)) assert.ok(Number(status) < 500 || status === "503", answer.slice(0, 300));
        assert.deepEqual(yard.logged, []);
        yard.received.length = 0;
        yard.asked.length = 0;
        yard.clock.advance(120_000);
      },
    };
  },
});

/** Sends bytes and says that no more will come. @returns all that is answered until the connection ends. */
function converse(port: number, sent: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => (answer += data.toString("latin1"))).on("error", () => {}).on("close", () => resolve(answer));
    socket.end(sent);
  });
}

// ── frames on the socket ────────────────────────────────────────────────────────────────────

const METHODS = [...ROUTES.map(({ rpc }) => rpc), "auth", "events.subscribe", "events.unsubscribe"];
const call = fc.nat({ max: METHODS.length }).chain((index) => {
  const route = ROUTES[index];
  const schemas = route === undefined ? { session: { type: "string" }, after: { type: "string" }, subscription: { type: "string" } } : schemasOf({ ...route.fields.path, ...route.fields.query, ...route.fields.body });
  const likely = { session: fc.constantFrom<Json | undefined>("agent:main:main", "x"), taskId: fc.constantFrom<Json | undefined>(TASK, "x") };
  return fc.record({
    jsonrpc: fc.oneof({ weight: 12, arbitrary: fc.constant("2.0" as Json) }, { weight: 1, arbitrary: json }),
    id: fc.oneof({ weight: 6, arbitrary: fc.nat({ max: 1000 }) as fc.Arbitrary<Json> }, { weight: 1, arbitrary: json }),
    method: fc.oneof({ weight: 12, arbitrary: fc.constant((METHODS[index] ?? "nope") as Json) }, { weight: 1, arbitrary: json }),
    params: fc.oneof({ weight: 8, arbitrary: objectFor(schemas, likely) as fc.Arbitrary<Json> }, { weight: 1, arbitrary: json }),
  });
});
const frame = fc.oneof(
  { weight: 8, arbitrary: call.map((one) => JSON.stringify(one)) },
  { weight: 2, arbitrary: fc.array(call, { maxLength: 4 }).map((list) => JSON.stringify(list)) },
  { weight: 2, arbitrary: fc.tuple(call, damages).map(([one, damage]) => Buffer.from(damageBytes(Buffer.from(JSON.stringify(one)), damage)).toString("utf8")) },
  { weight: 1, arbitrary: fc.constantFrom("", "[]", "null", "[[[]]]", "[".repeat(1000), `[${"1,".repeat(200)}1]`, '{"jsonrpc":"2.0"}', '{"__proto__":{}}') },
  { weight: 1, arbitrary: json.map((value) => JSON.stringify(value)) },
);

const socketFrames = target({
  name: "socket-frames",
  fact: "any text frame is answered in JSON-RPC or is a notification, and the connection goes on",
  share: 1,
  async open() {
    const yard = new FakeYard();
    const client = await yard.start();
    let socket: WebSocket | null = null;
    let frames: string[] = [];
    let wake = (): void => {};
    let last = 0;
    const line = async (): Promise<WebSocket> => {
      if (socket !== null && last % 200 !== 0) return socket;
      socket?.terminate();
      socket = new WebSocket(`ws://127.0.0.1:${client.port}/api/socket`, { headers: { authorization: `Bearer ${TOKEN}` } });
      socket.on("message", (data) => {
        frames.push(String(data));
        wake();
      });
      await once(socket, "open");
      return socket;
    };
    return {
      async close() {
        socket?.terminate();
        await client.close();
      },
      inputs: frame,
      async check(text) {
        const open = await line();
        const id = `end-${++last}`;
        frames = [];
        // Wrong tokens in calls of auth are counted; time passes, so that they do not close the door.
        yard.clock.advance(1);
        open.send(text);
        open.send(JSON.stringify({ jsonrpc: "2.0", id, method: "status.get" }));
        while (!frames.some((one) => one.includes(`"id":"${id}"`))) {
          assert.ok(open.readyState === WebSocket.OPEN, "the connection goes on");
          await new Promise<void>((resolve) => (wake = resolve));
        }
        for (const one of frames) for (const reply of [JSON.parse(one)].flat()) expectReply(reply);
        assert.deepEqual(yard.logged, []);
        yard.received.length = yard.asked.length = yard.spawned.length = yard.changed.length = 0;
        if (yard.rows.size > 50) for (const key of [...yard.rows.keys()].slice(10)) yard.rows.delete(key);
      },
    };
  },
});

function expectReply(reply: Record<string, Json | undefined>): void {
  assert.equal(reply["jsonrpc"], "2.0");
  if (reply["method"] !== undefined) return assert.match(String(reply["method"]), /^event/);
  const error = reply["error"] as { code: number; data: { code: string } } | undefined;
  assert.ok((error === undefined) !== (reply["result"] === undefined), "a result or an error");
  if (error !== undefined) assert.ok(Object.hasOwn(FAULTS, error.data.code) && error.data.code !== "INTERNAL", error.data.code);
}

export const DOOR_TARGETS = [fields, http, bytes, socketFrames];
