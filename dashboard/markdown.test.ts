import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMarkdown, parseSpans, safeHref } from "./markdown.ts";

test("only http and https become links, because any other scheme could run code", () => {
  for (const address of ["javascript:alert(1)", " JAVASCRIPT:alert(1)", "data:text/html,x", "vbscript:x", "//evil.example", "/local", "http://a b", "java\nscript:x", "ht\ntps://example.org", "https:\\\\example.org"]) assert.equal(safeHref(address), null, address);
  assert.equal(safeHref("https://example.org/a?b=c"), "https://example.org/a?b=c");
  assert.deepEqual(parseSpans("[x](javascript:alert(1))"), [{ t: "text", text: "[x](javascript:alert(1))" }]);
});

test("tags stay text, because nothing is ever turned into HTML", () => {
  assert.deepEqual(parseMarkdown("<img src=x onerror=alert(1)>"), [{ t: "p", spans: [{ t: "text", text: "<img src=x onerror=alert(1)>" }] }]);
});

test("code, bold, emphasis and links stand inside a line; marks without a partner stay as they are", () => {
  assert.deepEqual(parseSpans("a `b*` **c** *d* 2 * 3 ** see https://example.org/x."), [
    { t: "text", text: "a " },
    { t: "code", text: "b*" },
    { t: "text", text: " " },
    { t: "strong", spans: [{ t: "text", text: "c" }] },
    { t: "text", text: " " },
    { t: "em", spans: [{ t: "text", text: "d" }] },
    { t: "text", text: " 2 * 3 ** see " },
    { t: "link", href: "https://example.org/x", spans: [{ t: "text", text: "https://example.org/x" }] },
    { t: "text", text: "." },
  ]);
});

test("an open fence runs to the end, because a reply is shown while it is written", () => {
  assert.deepEqual(parseMarkdown("so:\n```ts\nlet a = 1;\n- b"), [
    { t: "p", spans: [{ t: "text", text: "so:" }] },
    { t: "code", lang: "ts", text: "let a = 1;\n- b" },
  ]);
});

test("lists nest by their indentation and keep their first number", () => {
  const [list] = parseMarkdown("3. one\n   - inner\n4. two");
  assert.ok(list?.t === "list");
  assert.deepEqual([list.ordered, list.start, list.items.length], [true, 3, 2]);
  const [inner] = list.items[0]!.below;
  assert.ok(inner?.t === "list");
  assert.equal(inner.ordered, false);
});

test("hostile text takes linear time, so a reply cannot freeze the page", () => {
  const started = performance.now();
  for (const piece of ["**a", "*", "`", "[", "[a](", "> ", "  - a\n", "http://", "- \n", "~~~\n"]) parseMarkdown(piece.repeat(20_000));
  assert.ok(performance.now() - started < 5000);
});

test("a long line of blanks before a line separator costs no more than its length", () => {
  for (const mark of ["- ", "# ", "1. "]) {
    const from = performance.now();
    parseMarkdown(`${mark}${" ".repeat(50_000)}x\u2028y`);
    assert.ok(performance.now() - from < 500);
  }
});
