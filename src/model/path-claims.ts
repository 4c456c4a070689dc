/**
 * Claims on paths: what one piece of work may change while it runs, and nobody else.
 *
 *     src/auth            that file, or that folder and everything below it
 *     src/auth/**.ts      *  ?  [a-z] [!a-z] inside one name, ** any number of folders, {a,b} either
 *     name:deploy         no path: a word that two pieces of work may not hold at once
 *
 * Paths are read from the top of a workspace. Two claims overlap when some path fits both; that is
 * decided from the patterns alone, without looking at a disk, in (names x names) x (characters x
 * characters) steps at most. Free names overlap only when they are the same.
 *
 * Refused: absolute paths, `..`, and patterns that stand for too many.
 */
import { expandBraces } from "../base/braces.ts";

export const CLAIM_LENGTH_MAX = 500;
export const CLAIMS_MAX = 100;
const ALTERNATIVES_MAX = 64;
const NAME_PREFIX = "name:";

/** Null = good; else what is wrong with it, as the end of a sentence. */
export function claimProblem(claim: string): string | null {
  if (claim.trim() === "" || claim.length > CLAIM_LENGTH_MAX) return `must have 1 to ${CLAIM_LENGTH_MAX} characters`;
  if (isFreeName(claim)) return claim.length === NAME_PREFIX.length ? "names nothing" : null;
  if (claim.startsWith("/")) return "must be a path from the top of the workspace, not an absolute one";
  const alternatives = expandBraces(claim, ALTERNATIVES_MAX);
  if (alternatives === null) return `stands for more than ${ALTERNATIVES_MAX} patterns; use fewer braces`;
  if (alternatives.some((one) => one.split("/").includes(".."))) return "must not lead upwards with ..";
  return null;
}

export function isFreeName(claim: string): boolean {
  return claim.startsWith(NAME_PREFIX);
}

/** Whether some path (or the name) fits both. */
export function claimsOverlap(a: string, b: string): boolean {
  if (isFreeName(a) || isFreeName(b)) return a === b;
  return patternsOf(a).some((one) => patternsOf(b).some((other) => share(one, other)));
}

/** Whether a claim covers a path, e.g. `src/auth/login.ts`. */
export function claimCovers(claim: string, path: string): boolean {
  if (isFreeName(claim)) return false;
  const names = path.split("/").filter((name) => name !== "").map((name): NamePattern => [...name].map(only));
  return patternsOf(claim).some((pattern) => share(pattern, names));
}

/** What a child may change: all of its claims that are paths. A list without any leaves it free. */
export function mayChange(claims: readonly string[], path: string): boolean {
  const paths = claims.filter((claim) => !isFreeName(claim));
  return paths.length === 0 || paths.some((claim) => claimCovers(claim, path));
}

// ── patterns ────────────────────────────────────────────────────────────────────────────────

/** First and last code point of a run of characters. */
type Range = readonly [number, number];
/** One character of a set of them, or any number of any. */
type Part = "*" | readonly Range[];
type NamePattern = readonly Part[];
/** Names from the top; `**` = any number of them. */
type Pattern = readonly (NamePattern | "**")[];

const ANY: readonly Range[] = [[0, 0x10ffff]];

function only(character: string): readonly Range[] {
  const point = character.codePointAt(0)!;
  return [[point, point]];
}

/** Every claim covers what lies below it. */
function patternsOf(claim: string): readonly Pattern[] {
  return expandBraces(claim, ALTERNATIVES_MAX)!.map((one) => {
    const names = one.split("/").filter((name) => name !== "" && name !== ".");
    return [...names.map((name) => (name === "**" ? "**" : partsOf(name))), "**"];
  });
}

function partsOf(name: string): NamePattern {
  const parts: Part[] = [];
  const characters = [...name];
  const lastClose = characters.lastIndexOf("]");
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    const isNegated = characters[at + 1] === "!" || characters[at + 1] === "^";
    const end = character === "[" && at < lastClose ? characters.indexOf("]", at + (isNegated ? 3 : 2)) : -1;
    if (end > 0) {
      parts.push(setOf(characters.slice(at + (isNegated ? 2 : 1), end), isNegated));
      at = end;
    } else parts.push(character === "*" ? "*" : character === "?" ? ANY : only(character));
  }
  return parts;
}

