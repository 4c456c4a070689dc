import assert from "node:assert/strict";
import { test } from "node:test";
import { makeMask, makeRedactor, MaskedStream } from "./redact.ts";

test("a secret that is the beginning of another does not leave the other's end behind", () => {
  for (const secrets of [["hunter2hunter2", "hunter2hunter2-long"], ["hunter2hunter2-long", "hunter2hunter2"]]) {
    assert.equal(makeRedactor(secrets)("with hunter2hunter2-long and hunter2hunter2"), "with [secret] and [secret]");
  }
});

test("a secret with half a pair of surrogates is masked too, and does not make masking fail", () => {
  assert.equal(makeRedactor(["\ud800-half-a-pair"])("with \ud800-half-a-pair"), "with [secret]");
});

test("a text that comes in pieces shows nothing of a secret, wherever it is cut, and nothing else is lost or held up for long", () => {
  const secrets = ["abababab-secret", "ababab-other"];
  const text = "first abababab-secret, then abab, ababab-other abababab and aba";
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const stream = new MaskedStream(makeMask(secrets));
      const shown = [stream.push(text.slice(0, first)), stream.push(text.slice(first, second)), stream.push(text.slice(second)), stream.end()];
      assert.equal(shown.join(""), "first [secret], then abab, [secret] abababab and aba");
    }
  }
  assert.equal(new MaskedStream(makeMask(secrets)).push("nothing of it"), "nothing of it");
});
