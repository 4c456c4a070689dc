/** Texts that others wrote: quoted, masked, cut, judged by rules, shown on the page. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parseMarkdown, safeHref, type Block, type Span } from "../../dashboard/markdown.ts";
import { makeRedactor } from "../../src/base/redact.ts";
import { digestText, type FinishedChild } from "../../src/model/digest.ts";
import { isIndependent } from "../../src/model/independence.ts";
import { readDigest } from "../../src/providers/rehearsal/read-digest.ts";
import { backgroundReason, taskHandlingOf } from "../../src/sessions/background-rules.ts";
import { BoundedOutput } from "../../src/tools/bounded-output.ts";
import { readableText } from "../../src/tools/readable-text.ts";
import { cutInto, cuts, LINE_ENDS, nastyText, pumpedText, textOfWords } from "./hostile.ts";
import { LINEAR_MS_PER_KB, target } from "./target.ts";

const ANY_LINE_END = new RegExp(LINE_ENDS.join("|"));

// ── digests ─────────────────────────────────────────────────────────────────────────────────

const DIGEST_WORDS = ["[result of a background task]", "[still running: \"x\"]", "1. \"a\" succeeded in 0.0 s (task_1)", "> ", ">", "\n", "\r", "\u2028", "\u2029", "\u0085", "\v", "\f", "\r\n", "done", " ", "2. ", '"'];
const said = textOfWords(DIGEST_WORDS);

const finishedChild: fc.Arbitrary<FinishedChild> = fc.record({
  taskId: fc.stringMatching(/^task_[a-z0-9]{1,6}$/),
  label: said,
  state: fc.constantFrom("succeeded", "failed", "timed_out", "cancelled", "lost"),
  result: fc.oneof({ weight: 4, arbitrary: said }, { weight: 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: pumpedText(["🎈", ...LINE_ENDS]) }),
  fault: fc.option(said.map((message) => ({ code: "INTERNAL" as const, message, details: {}, retryable: false })), { nil: null }),
  ms: fc.integer({ min: 0, max: 1e9 }),
});

const digest = target({
  name: "digest",
  fact: "nothing that a child says can look like a line of the gateway, whatever a reader takes for the end of a line",
  share: 3,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.record({ children: fc.array(finishedChild, { minLength: 1, maxLength: 3 }), running: fc.array(said, { maxLength: 2 }) }),
    check({ children, running }) {
      const text = digestText(children, running);
      const own = text.split(ANY_LINE_END).filter((line) => !line.startsWith("> "));
      assert.equal(own.length, 1 + children.length + (running.length > 0 ? 1 : 0), `lines that are not quoted: ${JSON.stringify(own)}`);
      const read = readDigest(text);
      assert.deepEqual(read?.children.map(({ label }) => label), children.map(({ label }) => label));
      assert.deepEqual(read?.stillRunning, running);
      if (children.every(({ label, result, fault }) => label.isWellFormed() && (result ?? "").isWellFormed() && (fault?.message ?? "").isWellFormed()) && running.every((label) => label.isWellFormed())) {
        assert.ok(text.isWellFormed(), "half a character came out of whole ones");
      }
    },
  }),
});

// ── secrets ─────────────────────────────────────────────────────────────────────────────────

const secret = fc.oneof(fc.stringMatching(/^[a-zA-Z0-9+/=_.~ -]{8,24}$/), fc.constantFrom("hunter2hunter2", "hunter2hunter2!", "pass word/1", "äöü-geheim", "\ud800-half-a-pair", "$&$1$`secret"));

const redactor = target({
  name: "redactor",
  fact: "no known secret is left in a text, in the clear, URL-encoded or base64, also when one secret holds another",
  share: 8,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.record({ secrets: fc.array(secret, { minLength: 1, maxLength: 4 }), parts: fc.array(fc.oneof(fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 2 })), nastyText), { maxLength: 8 }) }),
    check({ secrets, parts }) {
      const shapesOf = (one: string): string[] => [one, encodeURIComponent(one.toWellFormed()), Buffer.from(one).toString("base64")];
      const text = parts.map((part) => (typeof part === "string" ? part : shapesOf(secrets[part[0] % secrets.length]!)[part[1]]!)).join("");
      const masked = makeRedactor(secrets)(text);
      for (const one of secrets) for (const shape of shapesOf(one)) assert.ok(!masked.includes(shape), `${JSON.stringify(shape)} is still in ${JSON.stringify(masked)}`);
    },
  }),
});

const redactorSpeed = target({
  name: "redactor-speed",
  fact: "masking is linear in the length of a text",
  share: 0.5,
  msPerKb: LINEAR_MS_PER_KB,
  open() {
    const mask = makeRedactor(["hunter2hunter2", "correct horse"]);
    return { inputs: pumpedText(["sk-", "AIza", "ghp_", "xoxb-", "Bearer ", "Bearer", "hunter2", "="]), check: (text) => void mask(text) };
  },
});

// ── rules over a person's words ─────────────────────────────────────────────────────────────

const RULE_WORDS = ["no", "wait", "make it", "this", "that week", "it", '"', "`", "https://a.b/c", "x/y", "a@b.cd", "#tag", "a.txt", " Paris", "involving", "involving:", "→", "over", "or", "## task handling", "#", "- ", "* ", "in the background"];

const rules = target({
  name: "rules",
  fact: "whether a message may run beside others, or in the background, is decided in linear time",
  share: 0.3,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.record({ text: fc.oneof(textOfWords(RULE_WORDS), pumpedText(RULE_WORDS)), other: fc.oneof(textOfWords(RULE_WORDS), pumpedText(RULE_WORDS)) }),
    check({ text, other }) {
      isIndependent(text, { isReply: false, texts: [other] });
      backgroundReason(text, taskHandlingOf(other), "/nowhere", { phrases: ["in the background"], urlsMin: 1e6, fileBytesMin: 1e6, charactersMin: 1e6 });
      backgroundReason(text, other, "/nowhere", { phrases: [], urlsMin: 1e6, fileBytesMin: 1e6, charactersMin: 1e6 });
      const again = isIndependent(text, { isReply: false, texts: [text] });
      if (again) assert.equal(isIndependent(text, { isReply: true, texts: [] }), false);
    },
  }),
});

// ── the page ────────────────────────────────────────────────────────────────────────────────

const MARKDOWN = ["# ", "## ", "- ", "1. ", "2) ", "> ", "```", "~~~", "``", "`", "**", "*", "[", "](", ")", "https://a.b/", "http://", "javascript:alert(1)", "data:text/html,x", "\n", "\n\n", "    ", "\t", "---", "text", "h", "\u2028"];

const markdown = target({
  name: "markdown",
  fact: "any text becomes blocks in linear time, links lead to http and https only, and nothing is made up",
  share: 4,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.oneof({ weight: 8, arbitrary: textOfWords(MARKDOWN, 20) }, { weight: 1, arbitrary: pumpedText(MARKDOWN) }),
    check(text) {
      const shown = blocksText(parseMarkdown(text));
      // Long texts are here for the time that they take.
      if (text.length < 2000) for (const word of shown.split(/\s+/)) assert.ok(text.includes(word) || word === "", `${JSON.stringify(word)} is not in the text`);
    },
  }),
});

function blocksText(blocks: readonly Block[]): string {
  return blocks.map((block) => {
    switch (block.t) {
      case "code":
        return block.text;
      case "quote":
        return blocksText(block.blocks);
      case "list":
        return block.items.map((item) => `${spansText(item.spans)} ${blocksText(item.below)}`).join(" ");
      case "rule":
        return "";
      default:
        return spansText(block.spans);
    }
  }).join(" ");
}

function spansText(spans: readonly Span[]): string {
  return spans.map((span) => {
    if (span.t === "text" || span.t === "code") return span.text;
    if (span.t === "link") {
      assert.match(span.href, /^https?:\/\//);
      assert.equal(safeHref(span.href), span.href);
    }
    return spansText(span.spans);
  }).join(" ");
}

const HTML = ["<", ">", "</", "<p>", "<script>", "</script>", "<title>", "</title", "<pre>", "<li>", "<td>", "<!--", "-->", "<!", "&amp;", "&#x41;", "&#0;", "&#1114112;", "&", '<a href="', "'", '"', "=", " ", "\n", "x", "İ"];

const html = target({
  name: "html",
  fact: "any HTML becomes text in linear time, and no script's text is in it",
  share: 3,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.oneof({ weight: 8, arbitrary: textOfWords(HTML, 20) }, { weight: 1, arbitrary: pumpedText(HTML) }),
    check(text) {
      const read = readableText(text);
      assert.equal(readableText(`<p>before</p><script>SECRET${text.replaceAll("<", "")}</script>`).text, "before");
      assert.ok(read.text.length <= text.length * 3 + 10, "a text does not grow");
    },
  }),
});

// ── output of commands ──────────────────────────────────────────────────────────────────────

const output = target({
  name: "bounded-output",
  fact: "what is kept of an output does not depend on the pieces it came in, and is never more than the bound",
  share: 8,
  open: () => ({
    inputs: fc.record({ text: fc.oneof(textOfWords(["🎈", "é", "abc\n", "x"], 20), fc.uint8Array({ maxLength: 200 })), sizes: cuts, bound: fc.integer({ min: 2, max: 200 }) }),
    check({ text, sizes, bound }) {
      const bytes = typeof text === "string" ? Buffer.from(text) : text;
      const kept = (pieces: readonly Uint8Array[]): string => {
        const box = new BoundedOutput(bound);
        for (const piece of pieces) box.add(piece);
        return box.takeRest();
      };
      const whole = kept([bytes]);
      assert.equal(kept(cutInto(bytes, sizes)), whole);
      if (bytes.length <= bound) assert.equal(whole, Buffer.from(bytes).toString("utf8").replaceAll("\0", "\uFFFD"));
      assert.ok(whole.length <= bound + 60, `${whole.length} characters of at most ${bound} bytes`);
    },
  }),
});

export const TEXT_TARGETS = [digest, redactor, redactorSpeed, rules, markdown, html, output];
