import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { WatchedFiles } from "./watched-file.ts";

const LATER_MS = 10_000;

function setup(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "yard-watched-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "file");
  writeFileSync(file, "one");
  let reads = 0;
  let ahead = LATER_MS;
  const files = new WatchedFiles(() => Date.now() + ahead, (path) => (reads++, readFileSync(path)));
  return {
    file,
    look() {
      const print = files.fingerprintOf({ kind: "file", path: file, ref: null });
      files.looked();
      return print;
    },
    reads: () => reads,
    /** The time that has passed since files were last touched. */
    soon: () => (ahead = 0),
    later: () => (ahead = LATER_MS),
  };
}

test("a watched file that nobody touches is read once, however often it is looked at", (t) => {
  const { look, reads } = setup(t);
  const print = look();
  for (let n = 0; n < 100; n++) assert.equal(look(), print);
  assert.equal(reads(), 1);
});

test("a change of the same length is seen, also when the time of writing is set back or another file takes its place", (t) => {
  const { file, look } = setup(t);
  const seen = new Set([look()]);
  writeFileSync(file, "two");
  utimesSync(file, 1, 1);
  seen.add(look());
  writeFileSync(`${file}.new`, "six");
  utimesSync(`${file}.new`, 1, 1);
  renameSync(`${file}.new`, file);
  seen.add(look());
  assert.equal(seen.size, 3);
  rmSync(file);
  assert.equal(look(), null);
});

test("a file that was touched a moment ago is read again, since it may change once more in the same tick of its clock", (t) => {
  const { look, reads, soon, later } = setup(t);
  soon();
  for (let n = 0; n < 3; n++) look();
  assert.equal(reads(), 3);
  later();
  for (let n = 0; n < 3; n++) look();
  assert.equal(reads(), 4);
});

test("touching a file without changing it is no change, and costs one more look inside", (t) => {
  const { file, look, reads } = setup(t);
  const print = look();
  utimesSync(file, new Date(), new Date());
  assert.equal(look(), print);
  assert.equal(look(), print);
  assert.equal(reads(), 2);
});
