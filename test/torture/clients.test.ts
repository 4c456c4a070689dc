/**
 * Bad clients against the real gateway: sockets that drop at every frame, never read, are half dead or
 * come and go all the time. What was acknowledged is judged by the log; what a client costs, by the
 * process itself.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { WebSocket } from "ws";
import type { ApiEvent, LanesAnswer, MessageAccepted } from "../../src/api/wire.ts";
import { bounded, isReplyTo, standinConfig, startGateway, type Gateway } from "../support/gateway.ts";
import { wasTooBusy, watchMachine } from "../support/machine-load.ts";
import { startModel } from "../support/model.ts";

const SESSION = "agent:main:api:direct:dropper";
const WAIT_MS = 20_000;
/** What one client that never reads may cost; its own bound is 8 MB and the kernel's buffers come on top. */
const SLOW_READER_MB_MAX = 96;

async function setup(t: TestContext): Promise<Gateway> {
  const model = await startModel(t);
  return startGateway(t, { config: standinConfig(model.url, { "agents.defaults.maxConcurrent": 32 }) });
}

test("a socket that drops at any frame, and says the rest again on a new one, has every message accepted once and misses no event", async (t) => {
  const gateway = await setup(t);
  const ids = Array.from({ length: 6 }, (_none, n) => `frame${n}`);
  await gateway.ask("! say hello", { session: SESSION });
  /** What the client got, over all its sockets. */
  const got: ApiEvent[] = [];
  const acknowledged = new Map<string, string>();
  // Frames of one life: auth, subscribe, then one call per message; and the answers and events that come back.
  for (let framesMax = 1; framesMax <= 2 * ids.length + 6; framesMax++) {
    const socket = new Client(gateway, framesMax);
    socket.onEvent = (event) => void got.push(event);
    await socket.live(async () => {
      await socket.call("auth", { token: gateway.token });
      await socket.call("events.subscribe", { session: SESSION, after: got.at(-1)?.seq ?? 0 });
      for (const id of ids) {
        const { messageId } = await socket.call<MessageAccepted>("messages.send", { session: SESSION, text: `! say ${id}`, clientMessageId: id });
        assert.equal(acknowledged.get(id) ?? messageId, messageId, "a message that was sent again is the same one");
        acknowledged.set(id, messageId);
      }
    });
  }
  const last = new Client(gateway, Infinity);
  const finished = Promise.withResolvers<void>();
  last.onEvent = (event) => {
    got.push(event);
    if (ids.every((id) => got.some((each) => isReplyTo(each, acknowledged.get(id)!)))) finished.resolve();
  };
  await last.live(async () => {
    await last.call("auth", { token: gateway.token });
    for (const id of ids) acknowledged.set(id, (await last.call<MessageAccepted>("messages.send", { session: SESSION, text: `! say ${id}`, clientMessageId: id })).messageId);
    await last.call("events.subscribe", { session: SESSION, after: got.at(-1)?.seq ?? 0 });
    last.onEvent({ type: "none", data: {} } as unknown as ApiEvent);
    got.pop();
    await bounded(WAIT_MS, "the replies did not come", finished.promise);
  });

  const stored: ApiEvent[] = [];
  for await (const event of gateway.events(SESSION)) {
    if (event.seq !== undefined) stored.push(event);
    if (event.seq === got.at(-1)!.seq) break;
  }
  assert.deepEqual(got.map(({ seq }) => seq), stored.map(({ seq }) => seq), "what came over all sockets is the log, each event once and in order");
  const accepted = stored.filter(({ type }) => type === "message.accepted").flatMap(({ data }) => data["clientMessageId"] ?? []);
  assert.deepEqual(accepted.toSorted(), ids.toSorted());
});

