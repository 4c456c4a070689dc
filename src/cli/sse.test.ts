import assert from "node:assert/strict";
import { test } from "node:test";
import { eventsIn } from "./sse.ts";

async function read(pieces: readonly Uint8Array[]): Promise<string[]> {
  const events: string[] = [];
  const body = (async function* () {
    yield* pieces;
  })();
  for await (const data of eventsIn(body)) events.push(data);
  return events;
}

test("events are the same however the network cuts them, also inside a line end or a character", async () => {
  const bytes = Buffer.from('id: 1\r\ndata: {"a":"grüße 🎈"}\r\n\r\n: alive\ndata: one\ndata:two\n\ndata: open');
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_none, index) => bytes.subarray(index * size, (index + 1) * size));
    assert.deepEqual(await read(pieces), ['{"a":"grüße 🎈"}', "one\ntwo"]);
  }
});

test("one long line in many pieces is searched once, not once per piece", async () => {
  const piece = Buffer.from("x".repeat(16));
  const from = performance.now();
  const [data] = await read([Buffer.from("data: "), ...Array.from({ length: 20_000 }, () => piece), Buffer.from("\n\n")]);
  assert.equal(data?.length, 320_000);
  assert.ok(performance.now() - from < 2000);
});
