import assert from "node:assert/strict";
import { test } from "node:test";
import { isIndependent } from "./independence.ts";

test("a message of 100 KB without a blank is judged at once, because the store waits meanwhile", () => {
  for (const piece of ["a", "a.", "a-", "a/", "."]) {
    const from = performance.now();
    isIndependent(piece.repeat(100_000 / piece.length), { isReply: false, texts: [] });
    assert.ok(performance.now() - from < 1000, piece);
  }
});

test("messages about the same path wait for each other, however the path is written about", () => {
  assert.equal(isIndependent("Summarise docs/plan.md", { isReply: false, texts: ["Translate docs/plan.md"] }), false);
  assert.equal(isIndependent("Summarise docs/plan.md", { isReply: false, texts: ["Translate docs/other.md"] }), true);
});

test("whom a message speaks to is not what it is about, but a person who is named is", () => {
  assert.equal(isIndependent("@bot: what is 1+1?", { isReply: false, texts: ["@bot: what is 2+2?"] }), true);
  assert.equal(isIndependent("Invite @ann", { isReply: false, texts: ["Write a card to @ann"] }), false);
});