function setOf(members: readonly string[], isNegated: boolean): readonly Range[] {
  const ranges: Range[] = [];
  for (let at = 0; at < members.length; at++) {
    const isRange = members[at + 1] === "-" && at + 2 < members.length;
    const last = isRange ? members[at + 2]! : members[at]!;
    if (members[at]!.codePointAt(0)! <= last.codePointAt(0)!) ranges.push([members[at]!.codePointAt(0)!, last.codePointAt(0)!]);
    if (isRange) at += 2;
  }
  return isNegated ? without(ranges) : ranges;
}

function without(ranges: readonly Range[]): readonly Range[] {
  const rest: Range[] = [];
  let from = 0;
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > from) rest.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= 0x10ffff) rest.push([from, 0x10ffff]);
  return rest;
}

// ── do two patterns share anything? ─────────────────────────────────────────────────────────

function share(a: Pattern, b: Pattern): boolean {
  return meet(a.length, b.length, (i) => a[i] === "**", (j) => b[j] === "**", (i, j) => meetNames(a[i] as NamePattern, b[j] as NamePattern));
}

function meetNames(a: NamePattern, b: NamePattern): boolean {
  return meet(a.length, b.length, (i) => a[i] === "*", (j) => b[j] === "*", (i, j) => meetSets(a[i] as readonly Range[], b[j] as readonly Range[]));
}

function meetSets(a: readonly Range[], b: readonly Range[]): boolean {
  return a.some(([first, last]) => b.some(([from, to]) => first <= to && from <= last));
}

/** Whether two rows, of which some places stand for any number of elements, have a row of elements in common. */
function meet(aLength: number, bLength: number, aIsStar: (i: number) => boolean, bIsStar: (j: number) => boolean, fits: (i: number, j: number) => boolean): boolean {
  // reach[j]: what is left of `a` from i on, and of `b` from j on, have something in common.
  let below: boolean[] = [];
  for (let i = aLength; i >= 0; i--) {
    const row: boolean[] = Array.from({ length: bLength + 1 }, () => false);
    for (let j = bLength; j >= 0; j--) {
      if (i === aLength && j === bLength) row[j] = true;
      else if (i < aLength && aIsStar(i)) row[j] = below[j]! || (j < bLength && row[j + 1]!);
      else if (j < bLength && bIsStar(j)) row[j] = row[j + 1]! || (i < aLength && below[j]!);
      else row[j] = i < aLength && j < bLength && below[j + 1]! && fits(i, j);
    }
    below = row;
  }
  return below[0]!;
}

// ── claims of a workspace ───────────────────────────────────────────────────────────────────

/** Claims together with the folder from which their paths are read. */
export interface Fence {
  readonly workspace: string;
  readonly claims: readonly string[];
}

const PATTERN_CHARACTER = /[*?[\]{}]/;

/** As {@link claimsOverlap}, for claims that are read from different folders. */
export function fencesOverlap(a: Fence, b: Fence): boolean {
  return a.claims.some((one) => b.claims.some((other) => overlapFrom(a.workspace, one, b.workspace, other)));
}

function overlapFrom(from: string, claim: string, otherFrom: string, other: string): boolean {
  if (from === otherFrom || isFreeName(claim) || isFreeName(other)) return claimsOverlap(claim, other);
  if (otherFrom.length < from.length) return overlapFrom(otherFrom, other, from, claim);
  const way = pathBelow(from, otherFrom);
  if (way === null) return false;
  // A folder whose name looks like a pattern: rather one wait too many than two writers.
  return PATTERN_CHARACTER.test(way) || claimsOverlap(claim, `${way}/${other}`);
}

/** The first fence that a file lies outside of; null = it may be changed. */
export function fenceAround(fences: readonly Fence[], file: string): Fence | null {
  return (
    fences.find(({ workspace, claims }) => {
      const path = pathBelow(workspace, file);
      return !mayChange(claims, path ?? "..");
    }) ?? null
  );
}

/** How one absolute path goes on from another; null when it does not. */
function pathBelow(folder: string, path: string): string | null {
  const top = folder.endsWith("/") ? folder : `${folder}/`;
  return path.startsWith(top) && path.length > top.length ? path.slice(top.length) : null;
}
