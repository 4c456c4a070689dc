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

/** What is shown of a text, cut in two places. */
function inPieces(secrets: readonly string[], text: string, first: number, second: number): string {
  const stream = new MaskedStream(makeMask(secrets));
  return [stream.push(text.slice(0, first)), stream.push(text.slice(first, second)), stream.push(text.slice(second)), stream.end()].join("");
}

for (const [what, secrets, text, shown] of [
  ["begins like another", ["abababab-secret", "ababab-other"], "first abababab-secret, then abab, ababab-other abababab and aba", "first [secret], then abab, [secret] abababab and aba"],
  ["ends as it begins", ["token-xyz-token"], "a token-xyz-token and token-xyz-", "a [secret] and token-xyz-"],
  ["ends as another begins", ["first-half-second", "second-and-third"], "a first-half-second and second-and-third, second-and", "a [secret] and [secret], second-and"],
] as const) {
  test(`nothing is shown of a secret that ${what}, wherever the text is cut, and nothing else is lost`, () => {
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) assert.equal(inPieces(secrets, text, first, second), shown, `cut at ${first} and ${second}`);
    }
  });
}

test("what can be no beginning of a secret is shown at once", () => {
  assert.equal(new MaskedStream(makeMask(["token-xyz-token"])).push("nothing of this"), "nothing of this");
});
