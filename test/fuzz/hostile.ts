/** Inputs that break programs: texts, JSON, bytes, and ways to damage what was well-formed. */
import * as fc from "fast-check";
import type { Json } from "../../src/base/json.ts";

/** Everything that some reader somewhere takes for the end of a line. */
export const LINE_ENDS = ["\n", "\r\n", "\r", "\v", "\f", "\u0085", "\u2028", "\u2029"] as const;

const WORDS = [
  "", " ", "\0", "\t", ...LINE_ENDS, "\uFEFF", "\u200B", "\u202E", "\x1b[31m", "\uD800", "\uDC00", "\uFFFD", "🎈", "é", "e\u0301", "ß", "İ", "__proto__", "constructor", "prototype", "toString", "hasOwnProperty",
  "null", "undefined", "NaN", "Infinity", "-0", "1e999", "0x10", "9007199254740993", "true", "..", ".", "/", "\\", "../", "//", "~", "%00", "%2e%2e", "%", "${x}", "{{x}}", "<script>", "'", '"', "`", "\\u0000", "*", "[", "]", "{", "}", "(", ")", ",", ";", ":", "#", "@", "$", "&", "?", "=", "> ", "data:", "T7", "/stop", "agent:main:main",
] as const;

/** Short texts, half of them made of what is known to be trouble. */
export const nastyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.array(fc.constantFrom(...WORDS), { maxLength: 6 }).map((words) => words.join("")) },
  { weight: 2, arbitrary: fc.string({ maxLength: 30 }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
  { weight: 1, arbitrary: fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 }).map((units) => String.fromCharCode(...units)) },
);

/** Words of a language in any order, with trouble between them. */
export function textOfWords(words: readonly string[], lengthMax = 12): fc.Arbitrary<string> {
  return fc.array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...words) }, { weight: 1, arbitrary: nastyText }), { maxLength: lengthMax }).map((parts) => parts.join(""));
}

const PUMPED_CHARS_MAX = 100_000;

/** A small piece again and again, up to 100 KB: what makes a backtracking reader slow. */
export function pumpedText(words: readonly string[]): fc.Arbitrary<string> {
  const filler = fc.constantFrom("a", "A", "1", " ", "\t", "\n", "-", ".", "/", "!");
  const piece = fc.oneof(filler, fc.array(fc.oneof(filler, fc.constantFrom(...words, "_", "\u2028")), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("") || "a"));
  const tail = fc.oneof(textOfWords(words, 2), fc.constantFrom("", "!", "x\u2028y", "\n", "\0"));
  return fc.record({ head: textOfWords(words, 3), piece, times: fc.constantFrom(10, 1000, 10_000, PUMPED_CHARS_MAX), tail })
    .map(({ head, piece: one, times, tail }) => head + one.repeat(Math.min(times, Math.floor(PUMPED_CHARS_MAX / one.length))) + tail);
}

export const nastyNumber: fc.Arbitrary<number> = fc.oneof(fc.constantFrom(0, -0, 1, -1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, 65_535, 65_536), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));

const names = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("__proto__", "constructor", "prototype", "toString", "", "a", "b", "id", "text", "session", "0", "length"));

/** Any JSON; keys are own properties also when they are called `__proto__`. */
export const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<Json>(null, true, false),
    nastyNumber,
    nastyText,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(names, tie("value")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
})).value;

/** Fits a schema (the part of JSON Schema that this program uses), nearly fits it, or does not at all. */
export function forSchema(schema: unknown): fc.Arbitrary<Json | undefined> {
  const fitting = fittingFor(schema as Schema);
  return fc.oneof({ weight: 6, arbitrary: fitting }, { weight: 2, arbitrary: json }, { weight: 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constant(null) });
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly Json[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
}

function fittingFor(schema: Schema): fc.Arbitrary<Json> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(fittingFor));
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "string":
      return fc.oneof({ weight: 6, arbitrary: nastyText }, { weight: 1, arbitrary: fc.constantFrom(...[0, 1].map((more) => "x".repeat(Math.min(5000, (schema.maxLength ?? 200) + more)))) });
    case "integer":
    case "number": {
      const { minimum = 0, maximum = 1000 } = schema;
      return fc.oneof(fc.integer({ min: Math.max(minimum, -(2 ** 31)), max: Math.min(maximum, 2 ** 31 - 1) }), fc.constantFrom(minimum, maximum, minimum - 1, maximum + 1));
    }
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(fittingFor(schema.items ?? {}), { maxLength: 4 });
    default:
      return json;
  }
}

