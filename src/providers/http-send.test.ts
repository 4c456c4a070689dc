import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { BadAnswer } from "./failure.ts";
import { ERROR_BYTES_MAX, makeSend, type HttpAnswer, type HttpCall, type Send } from "./http-send.ts";

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

function get(send: Send, url: string, more: Partial<HttpCall> = {}): Promise<HttpAnswer> {
  return send({ method: "GET", url, headers: {}, signal: new AbortController().signal, ...more });
}

async function textOf(answer: HttpAnswer): Promise<string> {
  let text = "";
  await answer.read((bytes) => void (text += Buffer.from(bytes).toString()));
  return text;
}

test("a kept connection that the provider closed just then is opened again, because nothing was asked yet", async (t) => {
  const url = await listen(t, (socket, connection, request) => (connection === 1 && request === 2 ? socket.resetAndDestroy() : socket.write(ANSWER)));
  const send = makeSend();
  assert.equal(await textOf(await get(send, url)), "hi");
  assert.equal(await textOf(await get(send, url)), "hi");
});

test("a new connection that breaks is a failure, because the provider may have begun", async (t) => {
  const url = await listen(t, (socket) => socket.resetAndDestroy());
  await assert.rejects(get(makeSend(), url), { code: "ECONNRESET" });
});

test("an answer that stops short is a broken one, never a short one", async (t) => {
  const url = await listen(t, (socket) => socket.end(ANSWER.replace("length: 2", "length: 20")));
  await assert.rejects(textOf(await get(makeSend(), url)), { code: "ECONNRESET" });
});

test("an abort ends the request at once, before and during the answer", async (t) => {
  const url = await listen(t, (socket) => socket.write(ANSWER.replace("length: 2", "length: 20")));
  const send = makeSend();
  await assert.rejects(get(send, url, { signal: AbortSignal.abort() }), { name: "AbortError" });
  const during = new AbortController();
  const text = textOf(await get(send, url, { signal: during.signal }));
  during.abort();
  await assert.rejects(text);
});

test("what the reader throws ends the connection, and it is what is thrown", async (t) => {
  let closed: Promise<unknown> | undefined;
  const url = await listen(t, (socket) => {
    closed = once(socket, "close");
    socket.write(ANSWER.replace("length: 2", "length: 20"));
  });
  const answer = await get(makeSend(), url);
  await assert.rejects(
    answer.read(() => {
      throw new RangeError("enough");
    }),
    RangeError,
  );
  await closed;
});

test("a redirect is an answer like another, and is not followed", async (t) => {
  let asked = 0;
  const url = await listen(t, (socket) => {
    asked++;
    socket.end("HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
  });
  const { status, headers } = await get(makeSend(), url);
  assert.deepEqual([status, headers.location, asked], [307, "/elsewhere", 1]);
});

test("an endless refusal is cut off", async (t) => {
  const url = await listen(t, (socket) => {
    socket.write("HTTP/1.1 500 Broken\r\n\r\n");
    socket.write("x".repeat(ERROR_BYTES_MAX + 1));
  });
  await assert.rejects(textOf(await get(makeSend(), url)), BadAnswer);
});
