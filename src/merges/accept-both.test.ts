import assert from "node:assert/strict";
import test from "node:test";
import { acceptBoth, mergeHunks } from "./accept-both.ts";

const hunk = (ours: string, base: string, theirs: string): string => `top\n<<<<<<< a\n${ours}||||||| b\n${base}=======\n${theirs}>>>>>>> c\nend\n`;

test("two additions are kept, ours first, and what both did alike stands once", () => {
  assert.equal(mergeHunks(hunk("auth\n", "", "list\n")), "top\nauth\nlist\nend\n");
  assert.equal(mergeHunks(hunk("{\nauth\n}\n", "", "{\nlist\n}\n")), "top\n{\nauth\nlist\n}\nend\n");
  assert.equal(mergeHunks(hunk("old\nauth\n", "old\n", "old\nlist\n")), "top\nold\nauth\nlist\nend\n");
});

test("a line that one side changed or took away is no addition, so it goes to somebody who understands it", () => {
  assert.equal(mergeHunks(hunk("new\n", "old\n", "other\n")), null);
  assert.equal(mergeHunks(hunk("", "old\n", "old\nmore\n")), null);
});

test("markers that do not fit together are left alone", () => {
  for (const text of ["<<<<<<< a\nx\n", "<<<<<<< a\n=======\n>>>>>>> b\n", ">>>>>>> a\n", "<<<<<<< a\n<<<<<<< b\n"]) assert.equal(mergeHunks(text), null, text);
  assert.equal(mergeHunks("Title\n=======\ntext\n"), "Title\n=======\ntext\n");
});

test("JSON is merged by its keys: additions and changes of different keys are kept, the same key changed by both is not", () => {
  const merge = (base: object | null, ours: object, theirs: object): object | null => {
    const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
    const both = acceptBoth({ path: "a/package.json", base: base === null ? null : text(base), ours: text(ours), theirs: text(theirs), marked: "" });
    return both === null ? null : JSON.parse(both);
  };
  assert.deepEqual(merge({ a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 1, c: 3 }), { a: 2, b: 1, c: 3 });
  assert.deepEqual(merge({ a: 1, b: 1 }, { b: 1 }, { a: 1, b: 1, c: 3 }), { b: 1, c: 3 });
  assert.equal(merge({ a: 1 }, { a: 2 }, { a: 3 }), null);
  assert.equal(merge({ a: 1 }, {}, { a: 3 }), null);
  assert.deepEqual(merge(null, { a: { x: 1 } }, { a: { y: 2 } }), { a: { x: 1, y: 2 } });
  assert.equal(acceptBoth({ path: "x.json", base: "{}", ours: "{", theirs: "{}", marked: "" }), null);
});
