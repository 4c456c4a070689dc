/**
 * Matches paths against a glob without a regular expression, so no pattern can be slow: at most
 * (names in the pattern x names in the path) steps, each linear in the names compared per star.
 *
 *     *  ?  [a-z] [!a-z]   inside one name        **   any number of folders        {a,b}   either
 *
 * A pattern without "/" matches the last name of a path at any depth.
 */
import { expandBraces } from "../base/braces.ts";
import { Fault } from "../model/faults.ts";

const PATTERN_MAX_CHARS = 500;
/** How many patterns the braces of one pattern may stand for. */
const ALTERNATIVES_MAX = 64;

/** @throws {Fault} TOOL_INPUT */
export function makeGlob(tool: string, pattern: string): (path: string) => boolean {
  const refuse = (problem: string): never => {
    throw new Fault("TOOL_INPUT", { tool, problem: `the pattern ${problem}` });
  };
  if (pattern === "" || pattern.length > PATTERN_MAX_CHARS) refuse(`must have 1 to ${PATTERN_MAX_CHARS} characters`);
  const alternatives = expandBraces(pattern, ALTERNATIVES_MAX) ?? refuse(`stands for more than ${ALTERNATIVES_MAX} patterns; use fewer braces`);
  const globs = alternatives.map((one) => {
    const names = one.split("/").filter((name) => name !== "" && name !== ".");
    return (names.length === 1 ? ["**", ...names] : names).map((name) => (name === "**" ? null : partsOfName(name)));
  });
  return (path) => {
    const names = path.split("/");
    return globs.some((glob) => matchesNames(glob, names));
  };
}

/** The parts of one name; null stands for `**`. */
type NamePattern = readonly string[] | null;

/** Both by the same greedy rule: on a mismatch, let the latest star swallow one more and go on from there. */
function matchesNames(glob: readonly NamePattern[], names: readonly string[]): boolean {
  return matches(glob.length, names.length, (g) => glob[g] === null, (g, n) => matchesName(glob[g]!, names[n]!));
}

function matchesName(parts: readonly string[], name: string): boolean {
  const characters = [...name];
  return matches(parts.length, characters.length, (p) => parts[p] === "*", (p, c) => matchesCharacter(parts[p]!, characters[c]!));
}

function matches(patternLength: number, length: number, isStar: (p: number) => boolean, fits: (p: number, i: number) => boolean): boolean {
  let p = 0;
  let star = -1;
  let swallowedTo = 0;
  for (let i = 0; i < length; ) {
    if (p < patternLength && isStar(p)) {
      star = p++;
      swallowedTo = i;
    } else if (p < patternLength && fits(p, i)) {
      p++;
      i++;
    } else if (star >= 0) {
      p = star + 1;
      i = ++swallowedTo;
    } else {
      return false;
    }
  }
  while (p < patternLength && isStar(p)) p++;
  return p === patternLength;
}

/** Single characters, `*`, `?` and whole `[...]` classes. */
function partsOfName(pattern: string): readonly string[] {
  const parts: string[] = [];
  const characters = [...pattern];
  const lastClose = characters.lastIndexOf("]");
  for (let at = 0; at < characters.length; at++) {
    const end = characters[at] === "[" && at < lastClose ? characters.indexOf("]", at + (characters[at + 1] === "!" || characters[at + 1] === "^" ? 3 : 2)) : -1;
    if (end < 0) parts.push(characters[at]!);
    else parts.push(characters.slice(at, end + 1).join(""));
    if (end >= 0) at = end;
  }
  return parts;
}

function matchesCharacter(part: string, character: string): boolean {
  if (part === "?") return true;
  if (part.length < 3 || part[0] !== "[") return part === character;
  const isNegated = part[1] === "!" || part[1] === "^";
  const members = [...part.slice(isNegated ? 2 : 1, -1)];
  for (let at = 0; at < members.length; at++) {
    const first = members[at]!;
    const isRange = members[at + 1] === "-" && at + 2 < members.length;
    const last = isRange ? members[at + 2]! : first;
    if (first <= character && character <= last) return !isNegated;
    if (isRange) at += 2;
  }
  return isNegated;
}