test("a connection that ends inside a request or a frame leaves nothing behind and takes nothing of the others", async (t) => {
  const gateway = await setup(t);
  const whole = Buffer.from(requestFor(gateway, "cut off"));
  for (let length = 1; length < whole.length; length += 7) {
    const socket = await raw(gateway);
    socket.write(whole.subarray(0, length));
    socket.destroy();
  }
  // Half open: upgraded, then neither a frame nor a good-bye.
  const halfOpen = await Promise.all(Array.from({ length: 20 }, () => raw(gateway)));
  for (const socket of halfOpen) socket.write(`GET /api/socket HTTP/1.1\r\nhost: ${new URL(gateway.url).host}\r\nauthorization: Bearer ${gateway.token}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  await Promise.all(halfOpen.map((socket) => once(socket, "data")));
  for (const socket of halfOpen) socket.write(Buffer.from([0x81, 0xff, 0x00]));
  assert.equal(await gateway.ask("! say still here"), "still here");
  for (const socket of halfOpen) socket.destroy();
  const texts: string[] = [];
  for await (const event of gateway.events()) {
    if (event.type === "message.accepted") texts.push(String(event.data["text"]));
    if (event.type === "reply") break;
  }
  assert.deepEqual(texts, ["! say still here"]);
});

test("a client that reads nothing costs no more than its bound, however much is said, and others do not wait for it", { timeout: 120_000 }, async (t) => {
  const gateway = await setup(t);
  await loud(gateway);
  const before = residentMb(gateway);
  const slow = await raw(gateway);
  slow.pause();
  slow.write(`GET /api/events?after=0 HTTP/1.1\r\nhost: ${new URL(gateway.url).host}\r\nauthorization: Bearer ${gateway.token}\r\n\r\n`);
  const deaf = new WebSocket(`${gateway.url.replace("http", "ws")}/api/socket`, { headers: { authorization: `Bearer ${gateway.token}` } });
  await once(deaf, "open");
  deaf.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: { after: 0 } }));
  deaf.pause();
  deaf.on("error", () => {});
  await loud(gateway);
  await loud(gateway);
  const asked = performance.now();
  const lost = watchMachine();
  assert.equal((await gateway.call("GET", "/api/status")).status, 200);
  assert.ok(performance.now() - asked < 2_000 || wasTooBusy(lost()));
  const grown = residentMb(gateway) - before;
  assert.ok(grown < SLOW_READER_MB_MAX, `${Math.round(grown)} MB more`);
  deaf.terminate();
  slow.destroy();
});

test("a client that connects and leaves three hundred times costs no descriptor", async (t) => {
  const gateway = await setup(t);
  await gateway.ask("! say warm");
  const before = descriptors(gateway);
  for (let round = 0; round < 30; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async (_none, n) => {
        const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/api/socket`, { headers: { authorization: `Bearer ${gateway.token}` } });
        socket.on("error", () => {});
        if (n % 3 !== 0) await once(socket, "open");
        if (n % 3 === 1) socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: {} }));
        const closed = new Promise((resolve) => socket.once("close", resolve));
        socket.terminate();
        await closed;
      }),
    );
  }
  assert.equal(await gateway.ask("! say done"), "done");
  const until = performance.now() + WAIT_MS;
  while (descriptors(gateway) > before + 5 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(descriptors(gateway) <= before + 5, `${before} descriptors before, ${descriptors(gateway)} after`);
});

/** Eight conversations are answered with 12 MB in all. */
async function loud(gateway: Gateway): Promise<void> {
  for (let round = 0; round < 4; round++) for (let n = 0; n < 8; n++) await gateway.send("! write 400000", { session: `agent:main:api:direct:loud${n}` });
  while ((await gateway.api<LanesAnswer>("GET", "/api/lanes")).lanes.length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** A client whose socket drops, without a word, once so many frames have crossed it. */
class Client {
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, { resolve: (value: unknown) => void; reject: (cause: unknown) => void }>();
  #framesLeft: number;
  #lastId = 0;
  onEvent: (event: ApiEvent) => void = () => {};

  constructor(gateway: Gateway, framesMax: number) {
    this.#framesLeft = framesMax;
    this.#socket = new WebSocket(`${gateway.url.replace("http", "ws")}/api/socket`);
    this.#socket.on("error", () => {});
    this.#socket.on("message", (data) => {
      if (!this.#crosses()) return;
      const { id, result, error, params } = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: { message: string }; params?: { event?: ApiEvent } };
      if (id === undefined) {
        if (params?.event?.seq !== undefined) this.onEvent(params.event);
      } else if (error !== undefined) this.#calls.get(id)?.reject(new Error(error.message));
      else this.#calls.get(id)?.resolve(result);
    });
    this.#socket.on("close", () => {
      for (const { reject } of this.#calls.values()) reject(new Dropped());
    });
  }

  /** Resolves when the story is told or the socket dropped. */
  async live(story: () => Promise<void>): Promise<void> {
    await once(this.#socket, "open");
    const closed = once(this.#socket, "close");
    try {
      await story();
    } catch (cause) {
      if (!(cause instanceof Dropped)) throw cause;
    }
    this.#socket.terminate();
    await closed;
  }

  call<T = object>(method: string, params: object): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const id = ++this.#lastId;
      this.#calls.set(id, { resolve: resolve as (value: unknown) => void, reject });
      if (this.#socket.readyState !== WebSocket.OPEN) return reject(new Dropped());
      this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }), () => this.#crosses());
    });
  }

  /** Counts a frame; false = the socket is gone with it. */
  #crosses(): boolean {
    if (this.#framesLeft <= 0) return false;
    if (--this.#framesLeft === 0) this.#socket.terminate();
    return this.#framesLeft > 0;
  }
}

class Dropped extends Error {
  override readonly name = "Dropped";
}

async function raw(gateway: Gateway): Promise<Socket> {
  const { hostname, port } = new URL(gateway.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

function requestFor(gateway: Gateway, text: string): string {
  const body = JSON.stringify({ text });
  return `POST /api/messages HTTP/1.1\r\nhost: ${new URL(gateway.url).host}\r\nauthorization: Bearer ${gateway.token}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function descriptors({ pid }: Gateway): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function residentMb({ pid }: Gateway): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}
