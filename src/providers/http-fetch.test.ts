import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { ManualClock, systemClock } from "../base/clock.ts";
import { AFTER_END_MS_MAX } from "./attempt.ts";
import { makeHttpFetch } from "./http-fetch.ts";

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 2\r\n\r\nhi";

/** A server that hands each request of each connection to `answer`. */
async function listen(t: TestContext, answer: (socket: Socket, connection: number, request: number) => void): Promise<string> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    const connection = ++connections;
    let requests = 0;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => answer(socket, connection, ++requests));
  }).listen(0, "127.0.0.1");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test("a kept connection that the provider closed just then is opened again, because nothing was asked yet", async (t) => {
  const url = await listen(t, (socket, connection, request) => (connection === 1 && request === 2 ? socket.resetAndDestroy() : socket.write(ANSWER)));
  const fetch = makeHttpFetch(systemClock);
  assert.equal(await (await fetch(url)).text(), "hi");
  assert.equal(await (await fetch(url)).text(), "hi");
});

test("a new connection that breaks is a failure, because the provider may have begun", async (t) => {
  const url = await listen(t, (socket) => socket.resetAndDestroy());
  await assert.rejects(makeHttpFetch(systemClock)(url), { code: "ECONNRESET" });
});

test("an answer that stops short is a broken one, never a short one", async (t) => {
  const url = await listen(t, (socket) => socket.end(ANSWER.replace("length: 2", "length: 20")));
  const response = await makeHttpFetch(systemClock)(url);
  await assert.rejects(response.text(), { code: "ECONNRESET" });
});

test("an abort ends the request at once, before and during the answer", async (t) => {
  const url = await listen(t, (socket) => socket.write(ANSWER.replace("length: 2", "length: 20")));
  const fetch = makeHttpFetch(systemClock);
  const before = AbortSignal.abort();
  await assert.rejects(fetch(url, { signal: before }), { name: "AbortError" });
  const during = new AbortController();
  const response = await fetch(url, { signal: during.signal });
  const text = response.text();
  during.abort();
  await assert.rejects(text);
});

test("an answer that is complete and held open is over after a moment, and one that is not complete is waited for", async (t) => {
  const events = { open: 'data: {"choices":[{"delta":{"content":"\\"finish_reason\\":\\"stop"},"finish_reason":null}]}', complete: 'data: {"choices":[{"delta":{},"finish_reason": "stop"}]}' };
  for (const [name, event] of Object.entries(events)) {
    const clock = new ManualClock();
    const url = await listen(t, (socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n${event}\n\n`));
    const stop = new AbortController();
    const reader = (await makeHttpFetch(clock)(url, { signal: stop.signal })).body!.getReader();
    assert.ok(new TextDecoder().decode((await reader.read()).value).startsWith(event));
    assert.equal(clock.nextAt() !== undefined, name === "complete");
    if (name === "complete") {
      clock.advance(AFTER_END_MS_MAX);
      assert.equal((await reader.read()).done, true);
    } else stop.abort();
  }
});
