import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { claimCovers, claimProblem, claimsOverlap, mayChange } from "./path-claims.ts";

test("claims overlap when one path can fit both, so that two children never change the same file", () => {
  const together = [
    ["src/auth/**", "src/auth/login.ts"],
    ["src/auth", "src/auth/login.ts"],
    ["src/auth", "src/auth"],
    ["./src/auth/", "src/auth"],
    ["**/*.md", "docs"],
    ["src/*/index.ts", "src/{auth,web}/*.ts"],
    ["src/[a-f]*", "src/[!x-z]b"],
    [".", "anything/at/all"],
    ["name:deploy", "name:deploy"],
  ] as const;
  for (const [a, b] of together) assert.ok(claimsOverlap(a, b) && claimsOverlap(b, a), `${a} and ${b}`);
  const apart = [
    ["src/auth/**", "src/author.ts"],
    ["src/auth", "src/authors/x"],
    ["*.md", "docs/*.ts"],
    ["src/[a-f]*", "src/x"],
    ["name:deploy", "deploy"],
    ["name:deploy", "name:release"],
  ] as const;
  for (const [a, b] of apart) assert.ok(!claimsOverlap(a, b) && !claimsOverlap(b, a), `${a} and ${b}`);
});

test("a claim that could mean anything outside the workspace is refused with the reason", () => {
  assert.match(claimProblem("/etc") ?? "", /absolute/);
  assert.match(claimProblem("src/../..") ?? "", /upwards/);
  assert.match(claimProblem("{a,..}/c") ?? "", /upwards/);
  assert.match(claimProblem(" ") ?? "", /1 to 500/);
  assert.match(claimProblem("name:") ?? "", /nothing/);
  assert.equal(claimProblem("src/{a,b}/**"), null);
});

test("free names set no fence around files, paths do", () => {
  assert.ok(mayChange([], "any"));
  assert.ok(mayChange(["name:deploy"], "any"));
  assert.ok(mayChange(["src", "name:deploy"], "src/a.ts"));
  assert.ok(!mayChange(["src", "name:deploy"], "docs/a.md"));
});

// ── against brute force ─────────────────────────────────────────────────────────────────────

const NAMES = ["a", "b", "aa", "ab", "ba", "bb", "aab", "bba"];
const PATHS = [...NAMES, ...NAMES.flatMap((one) => NAMES.map((two) => `${one}/${two}`)), ...NAMES.flatMap((one) => NAMES.flatMap((two) => NAMES.map((three) => `${one}/${two}/${three}`)))];

const name = fc.array(fc.constantFrom("a", "b", "*", "?", "[ab]", "[!a]"), { minLength: 1, maxLength: 2 }).map((parts) => parts.join(""));
const pattern = fc.array(fc.oneof({ weight: 3, arbitrary: name }, { weight: 1, arbitrary: fc.constant("**") }), { minLength: 1, maxLength: 2 }).map((names) => names.join("/"));

/** Another way to say what a claim covers: a regular expression over the path and its folders. */
function covered(claim: string): ReadonlySet<string> {
  const source = claim
    .split("/")
    .map((one) => (one === "**" ? "(?:[^/]+/)*" : `${one.replaceAll("*", "[^/]*").replaceAll("?", "[^/]").replaceAll("[!", "[^")}/`))
    .join("");
  const fits = new RegExp(`^${source}(?:[^/]+/)*$`);
  return new Set(PATHS.filter((path) => fits.test(`${path}/`)));
}

test("whether two claims overlap is what trying every path says", () => {
  fc.assert(
    fc.property(pattern, pattern, (a, b) => {
      const ofA = covered(a);
      assert.equal(claimsOverlap(a, b), [...covered(b)].some((path) => ofA.has(path)), `${a} and ${b}`);
    }),
    { numRuns: 2_000, seed: 1 },
  );
});

test("whether a claim covers a path is what a regular expression says", () => {
  fc.assert(
    fc.property(pattern, fc.constantFrom(...PATHS), (claim, path) => assert.equal(claimCovers(claim, path), covered(claim).has(path), `${claim} and ${path}`)),
    { numRuns: 2_000, seed: 1 },
  );
});
