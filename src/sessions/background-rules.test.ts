import assert from "node:assert/strict";
import { test } from "node:test";
import { backgroundReason, taskHandlingOf } from "./background-rules.ts";

const LIMITS = { phrases: ["in the background"], urlsMin: 3, fileBytesMin: 1000, charactersMin: 1_000_000 };

test("long texts without blanks and long sections of blank lines are read at once, because each message passes here", () => {
  for (const [text, section] of [["a".repeat(100_000), ""], ["a/".repeat(50_000), ""], ["hello", "\n".repeat(20_000)], ["hello", `${"→".repeat(20_000)}\u2028x`]] as const) {
    const from = performance.now();
    backgroundReason(text, section, "/nowhere", LIMITS);
    assert.ok(performance.now() - from < 500, `${text.slice(0, 4)} with ${JSON.stringify(section.slice(0, 4))}`);
  }
});

test("kinds of work that AGENTS.md lists go to the background, in a sentence as in a list", () => {
  const section = taskHandlingOf("# Me\n## Task handling\nFor tasks involving: web scraping, file analysis over 1 MB.\n- code review → a child\n\n## Other\nx")!;
  assert.match(backgroundReason("Do some web scraping please", section, "/nowhere", LIMITS)!, /web scraping/);
  assert.match(backgroundReason("I need a file analysis", section, "/nowhere", LIMITS)!, /file analysis/);
  assert.match(backgroundReason("A code review of this", section, "/nowhere", LIMITS)!, /code review/);
  assert.equal(backgroundReason("What time is it?", section, "/nowhere", LIMITS), null);
});
