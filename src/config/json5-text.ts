/**
 * Changes one value in a JSON5 text and leaves every other character as the person wrote it:
 * comments, order, quotes, trailing commas, indentation.
 *
 * Always true: the text that comes out means what the text that went in meant, with the one value
 * changed; `config.ts` checks that before it writes. Keys may be nested (`{a: {b: 1}}`) or flat
 * (`{"a.b": 1}`), also mixed.
 *
 * Not here: judging whether the text is JSON5. It has been parsed by the json5 library before.
 */
import { assert } from "../base/assert.ts";

interface Value {
  readonly start: number;
  readonly end: number;
  /** Set for objects only. */
  readonly members: readonly Member[] | null;
}
interface Member {
  readonly key: string;
  readonly start: number;
  readonly value: Value;
  /** Index after the comma that follows, or -1 when none does. */
  readonly afterComma: number;
}

/** The text of a configuration without any setting. */
export const EMPTY_JSON5 = "{\n}\n";

/**
 * Sets the value at a dotted path.
 * @param path  segments; each member key on the way may cover one or several of them.
 */
export function setInJson5(text: string, path: readonly string[], value: unknown): string {
  const root = readRoot(text);
  const { object, member, rest } = locate(root, path);
  if (member !== null) {
    return splice(text, member.value.start, member.value.end, printJson5(value, indentAt(text, member.start)));
  }
  return insertMember(text, object, keyText(rest.join(".")), value);
}

/** Takes the value at a dotted path out, also when it is written more than once; the same text when it is not there. */
export function unsetInJson5(text: string, path: readonly string[]): string {
  const { object, member } = locate(readRoot(text), path);
  return member === null ? text : unsetInJson5(removeMember(text, object, member), path);
}

/** The 1-based line on which the member at a dotted path begins, or null when it is not there. */
export function lineInJson5(text: string, path: readonly string[]): number | null {
  const { member } = locate(readRoot(text), path);
  return member === null ? null : text.slice(0, member.start).split("\n").length;
}

/** Prints a value in the way a person would write it: bare keys where they may be, no quotes that are not needed. */
export function printJson5(value: unknown, indent = ""): string {
  if (Array.isArray(value)) return printItems("[", "]", value.map((item) => printJson5(item, indent + STEP)), indent);
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(([key, item]) => `${keyText(key)}: ${printJson5(item, indent + STEP)}`);
    return printItems("{", "}", members, indent);
  }
  return quoted(value);
}

/** As JSON, but for -0, which JSON turns into 0; what the json5 library warns about, and editors take for the end of a line, is escaped. */
function quoted(value: unknown): string {
  if (Object.is(value, -0)) return "-0";
  return JSON.stringify(value).replace(/[\u2028\u2029]/g, (end) => (end === "\u2028" ? "\\u2028" : "\\u2029"));
}

const STEP = "  ";
const LINE_LENGTH_MAX = 80;

function printItems(open: string, close: string, items: readonly string[], indent: string): string {
  const short = open + items.join(", ") + close;
  if (short.length <= LINE_LENGTH_MAX && !short.includes("\n")) return short;
  return `${open}\n${items.map((item) => `${indent}${STEP}${item},\n`).join("")}${indent}${close}`;
}

function keyText(key: string): string {
  return /^[A-Za-z_$][A-Za-z0-9_$]*$/.test(key) ? key : quoted(key);
}

// ── finding the place ───────────────────────────────────────────────────────────────────────

interface Place {
  /** The deepest object on the way. */
  readonly object: Value;
  /** The member at the whole path, or null. */
  readonly member: Member | null;
  /** Segments that no member covers; none when there is a member. */
  readonly rest: readonly string[];
}

function locate(object: Value, path: readonly string[]): Place {
  assert(object.members !== null, "a place is looked for in an object only");
  let best: Place = { object, member: null, rest: path };
  for (const member of object.members) {
    const covered = segmentsCovered(member.key, path);
    if (covered === 0) continue;
    const rest = path.slice(covered);
    const found = rest.length === 0 ? { object, member, rest } : member.value.members !== null ? locate(member.value, rest) : null;
    // The last of equal keys is the one that counts, so a later member wins a tie.
    if (found !== null && found.rest.length <= best.rest.length) best = found;
  }
  return best;
}

function segmentsCovered(key: string, path: readonly string[]): number {
  for (let count = 1; count <= path.length; count++) if (path.slice(0, count).join(".") === key) return count;
  return 0;
}

// ── changing the text ───────────────────────────────────────────────────────────────────────

function splice(text: string, start: number, end: number, replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

function indentAt(text: string, index: number): string {
  const lineStart = text.lastIndexOf("\n", index - 1) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart, index))![0];
}

