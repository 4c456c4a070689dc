import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanText, readToolInput, TextCleaner } from "./clean.ts";

test("line breaks and tabs stay, other control characters go", () => {
  assert.equal(cleanText("a\tb\r\nc\u0000\u001b[31md\u007f\u0085"), "a\tb\r\nc[31md");
});

test("a pair of surrogates that is cut between two pieces stays one character", () => {
  const cleaner = new TextCleaner();
  assert.equal(cleaner.take("a\ud83c"), "a");
  assert.equal(cleaner.take("\udf88b"), "🎈b");
  assert.equal(cleaner.rest(), "");
});

test("half a pair at the end becomes a replacement character", () => {
  const cleaner = new TextCleaner();
  cleaner.take("a\ud83c");
  assert.equal(cleaner.rest(), "\ufffd");
});

test("a tool input is an object or says what came instead", () => {
  assert.deepEqual(readToolInput('{"a":1}'), { a: 1 });
  assert.deepEqual(readToolInput(""), {});
  assert.deepEqual(readToolInput("[1]"), { $invalid: "[1]" });
  assert.deepEqual(readToolInput('{"a":'), { $invalid: '{"a":' });
  assert.deepEqual(readToolInput('{"__proto__":{"x":1}}'), { $invalid: '{"__proto__":{"x":1}}' });
  assert.equal((readToolInput(`{"a": "${"x".repeat(5000)}`).$invalid as string).length, 2000);
});

test("names and values deep in a tool input are cleaned too", () => {
  assert.deepEqual(readToolInput('{"k\\u0001":["a\\u0007",{"b":"\\ud800"}]}'), { k: ["a", { b: "\ufffd" }] });
});

test("two halves with a control character between them are no pair, in one piece as in two", () => {
  const cleaner = new TextCleaner();
  const inPieces = cleaner.take("\ud83c\u0085") + cleaner.take("\udf88") + cleaner.rest();
  assert.equal(inPieces, "\ufffd\ufffd");
  assert.equal(cleanText("\ud83c\u0085\udf88"), inPieces);
});
