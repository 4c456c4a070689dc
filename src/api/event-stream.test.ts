import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import type { SessionKey } from "../base/ids.ts";
import { FakeYard, MAIN, TOKEN, type Client, type Loose } from "./fake-yard.test-support.ts";
import { BEAT_MS } from "./open-connections.ts";

const OTHER = "agent:main:web:direct:1" as SessionKey;

async function setup(t: TestContext): Promise<{ yard: FakeYard; client: Client }> {
  const yard = new FakeYard();
  yard.open(OTHER);
  const client = await yard.start();
  t.after(() => client.close());
  return { yard, client };
}

/** Reads blocks of a stream until there are enough; blank ones and `retry` are passed over. */
class Stream {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(response: Response) {
    this.response = response;
    this.#reader = response.body!.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader();
  }

  static async open(client: Client, query: string, headers: Record<string, string> = {}): Promise<Stream> {
    return new Stream(await fetch(`${client.url}/api/events${query}`, { headers: { authorization: `Bearer ${TOKEN}`, ...headers } }));
  }

  async take(count: number): Promise<string[]> {
    const blocks: string[] = [];
    while (blocks.length < count) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        if (!block.startsWith("retry:")) blocks.push(block);
        continue;
      }
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`the stream ended after ${JSON.stringify(blocks)}`);
      this.#text += value;
    }
    return blocks;
  }

  async ended(): Promise<boolean> {
    while (!(await this.#reader.read()).done);
    return true;
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}

const idsOf = (blocks: readonly string[]): string[] => blocks.map((block) => /^id: (\d+)\ndata: /.exec(block)?.[1] ?? "none");
const dataOf = (block: string): Loose => JSON.parse(block.slice(block.indexOf("data: ") + 6));

test("a reader gets what was stored and then what happens, each with its number as id, and frames without one", async (t) => {
  const { yard, client } = await setup(t);
  yard.happen(MAIN, { text: "one\ntwo\r" });
  yard.happen(OTHER);
  const stream = await Stream.open(client, `?session=${MAIN}`);
  assert.equal(stream.response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(stream.response.headers.get("cache-control"), "no-store");
  assert.equal(stream.response.headers.get("x-accel-buffering"), "no");
  const [stored] = await stream.take(1);
  assert.deepEqual(dataOf(stored!), { seq: 1, session: MAIN, at: yard.clock.now(), type: "notice", data: { text: "one\ntwo\r" }, cursor: 1 });

  yard.show(MAIN, "thin");
  yard.happen(MAIN);
  yard.happen(OTHER);
  const [frame, next] = await stream.take(2);
  assert.match(frame!, /^data: /);
  assert.deepEqual([dataOf(frame!).type, dataOf(frame!).seq], ["text.delta", undefined]);
  assert.deepEqual(idsOf([next!]), ["2"]);
  await stream.close();
});

test("a reader is told which events are gone, with the number to go on after, so that it never misses any in silence", async (t) => {
  const { yard, client } = await setup(t);
  const stream = await Stream.open(client, `?session=${MAIN}`);
  while (yard.followers.size === 0) await new Promise((resolve) => setImmediate(resolve));
  yard.forget(MAIN, 7);
  const [told] = await stream.take(1);
  assert.deepEqual(idsOf([told!]), ["7"]);
  assert.deepEqual(dataOf(told!), { session: MAIN, at: yard.clock.now(), type: "resync", data: { after: 0, upTo: 7 } });
  await stream.close();
});

test("a reader that lost its connection goes on after its last id, which wins over the query", async (t) => {
  const { yard, client } = await setup(t);
  for (let n = 0; n < 5; n++) yard.happen(MAIN);
  const resumed = await Stream.open(client, `?session=${MAIN}&after=0`, { "last-event-id": "3" });
  assert.deepEqual(idsOf(await resumed.take(2)), ["4", "5"]);
  await resumed.close();
});

test("without a session the ids are cursors over all of them", async (t) => {
  const { yard, client } = await setup(t);
  yard.happen(MAIN);
  yard.happen(OTHER);
  yard.happen(MAIN);
  const all = await Stream.open(client, "?after=1");
  const blocks = await all.take(2);
  assert.deepEqual(idsOf(blocks), ["2", "3"]);
  assert.deepEqual(blocks.map((block) => dataOf(block).session), [OTHER, MAIN]);
  await all.close();
});

test("after=now begins with what happens next", async (t) => {
  const { yard, client } = await setup(t);
  for (let n = 0; n < 3; n++) yard.happen(MAIN);
  for (const [query, id] of [["?after=now", "4"], [`?session=${MAIN}&after=now`, "5"]] as const) {
    const stream = await Stream.open(client, query);
    yard.happen(MAIN);
    assert.deepEqual(idsOf(await stream.take(1)), [id]);
    await stream.close();
  }
});

test("a stream of what is not there, or from nowhere, is a fault and no stream", async (t) => {
  const { client } = await setup(t);
  assert.equal((await client.ask("GET", "/api/events?session=agent:main:subagent:none")).body.code, "SESSION_NOT_FOUND");
  assert.equal((await client.ask("GET", "/api/events?after=yesterday")).body.code, "BAD_REQUEST");
  assert.equal((await client.ask("GET", "/api/events?after=-1")).status, 400);
  assert.equal((await client.ask("GET", "/api/events", undefined, { "last-event-id": "x" })).status, 400);
});

test("a silent stream gets a comment every 15 s", async (t) => {
  const { yard, client } = await setup(t);
  const stream = await Stream.open(client, "");
  yard.clock.advance(15_000);
  assert.deepEqual(await stream.take(1), [":"]);
  await stream.close();
});

test("a changed token ends the streams that were opened with the old one within 5 s", async (t) => {
  const { yard, client } = await setup(t);
  const stream = await Stream.open(client, "");
  yard.token = "n".repeat(43);
  yard.clock.advance(5_000);
  assert.ok(await stream.ended());
  assert.equal(yard.followers.size, 0);
});

test("a reader that goes away is no longer followed, and leaves no timer", async (t) => {
  const { yard, client } = await setup(t);
  const socket = await openRaw(client);
  assert.equal(yard.followers.size, 1);
  socket.destroy();
  while (yard.followers.size > 0) await new Promise(setImmediate);
  assert.equal(yard.clock.nextAt(), undefined);
});

test("closing the gateway ends the streams", async (t) => {
  const { client } = await setup(t);
  const stream = await Stream.open(client, "");
  await Promise.all([stream.ended(), client.close()]);
});

const EVENTS = 3_000;
const EVENT_TEXT = "x".repeat(10_000);

test("a reader that falls behind costs no memory and loses nothing: it gets the rest from the log when it has caught up", async (t) => {
  const { yard, client } = await setup(t);
  const socket = await openRaw(client);
  socket.pause();
  for (let n = 0; n < EVENTS && yard.followers.size > 0; n++) {
    yard.happen(MAIN, { text: EVENT_TEXT });
    if (n % 20 === 0) await new Promise(setImmediate);
  }
  assert.equal(yard.followers.size, 0, "30 MB went nowhere and the log is still being read into memory");
  while (yard.events.length < EVENTS) yard.happen(MAIN, { text: EVENT_TEXT });

  const ids: number[] = [];
  let rest = "";
  socket.on("data", (chunk) => {
    rest += String(chunk);
    for (const match of rest.matchAll(/id: (\d+)\n/g)) ids.push(Number(match[1]));
    rest = rest.slice(Math.max(0, rest.lastIndexOf("\n") - 20)).replace(/id: \d+\n/g, "");
  });
  socket.resume();
  while (ids.at(-1) !== EVENTS) await once(socket, "data");
  assert.deepEqual(ids, Array.from({ length: EVENTS }, (_, n) => n + 1));
  socket.destroy();
});

test("a reader that takes nothing at all for 30 s is let go", async (t) => {
  const { yard, client } = await setup(t);
  const socket = await openRaw(client);
  socket.pause();
  socket.on("error", () => {});
  while (yard.followers.size > 0) {
    yard.happen(MAIN, { text: EVENT_TEXT });
    if (yard.events.length % 20 === 0) await new Promise(setImmediate);
  }
  assert.notEqual(yard.clock.nextAt(), undefined);
  for (let n = 0; n < 11; n++) yard.clock.advance(BEAT_MS);
  while (yard.clock.nextAt() !== undefined) await new Promise(setImmediate);
  socket.destroy();
});

/** A stream over all sessions on a bare connection, already followed. */
async function openRaw(client: Client): Promise<Socket> {
  const socket = connect(client.port, "127.0.0.1");
  socket.write(`GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
  await once(socket, "data");
  return socket;
}