function insertMember(text: string, object: Value, key: string, value: unknown): string {
  const close = object.end - 1;
  const body = text.slice(object.start + 1, close);
  const last = object.members!.at(-1);
  const ownIndent = indentAt(text, object.start);

  if (last !== undefined && !body.includes("\n")) {
    const comma = last.afterComma === -1 ? "," : "";
    const at = last.afterComma === -1 ? last.value.end : last.afterComma;
    return splice(text, at, at, `${comma} ${key}: ${printJson5(value, ownIndent)}`);
  }
  const indent = last === undefined ? ownIndent + STEP : indentAt(text, last.start);
  const trailing = last === undefined || last.afterComma !== -1 ? "," : "";
  // Comments after the last member stay with it: the new member goes after everything that is written.
  const end = object.start + 1 + body.trimEnd().length;
  const tail = body.trimEnd().length < body.length && text.slice(end, close).includes("\n") ? "" : `\n${ownIndent}`;
  const inserted = splice(text, end, end, `\n${indent}${key}: ${printJson5(value, indent)}${trailing}${tail}`);
  return last !== undefined && last.afterComma === -1 ? splice(inserted, last.value.end, last.value.end, ",") : inserted;
}

function removeMember(text: string, object: Value, member: Member): string {
  const members = object.members!;
  const index = members.indexOf(member);
  let start = member.start;
  let end = member.afterComma === -1 ? member.value.end : member.afterComma;
  const lineStart = text.lastIndexOf("\n", start - 1) + 1;
  const lineEnd = text.indexOf("\n", end) === -1 ? text.length : text.indexOf("\n", end);
  const alone = text.slice(lineStart, start).trim() === "" && /^[ \t]*(\/\/.*)?\r?$/.test(text.slice(end, lineEnd)) && lineEnd < text.length;
  if (alone) [start, end] = [lineStart, lineEnd + 1];
  else while (text[end] === " ") end++;

  const removed = splice(text, start, end, "");
  const before = members[index - 1];
  // `{a: 1, b: 2}` without b must not end in a comma that was not there before.
  if (member.afterComma !== -1 || before === undefined) return removed;
  return splice(removed, before.afterComma - 1, before.afterComma, "");
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────

function readRoot(text: string): Value {
  const root = readValue(text, skip(text, 0));
  assert(root.members !== null, "a configuration text is an object");
  return root;
}

function readValue(text: string, start: number): Value {
  const first = text[start];
  if (first === "{") return readObject(text, start);
  if (first === "[") return { start, end: endOfArray(text, start), members: null };
  if (first === '"' || first === "'") return { start, end: endOfString(text, start), members: null };
  let end = start;
  while (end < text.length && !/[\s,\]}/]/.test(text[end]!)) end++;
  assert(end > start, "a value stands where JSON5 wants one");
  return { start, end, members: null };
}

function readObject(text: string, start: number): Value {
  const members: Member[] = [];
  let at = skip(text, start + 1);
  while (text[at] !== "}") {
    const keyStart = at;
    const { key, end } = readKey(text, at);
    at = skip(text, end);
    assert(text[at] === ":", "a key is followed by a colon");
    const value = readValue(text, skip(text, at + 1));
    at = skip(text, value.end);
    const hasComma = text[at] === ",";
    members.push({ key, start: keyStart, value, afterComma: hasComma ? at + 1 : -1 });
    if (hasComma) at = skip(text, at + 1);
  }
  return { start, end: at + 1, members };
}

function endOfArray(text: string, start: number): number {
  let at = skip(text, start + 1);
  while (text[at] !== "]") {
    at = skip(text, readValue(text, at).end);
    if (text[at] === ",") at = skip(text, at + 1);
  }
  return at + 1;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== text[start]) {
    assert(at < text.length, "a string ends");
    at += text[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

function readKey(text: string, start: number): { key: string; end: number } {
  const quoted = text[start] === '"' || text[start] === "'";
  if (quoted) {
    const end = endOfString(text, start);
    return { key: unescape(text.slice(start + 1, end - 1)), end };
  }
  let end = start;
  while (end < text.length && !/[\s:/]/.test(text[end]!)) end++;
  return { key: unescape(text.slice(start, end)), end };
}

/** Enough of JSON5's escapes for keys; a key that needs more is simply not found, and then not touched. */
function unescape(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([^]))/g, (_all, u?: string, x?: string, plain?: string) =>
    plain ?? String.fromCharCode(parseInt((u ?? x)!, 16)),
  );
}

/** The first index from `at` on that is neither blank nor comment. */
function skip(text: string, at: number): number {
  for (;;) {
    const character = text[at];
    assert(character !== undefined || at === text.length, "reading stays inside the text");
    if (character !== undefined && /[\s\uFEFF]/.test(character)) at++;
    else if (character === "/" && text[at + 1] === "/") {
      while (at < text.length && !/[\n\r\u2028\u2029]/.test(text[at]!)) at++;
    } else if (character === "/" && text[at + 1] === "*") at = text.indexOf("*/", at + 2) + 2;
    else return at;
  }
}
