import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRedactor } from "./redact.ts";

test("a secret that is the beginning of another does not leave the other's end behind", () => {
  for (const secrets of [["hunter2hunter2", "hunter2hunter2-long"], ["hunter2hunter2-long", "hunter2hunter2"]]) {
    assert.equal(makeRedactor(secrets)("with hunter2hunter2-long and hunter2hunter2"), "with [secret] and [secret]");
  }
});

test("a secret with half a pair of surrogates is masked too, and does not make masking fail", () => {
  assert.equal(makeRedactor(["\ud800-half-a-pair"])("with \ud800-half-a-pair"), "with [secret]");
});
