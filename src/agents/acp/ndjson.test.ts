import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { AnyMessage } from "@agentclientprotocol/sdk";
import fc from "fast-check";
import type { Json, JsonObject } from "../../base/json.ts";
import { LINE_MAX_BYTES, LineTooLong, openLines } from "./ndjson.ts";

function setup() {
  const output = new PassThrough();
  const input = new PassThrough();
  const updates: JsonObject[] = [];
  const results: Json[] = [];
  const lines = openLines({ output, input, onUpdate: (params) => updates.push(params), onResult: (result) => results.push(result), onNoise() {} });
  async function passed(): Promise<AnyMessage[]> {
    const messages: AnyMessage[] = [];
    for await (const message of lines.stream.readable) messages.push(message);
    return messages;
  }
  return { output, input, updates, results, lines, passed };
}

test("messages come whole, however the bytes are cut", async () => {
  const message = { jsonrpc: "2.0", method: "note", params: { text: "a\u{1F600}ö" } };
  const bytes = Buffer.from(`${JSON.stringify(message)}\r\n${JSON.stringify(message)}\n`);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 6 }), async (cuts) => {
      const { output, passed } = setup();
      const ends = [...cuts, bytes.length].sort((a, b) => a - b);
      let from = 0;
      for (const end of ends) {
        if (end > from) output.write(bytes.subarray(from, end));
        from = Math.max(from, end);
      }
      output.end();
      assert.deepEqual(await passed(), [message, message]);
    }),
    { seed: 7, numRuns: 40 },
  );
});

test("only answers to what was asked, and requests with an id of their own, are passed on", async () => {
  const { output, updates, results, lines, passed } = setup();
  const writer = lines.stream.writable.getWriter();
  await writer.write({ jsonrpc: "2.0", id: 0, method: "initialize" });
  const send = (message: unknown): boolean => output.write(`${JSON.stringify(message)}\n`);
  send({ id: 1, result: "to nothing" });
  send({ id: 0, result: "mine" });
  send({ id: 0, result: "twice" });
  send({ id: 7, method: "ask" });
  send({ id: 7, method: "ask again under the same id" });
  send({ id: null, method: "no id" });
  send([{ id: 8, method: "in a list" }]);
  send({ method: "session/update", params: { n: 1 } });
  output.end("not json\n7\n");
  assert.deepEqual(await passed(), [{ id: 0, result: "mine" }, { id: 7, method: "ask" }]);
  assert.deepEqual(updates, [{ n: 1 }]);
  assert.deepEqual(results, ["mine"]);
  assert.equal(lines.noise(), 7);
});

test("an id may be used again when its request was answered", async () => {
  const { output, lines } = setup();
  const reader = lines.stream.readable.getReader();
  const writer = lines.stream.writable.getWriter();
  output.write('{"id":7,"method":"ask"}\n');
  await reader.read();
  await writer.write({ jsonrpc: "2.0", id: 7, result: {} });
  output.write('{"id":7,"method":"ask"}\n');
  assert.equal((await reader.read()).done, false);
  output.end();
});

test("requests over the limit are answered at once, so that none waits for ever", async () => {
  const { output, input, lines } = setup();
  const reader = lines.stream.readable.getReader();
  for (let id = 0; id < 1025; id++) output.write(`{"id":${id},"method":"ask"}\n`);
  for (let id = 0; id < 1024; id++) await reader.read();
  const [line] = (await input.iterator({ destroyOnReturn: false }).next()).value.toString().split("\n");
  assert.deepEqual([JSON.parse(line).id, JSON.parse(line).error.code], [1024, -32_005]);
  output.end();
});

test("a line over the limit ends the conversation, because nobody knows what it answered", async () => {
  const { output, passed } = setup();
  const reading = passed();
  output.end("x".repeat(LINE_MAX_BYTES + 1));
  await assert.rejects(reading, LineTooLong);
});
