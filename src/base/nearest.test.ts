import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest, slips } from "./nearest.ts";

const KNOWN = ["agents.defaults.maxConcurrent", "messages.messageWaitMs", "messages.queue.mode", "gateway.port"];

test("a slip of the finger is forgiven: missing, added, changed and swapped letters", () => {
  assert.equal(slips("port", "prot"), 1);
  assert.equal(slips("port", "pot"), 1);
  assert.equal(slips("port", "poort"), 1);
  assert.equal(slips("port", "fort"), 1);
  assert.equal(nearest("agents.defaults.maxConcurent", KNOWN), "agents.defaults.maxConcurrent");
  assert.equal(nearest("gateway.prot", KNOWN), "gateway.port");
});

test("the last segment is enough, because people remember the name and forget where it lives", () => {
  assert.equal(nearest("maxConcurrent", KNOWN), "agents.defaults.maxConcurrent");
  assert.equal(nearest("some.other.place.messagewaitms", KNOWN), "messages.messageWaitMs");
});

test("nothing is suggested when nothing is near, because a wild guess sends people astray", () => {
  assert.equal(nearest("colour.of.the.sky", KNOWN), null);
  assert.equal(nearest("x".repeat(10_000), KNOWN), null);
});
