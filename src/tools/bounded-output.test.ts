import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BoundedOutput } from "./bounded-output.ts";

test("output that fits comes back as it was, in whatever pieces it came", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.array(fc.nat(40)), (text, cuts) => {
      const clean = text.replaceAll("\0", "\uFFFD").toWellFormed();
      const output = new BoundedOutput(4096);
      let bytes = Buffer.from(text);
      let taken = "";
      for (const cut of cuts) {
        output.add(bytes.subarray(0, cut));
        bytes = bytes.subarray(cut);
        taken += output.take();
      }
      output.add(bytes);
      assert.equal(taken + output.takeRest(), clean);
    }),
  );
});

test("of longer output the beginning and the end are kept, and the rest is counted", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 30 }), (sizes) => {
      const output = new BoundedOutput(100);
      const all = Array.from({ length: sizes.reduce((sum, size) => sum + size, 0) }, (_, index) => String.fromCharCode(97 + (index % 26))).join("");
      let at = 0;
      for (const size of sizes) output.add(Buffer.from(all.slice(at, (at += size))));
      const expected = all.length <= 100 ? all : `${all.slice(0, 50)}\n[... ${all.length - 100} bytes left out ...]\n${all.slice(-50)}`;
      assert.equal(output.takeRest(), expected);
    }),
  );
});

test("a cut never falls inside a character", () => {
  const output = new BoundedOutput(21);
  output.add(Buffer.from("😀".repeat(50)));
  assert.equal(output.takeRest(), "😀😀\n[... 184 bytes left out ...]\n😀😀");
});

test("each take begins anew, so that a poll gives only what is new", () => {
  const output = new BoundedOutput(10);
  output.add(Buffer.from("0123456789ABCDEF"));
  output.take();
  assert.ok(output.isEmpty);
  output.add(Buffer.from("new"));
  assert.equal(output.take(), "new");
});

test("memory does not grow with the output", () => {
  const output = new BoundedOutput(100_000);
  const chunk = Buffer.alloc(65_536, "x");
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 0; count < 10_000; count++) output.add(chunk);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
});

test("one huge chunk is kept by its ends only", () => {
  const output = new BoundedOutput(8);
  output.add(Buffer.concat([Buffer.from("head"), Buffer.alloc(50_000_000, "x"), Buffer.from("tail")]));
  assert.equal(output.takeRest(), "head\n[... 50000000 bytes left out ...]\ntail");
});
