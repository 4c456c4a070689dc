/**
 * Keeping both sides of a conflict, where both only added something.
 *
 * JSON is merged by its keys: both may add keys, and change different ones. Other text is merged by
 * lines (as diff3 shows them): in each hunk, what is left after the lines that both sides share at
 * its beginning and end must be an addition on both sides. Ours comes first.
 *
 * Gives up (null) on everything else. Whether the result is right is for the tests to say.
 */
import type { Json, JsonObject } from "../base/json.ts";

/** One conflict between two versions of a file. `marked` is the file with diff3 markers. */
export interface TwoSided {
  readonly path: string;
  readonly base: string | null;
  readonly ours: string;
  readonly theirs: string;
  readonly marked: string;
}

export function acceptBoth(file: TwoSided): string | null {
  return file.path.endsWith(".json") ? mergeJsonText(file) : mergeHunks(file.marked);
}

// ── lines ───────────────────────────────────────────────────────────────────────────────────

export const MARKER_LINE = /^(<{7}|\|{7}|={7}|>{7})( .*)?$/;

/** Null when a hunk is not additive, or the markers do not fit together. */
export function mergeHunks(marked: string): string | null {
  const result: string[] = [];
  let side: "ours" | "base" | "theirs" | null = null;
  let hunk = { ours: [] as string[], base: [] as string[], theirs: [] as string[] };
  for (const line of marked.split("\n")) {
    const mark = MARKER_LINE.exec(line)?.[1]?.[0];
    if (side === null && mark === "<") {
      side = "ours";
      hunk = { ours: [], base: [], theirs: [] };
    } else if (side === "ours" && mark === "|") side = "base";
    else if (side === "base" && mark === "=") side = "theirs";
    else if (side === "theirs" && mark === ">") {
      const both = additive(hunk.base, hunk.ours, hunk.theirs);
      if (both === null) return null;
      result.push(...both);
      side = null;
    } else if (mark !== undefined && mark !== "=") return null;
    else if (side === null) result.push(line);
    else hunk[side].push(line);
  }
  return side === null ? result.join("\n") : null;
}

function additive(base: readonly string[], ours: readonly string[], theirs: readonly string[]): readonly string[] | null {
  const before = sharedStart(ours, theirs);
  const after = sharedStart(ours.slice(before).toReversed(), theirs.slice(before).toReversed());
  const middle = (lines: readonly string[]): readonly string[] => lines.slice(before, lines.length - after);
  const shared = [...ours.slice(0, before), ...ours.slice(ours.length - after)];
  // What both sides did alike is no conflict; what is left of the base must be gone in neither.
  if (!base.every((line) => shared.includes(line))) return null;
  return [...ours.slice(0, before), ...middle(ours), ...middle(theirs), ...ours.slice(ours.length - after)];
}

function sharedStart(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

// ── JSON ────────────────────────────────────────────────────────────────────────────────────

function mergeJsonText({ base, ours, theirs }: TwoSided): string | null {
  try {
    const merged = mergeValue(base === null ? {} : JSON.parse(base), JSON.parse(ours), JSON.parse(theirs));
    const indent = /^[ \t]+/m.exec(ours)?.[0] ?? "";
    return merged === undefined ? null : JSON.stringify(merged, null, indent) + (ours.endsWith("\n") ? "\n" : "");
  } catch {
    return null;
  }
}

/** Undefined = they cannot both be kept. */
function mergeValue(base: Json | undefined, ours: Json, theirs: Json): Json | undefined {
  if (same(ours, theirs) || same(theirs, base)) return ours;
  if (same(ours, base)) return theirs;
  if (!isObject(ours) || !isObject(theirs)) return undefined;
  const old = base !== undefined && isObject(base) ? base : {};
  const names = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  const merged: [string, Json][] = [];
  for (const name of isSorted(Object.keys(ours)) ? names.toSorted() : names) {
    const [was, mine, other] = [own(old, name), own(ours, name), own(theirs, name)];
    if (mine === undefined && other === undefined) continue;
    if (mine === undefined || other === undefined) {
      const left = (mine ?? other)!;
      // One side took away what the other left alone.
      if (was !== undefined && same(was, left)) continue;
      if (was !== undefined) return undefined;
      merged.push([name, left]);
      continue;
    }
    const both = mergeValue(was, mine, other);
    if (both === undefined) return undefined;
    merged.push([name, both]);
  }
  return Object.fromEntries(merged);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function own(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function same(a: Json | undefined, b: Json | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && JSON.stringify(a) === JSON.stringify(b));
}

function isSorted(names: readonly string[]): boolean {
  return names.every((name, at) => at === 0 || names[at - 1]! <= name);
}
