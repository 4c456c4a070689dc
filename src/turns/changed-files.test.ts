/** What counts as a change of files, in a real folder. */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemClock } from "../base/clock.ts";
import { ChangedFiles } from "./changed-files.ts";

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "yard-changed-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function looking({ apart = [], outputs = async () => new Set<string>() }: { apart?: readonly string[]; outputs?: () => Promise<ReadonlySet<string>> } = {}): ChangedFiles {
  return new ChangedFiles({ clock: systemClock, apart, outputs });
}

test("the newest change is found however deep it lies, by the time of change, which no program can set back", async (t) => {
  const folder = makeFolder(t);
  mkdirSync(join(folder, "src/deep"), { recursive: true });
  writeFileSync(join(folder, "old.txt"), "old");
  await later(join(folder, "old.txt"));
  writeFileSync(join(folder, "src/deep/new.ts"), "new");
  utimesSync(join(folder, "src/deep/new.ts"), 1, 1);
  const at = Math.floor(statSync(join(folder, "src/deep/new.ts")).ctimeMs);
  assert.deepEqual(await looking().newest(folder), { path: "src/deep/new.ts", at });
});

test("what is in .git and node_modules, in the gateway's own folder, behind a link, in a log, or the output of a command is no change", async (t) => {
  const folder = makeFolder(t);
  const elsewhere = makeFolder(t);
  for (const path of [".git", "node_modules/pkg", "state"]) mkdirSync(join(folder, path), { recursive: true });
  for (const path of [".git/index", "node_modules/pkg/index.js", "state/yard.sqlite", "build.log", "printed.txt"]) writeFileSync(join(folder, path), "x");
  writeFileSync(join(elsewhere, "file"), "x");
  symlinkSync(elsewhere, join(folder, "link"));
  symlinkSync(join(elsewhere, "file"), join(folder, "file-link"));
  symlinkSync(folder, join(elsewhere, "by-another-name"));
  const { dev, ino } = statSync(join(folder, "printed.txt"));
  const files = looking({ apart: [join(elsewhere, "by-another-name", "state")], outputs: async () => new Set([`${dev}:${ino}`]) });
  assert.equal(await files.newest(folder), null);
  assert.equal((await files.newest(join(folder, "state")))?.path, "yard.sqlite", "a workspace in the gateway's own folder is looked at");
  assert.equal((await looking().newest(folder)) === null, false, "the checks above have something to leave out");
});

test("a folder that is gone shows nothing, and a look that failed holds up none after it", async (t) => {
  const folder = makeFolder(t);
  writeFileSync(join(folder, "a"), "x");
  let fails = true;
  const files = looking({ outputs: async () => (fails ? Promise.reject(new Error("no table of processes")) : new Set()) });
  assert.equal(await files.newest(join(folder, "gone")), null);
  assert.equal(await files.newest(folder), null);
  fails = false;
  assert.equal((await files.newest(folder))?.path, "a");
});

test("those who ask for one folder before its look begins share it, and later ones see what is later", async (t) => {
  const folder = makeFolder(t);
  writeFileSync(join(folder, "a"), "x");
  let looks = 0;
  const files = looking({ outputs: async () => (looks++, new Set()) });
  await Promise.all(Array.from({ length: 50 }, () => files.newest(folder)));
  assert.equal(looks, 1);
  await later(join(folder, "a"));
  appendFileSync(join(folder, "b"), "x");
  assert.deepEqual([(await files.newest(folder))?.path, looks], ["b", 2]);
});

/** Until the file system's clock has moved on from a file's time of change. */
async function later(file: string): Promise<void> {
  const { ctimeMs } = statSync(file);
  for (;;) {
    writeFileSync(`${file}.probe`, "");
    const now = statSync(`${file}.probe`).ctimeMs;
    rmSync(`${file}.probe`);
    if (Math.floor(now) > Math.floor(ctimeMs)) return;
    await new Promise(setImmediate);
  }
}
