import assert from "node:assert/strict";
import { test } from "node:test";
import { readableText } from "./readable-text.ts";

test("a page reads as a person would copy it", () => {
  const page = `<!DOCTYPE html><html><head><title> A  page </title><style>p { color: red }</style></head>
    <body><!-- hidden > --><h1>Heading</h1><p>One &lt;two&gt; &#233;&#x1F600; &unknown; &amp;amp;</p><ul><li>first<li>second</ul>
    <script>if (1 < 2) document.write("<p>no</p>")</script><table><tr><td>a</td><td>b</td></tr></table><pre>keep   this
  as is</pre>a <br> b <a href="x>y">link</a> 1 < 2 &nbsp; end</body>`;
  assert.deepEqual(readableText(page), {
    title: "A page",
    text: "Heading\n\nOne <two> é😀 &unknown; &amp;\n\n- first\n- second\na b\nkeep   this\n  as is\na\nb link 1 < 2 end",
  });
});

test("letters that change their length in lower case do not shift what is dropped", () => {
  assert.equal(readableText(`${"İ".repeat(50)}<SCRIPT>secret()</SCRIPT>visible`).text, `${"İ".repeat(50)}visible`);
});

test("what is never closed swallows the rest, and nothing else happens", () => {
  assert.equal(readableText("a<script>b").text, "a");
  assert.equal(readableText("a<!-- b").text, "a");
  assert.equal(readableText('a<p title="b').text, "a");
  assert.equal(readableText("a<").text, "a<");
  assert.equal(readableText("").text, "");
});

test("hostile markup costs no more than its length", () => {
  const hostile = ["<", "<a ", "<!--", "<script", "<script>", "</", "<a '\"", "&", "&#", "<title>", " ", "<pre> ", "<p>", "<td>x", "\n \t"];
  for (const piece of hostile) {
    const page = piece.repeat(Math.ceil(1_000_000 / piece.length));
    const startedAt = performance.now();
    readableText(page);
    assert.ok(performance.now() - startedAt < 1500, `${JSON.stringify(piece)} took ${performance.now() - startedAt} ms`);
  }
});
