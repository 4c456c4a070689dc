/** Holds docs/guarantees.md against the tests that it names, so that the page cannot promise what nobody checks. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const PAGE = readFileSync(join(ROOT, "docs", "guarantees.md"), "utf8");
const PROOF = /^- Proven by: `([^`]+)` "(.+)"$/;
const TITLE = /\b(?:test|promise)\(\s*(["'`])(.+?)\1,/g;

/** The titles of the tests in a file; what a template fills in is left out. */
function titlesIn(file: string): string[] {
  return [...readFileSync(join(ROOT, file), "utf8").matchAll(TITLE)].map(([, , title]) => title!);
}

test("every test that the page of guarantees names is there under that name, so that the page cannot drift", () => {
  const proofs = PAGE.split("\n").filter((line) => line.startsWith("- Proven by:"));
  assert.ok(proofs.length > 30);
  for (const line of proofs) {
    const [, file, title] = PROOF.exec(line) ?? assert.fail(`not readable: ${line}`);
    assert.ok(existsSync(join(ROOT, file!)), `${file} is not there`);
    assert.ok(titlesIn(file!).some((each) => each === title || each.replace(/^.*?\$\{\w+\} /, "") === title), `${file} has no test "${title}"`);
  }
});

test("every promise says what it assumes, what breaks it, and what proves it", () => {
  const promises = PAGE.split(/^### /m).slice(1);
  assert.ok(promises.length > 20);
  for (const promise of promises) for (const part of ["- Assumes: ", "- Breaks it: ", "- Proven by: "]) assert.ok(promise.includes(`\n${part}`), `${promise.split("\n")[0]} lacks "${part}"`);
});
