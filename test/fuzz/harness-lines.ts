/** What a coding agent writes to its standard output: lines of JSON-RPC, and everything else. */
import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import * as fc from "fast-check";
import { openLines } from "../../src/agents/acp/ndjson.ts";
import type { Json } from "../../src/base/json.ts";
import { cutInto, cuts, damageBytes, damages, json, nastyText } from "./hostile.ts";
import { target } from "./target.ts";

/** Requests of ours that wait for their answers. */
const ASKED = 3;

const id = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: ASKED + 1 }) }, { weight: 1, arbitrary: fc.oneof(json, nastyText) });
const method = fc.oneof(fc.constantFrom("session/update", "session/request_permission", "fs/read_text_file", "terminal/create"), nastyText);
const message = fc.oneof(
  fc.record({ jsonrpc: fc.constant("2.0"), id, result: json }),
  fc.record({ jsonrpc: fc.constant("2.0"), id, error: fc.oneof(fc.record({ code: fc.integer(), message: nastyText }), json) }),
  fc.record({ jsonrpc: fc.constant("2.0"), method, params: fc.oneof(fc.record({ sessionId: nastyText, update: json }), json) }),
  fc.record({ jsonrpc: fc.constant("2.0"), id, method, params: json }, { requiredKeys: ["id", "method"] }),
);
const line = fc.oneof(
  { weight: 6, arbitrary: message.map((one) => JSON.stringify(one)) },
  { weight: 1, arbitrary: json.map((one) => JSON.stringify(one)) },
  { weight: 1, arbitrary: nastyText.map((text) => text.replaceAll("\n", "")) },
  { weight: 1, arbitrary: fc.array(message, { maxLength: 3 }).map((batch) => JSON.stringify(batch)) },
);

interface Read {
  readonly messages: readonly unknown[];
  readonly updates: readonly unknown[];
  readonly results: readonly Json[];
  readonly noise: number;
  readonly written: string;
}

const lines = target({
  name: "harness-lines",
  fact: "each line of a coding agent is one message, one update or noise, however it is cut; it answers only what was asked, once",
  share: 4,
  open: () => ({
    inputs: fc.record({ lines: fc.array(line, { maxLength: 10 }), end: fc.constantFrom("\n", "\r\n"), sizes: cuts, damage: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: damages }) }),
    async check({ lines: given, end, sizes, damage }) {
      const sent = damageBytes(Buffer.from(given.map((one) => one + end).join("")), damage);
      const whole = await read([sent]);
      assert.deepEqual(await read(cutInto(sent, sizes)), whole);
      // What has no end was never said.
      const told = Buffer.from(sent).toString("latin1").split("\n").slice(0, -1).map((one) => Buffer.from(one, "latin1").toString("utf8").trim()).filter((one) => one !== "");
      const answered = whole.written.split("\n").filter((one) => one !== "").length - ASKED;
      assert.equal(whole.messages.length + whole.updates.length + whole.noise + answered, told.length, "no line is lost and none counts twice");
      const answers = whole.messages.filter((one) => !Object.hasOwn(one as object, "method")) as { readonly id: unknown }[];
      assert.equal(new Set(answers.map((one) => one.id)).size, answers.length, "no request is answered twice");
      assert.ok(answers.every((one) => Number.isInteger(one.id) && Number(one.id) >= 0 && Number(one.id) < ASKED), "only what was asked is answered");
      assert.ok(whole.results.length <= answers.length);
    },
  }),
});

async function read(pieces: readonly Uint8Array[]): Promise<Read> {
  const written: string[] = [];
  const updates: unknown[] = [];
  const results: Json[] = [];
  const input = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString());
      done();
    },
  });
  const output = new PassThrough();
  const { stream, noise } = openLines({ output, input, onUpdate: (params) => updates.push(params), onResult: (result) => results.push(result), onNoise: () => {} });
  const writer = stream.writable.getWriter();
  for (let n = 0; n < ASKED; n++) await writer.write({ jsonrpc: "2.0", id: n, method: "session/prompt", params: {} });
  for (const piece of pieces) output.write(piece);
  output.end();
  const messages: unknown[] = [];
  for await (const one of stream.readable as unknown as AsyncIterable<unknown>) messages.push(one);
  return { messages, updates, results, noise: noise(), written: written.join("") };
}

export const HARNESS_TARGETS = [lines];