/** An object with the fields of a schema, some missing, some wrong, sometimes one too many. */
export function objectFor(properties: Readonly<Record<string, unknown>>, overrides: Readonly<Record<string, fc.Arbitrary<Json | undefined>>> = {}): fc.Arbitrary<Record<string, Json>> {
  const fields = Object.entries(properties).map(([name, schema]) => fc.tuple(fc.constant(name), overrides[name] ?? forSchema(schema)));
  const stranger = fc.option(fc.tuple(names, json as fc.Arbitrary<Json | undefined>), { freq: 8 });
  return fc.tuple(fc.tuple(...fields), fc.array(fc.boolean(), { minLength: fields.length, maxLength: fields.length }), stranger).map(([given, kept, extra]) => {
    const entries = given.filter(([, value], index) => value !== undefined && (kept[index] || index === 0));
    return Object.fromEntries(extra === null ? entries : [...entries, extra]) as Record<string, Json>;
  });
}

/** Where to cut `length` into pieces. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.oneof(fc.constant([]), fc.constant([1]), fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 }));

/** Pieces of the given sizes, the sizes taken again and again; none = one piece. */
export function cutInto(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  if (sizes.length === 0) return [bytes];
  const pieces: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + sizes[turn % sizes.length]!;
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

export interface Damage {
  readonly how: "drop" | "double" | "insert" | "spoil" | "flip" | "cut" | "swap";
  /** Where, as a part of the whole: 0..1. */
  readonly at: number;
  readonly length: number;
  readonly word: string;
}

export const damages: fc.Arbitrary<readonly Damage[]> = fc.array(
  fc.record({ how: fc.constantFrom("drop", "double", "insert", "spoil", "flip", "cut", "swap"), at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.integer({ min: 1, max: 40 }), word: nastyText }),
  { maxLength: 4 },
);

const NO_UTF8 = new Uint8Array([0xff, 0xff]);

export function damageBytes(bytes: Uint8Array, list: readonly Damage[]): Uint8Array {
  let whole = Buffer.from(bytes);
  for (const { how, at, length, word } of list) {
    const start = Math.floor(at * whole.length);
    const [head, piece, tail] = [whole.subarray(0, start), whole.subarray(start, start + length), whole.subarray(start + length)];
    switch (how) {
      case "drop":
        whole = Buffer.concat([head, tail]);
        break;
      case "double":
        whole = Buffer.concat([head, piece, piece, tail]);
        break;
      case "insert":
        whole = Buffer.concat([head, Buffer.from(word), piece, tail]);
        break;
      case "spoil":
        whole = Buffer.concat([head, NO_UTF8, piece, tail]);
        break;
      case "flip":
        whole = Buffer.concat([head, Buffer.from(piece.map((byte) => byte ^ (1 << (length % 8)))), tail]);
        break;
      case "cut":
        whole = Buffer.from(head);
        break;
      case "swap":
        whole = Buffer.concat([head, tail.subarray(0, length), piece, tail.subarray(length)]);
        break;
    }
  }
  return whole;
}

export function damageText(text: string, list: readonly Damage[]): string {
  return Buffer.from(damageBytes(Buffer.from(text, "utf16le"), list.map((one) => ({ ...one, length: one.length * 2 })))).toString("utf16le");
}

/** Damages a list: leaves out, doubles and swaps whole items. */
export function damageList<T>(items: readonly T[], list: readonly Damage[]): T[] {
  const all = [...items];
  for (const { how, at } of list) {
    if (all.length === 0) break;
    const index = Math.min(all.length - 1, Math.floor(at * all.length));
    const other = (index + 1) % all.length;
    if (how === "drop") all.splice(index, 1);
    else if (how === "double" || how === "insert") all.splice(index, 0, all[index]!);
    else if (how === "cut") all.length = index;
    else [all[index], all[other]] = [all[other]!, all[index]!];
  }
  return all;
}
