import assert from "node:assert/strict";
import { test } from "node:test";
import { PassingUsage, READ_CHARS_MAX } from "./proxy-usage.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function read(text: string, isStream: boolean, pieceBytes = Infinity): ReturnType<PassingUsage["end"]> {
  const meter = new PassingUsage(isStream);
  const all = bytes(text);
  for (let at = 0; at < all.length; at += Math.min(pieceBytes, all.length)) meter.take(all.subarray(at, at + pieceBytes));
  return meter.end();
}

const ANTHROPIC = [
  'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":80,"cache_creation_input_tokens":10,"output_tokens":1}}}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"Ü \\"usage\\""}}\n\n',
  'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":7}}\n\n',
].join("");

test("the tokens of each API are read from its stream, however the network cuts it", () => {
  for (const piece of [1, 7, 4096]) {
    assert.deepEqual(read(ANTHROPIC, true, piece), { input: 100, output: 7, cacheRead: 80, cacheWrite: 10, reasoning: 0 });
    const chat = 'data: {"choices":[],"usage":null}\n\ndata: {"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}\n\ndata: [DONE]\n\n';
    assert.deepEqual(read(chat, true, piece), { input: 9, output: 3, cacheRead: 4, cacheWrite: 0, reasoning: 2 });
    const responses = 'event: response.completed\ndata: {"response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":5},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1}}}}\n\n';
    assert.deepEqual(read(responses, true, piece), { input: 9, output: 3, cacheRead: 5, cacheWrite: 0, reasoning: 1 });
    const google = 'data: {"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}\r\n\r\ndata: {"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":1,"cachedContentTokenCount":4,"totalTokenCount":12}}\r\n\r\n';
    assert.deepEqual(read(google, true, piece), { input: 9, output: 3, cacheRead: 4, cacheWrite: 0, reasoning: 1 });
  }
});

test("an answer that is no stream is read whole, and one that says nothing of tokens counts for nothing", () => {
  assert.deepEqual(read('{"usage":{"input_tokens":3,"output_tokens":2}}', false, 5), { input: 3, output: 2, cacheRead: 0, cacheWrite: 0, reasoning: 0 });
  for (const text of ["", "{}", '{"usage":7}', '{"usage"', '{"usage":{"input_tokens":-1}} and more', "<html>"]) assert.equal(read(text, false), null, text);
  assert.equal(read("data: nothing\n\n", true), null);
});

test("a line without an end is let go at its bound, and what follows is read again, so that memory stays small", () => {
  const meter = new PassingUsage(true);
  const piece = bytes("x".repeat(1_000_000));
  meter.take(bytes('data: {"usage":'));
  for (let sent = 0; sent < READ_CHARS_MAX + 2_000_000; sent += piece.length) meter.take(piece);
  meter.take(bytes('\n\ndata: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'));
  assert.equal(meter.end()!.output, 2);
});

test("an error that comes as an event of the stream is told, and the word in an answer is none", () => {
  const errorIn = (text: string): unknown => {
    const meter = new PassingUsage(true);
    meter.take(bytes(text));
    meter.end();
    return meter.error;
  };
  const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
  assert.deepEqual(errorIn(`event: error\ndata: ${JSON.stringify(overloaded)}\n\n`), overloaded);
  assert.notEqual(errorIn('data: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded"}}}\n\n'), null);
  assert.notEqual(errorIn('data: {"error":{"code":503,"status":"UNAVAILABLE"}}\n\n'), null);
  assert.equal(errorIn(`data: ${JSON.stringify({ type: "response.created", response: { error: null } })}\n\ndata: ${JSON.stringify({ delta: 'say "error": {}' })}\n\n`), null);
});
