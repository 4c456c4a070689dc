/**
 * Fields of requests as data: one entry reads a value, says where it is wrong, and describes itself
 * for the OpenAPI document.
 *
 * Always true of what comes out: every field has its type, texts are well-formed Unicode without
 * NUL, and no field that the route does not know was passed over in silence.
 */
import { isUtf8 } from "node:buffer";
import { isJsonObject, parseJson, type Json, type JsonObject } from "../base/json.ts";
import type { SessionKey } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { isSessionKey, parseSessionKey, SESSION_KEY_LENGTH_MAX } from "../model/session.ts";
import { nearest } from "../base/nearest.ts";

/** Reads one kind of value; `where` is its path in the request, e.g. `body.session`. */
export interface Reader<T> {
  readonly schema: JsonObject;
  /** @throws {Fault} BAD_REQUEST, INVALID_UTF8 */
  readonly read: (value: unknown, where: string) => T;
}

export interface Field<T> extends Reader<T> {
  readonly required: boolean;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type Values<F extends Fields> = { readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never };

// ── whether a field must be there ───────────────────────────────────────────────────────────

export function must<T>(reader: Reader<T>, description: string): Field<T> {
  return {
    schema: { ...reader.schema, description },
    required: true,
    read(value, where) {
      if (value === undefined) throw bad(where, "is missing");
      return reader.read(value, where);
    },
  };
}

export function may<T>(reader: Reader<T>, description: string): Field<T | undefined> {
  return {
    schema: { ...reader.schema, description },
    required: false,
    // Many programs write null for what they leave out.
    read: (value, where) => (value === undefined || value === null ? undefined : reader.read(value, where)),
  };
}

/** Absent = leave as it is; null = take it away. */
export function mayBeNull<T>(reader: Reader<T>, description: string): Field<T | null | undefined> {
  return {
    schema: { anyOf: [reader.schema, { type: "null" }], description },
    required: false,
    read: (value, where) => (value === undefined || value === null ? value : reader.read(value, where)),
  };
}

// ── kinds of values ─────────────────────────────────────────────────────────────────────────

/** Any text, also a blank one, of at most `max` characters. */
export function text(limits: { max: number }): Reader<string> {
  return {
    schema: { type: "string", maxLength: limits.max },
    read: (value, where) => readText(value, where, limits.max),
  };
}

/** Text that says something: not only blanks, and at most so many bytes of UTF-8. */
export function prose(limits: { bytesMax: number }): Reader<string> {
  return {
    schema: { type: "string", minLength: 1 },
    read(value, where) {
      const read = readText(value, where, Infinity);
      const bytes = Buffer.byteLength(read);
      if (bytes > limits.bytesMax) throw new Fault("BODY_TOO_LARGE", { bytes, bytesMax: limits.bytesMax });
      if (read.trim() === "") throw bad(where, "is empty");
      return read;
    },
  };
}

/** A name or id: 1 to `max` characters. */
export function word(limits: { max: number }): Reader<string> {
  return {
    schema: { type: "string", minLength: 1, maxLength: limits.max },
    read(value, where) {
      const read = readText(value, where, limits.max);
      if (read === "") throw bad(where, "is empty");
      return read;
    },
  };
}

export function choice<const T extends string>(choices: readonly T[]): Reader<T> {
  return {
    schema: { type: "string", enum: choices },
    read(value, where) {
      if (!choices.includes(value as T)) throw bad(where, `must be one of ${choices.join(" | ")}`);
      return value as T;
    },
  };
}

/** Several choices in one text with commas between them, as in `?state=queued,running`. */
export function choices<const T extends string>(known: readonly T[]): Reader<readonly T[]> {
  const one = choice(known);
  return {
    schema: { type: "string", description: `comma list of ${known.join(" | ")}` },
    read: (value, where) => readText(value, where, 500).split(",").map((name) => one.read(name.trim(), where)),
  };
}

/** `true` or `false`, also as text because queries hold nothing else. */
export function yesNo(): Reader<boolean> {
  return {
    schema: { type: "boolean" },
    read(value, where) {
      if (value === true || value === "true") return true;
      if (value === false || value === "false") return false;
      throw bad(where, "must be true or false");
    },
  };
}

/** A whole number, also as digits because queries hold nothing else. */
export function count(limits: { min: number; max: number }): Reader<number> {
  return {
    schema: { type: "integer", minimum: limits.min, maximum: limits.max },
    read(value, where) {
      const number = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value;
      if (typeof number !== "number" || !Number.isSafeInteger(number) || number < limits.min || number > limits.max) {
        throw bad(where, `must be a whole number in ${limits.min}..${limits.max}`);
      }
      return number;
    },
  };
}

export function number(limits: { min: number; max: number }): Reader<number> {
  return {
    schema: { type: "number", minimum: limits.min, maximum: limits.max },
    read(value, where) {
      if (typeof value !== "number" || !(value >= limits.min && value <= limits.max)) throw bad(where, `must be a number in ${limits.min}..${limits.max}`);
      return value;
    },
  };
}

/** An object with fields of its own. */
export function object<F extends Fields>(fields: F): Reader<Values<F>> {
  const required = Object.keys(fields).filter((name) => fields[name]!.required);
  return {
    schema: { type: "object", properties: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.schema])), additionalProperties: false, ...(required.length > 0 ? { required } : {}) },
    read: (value, where) => (value === null ? refuseNull(where) : readFields(fields, value, where)),
  };
}

function refuseNull(where: string): never {
  throw bad(where, "must be an object");
}

/** Any JSON object, of which nothing is known here. */
export function anyObject(): Reader<JsonObject> {
  return {
    schema: { type: "object" },
    read(value, where) {
      if (!isJsonObject(value)) throw bad(where, "must be an object");
      return value;
    },
  };
}

export function list<T>(item: Reader<T>, limits: { max: number }): Reader<readonly T[]> {
  return {
    schema: { type: "array", items: item.schema, maxItems: limits.max },
    read(value, where) {
      if (!Array.isArray(value) || value.length > limits.max) throw bad(where, `must be a list of at most ${limits.max}`);
      return value.map((one, at) => item.read(one, `${where}[${at}]`));
    },
  };
}

export function sessionKey(): Reader<SessionKey> {
  return {
    schema: { type: "string", maxLength: SESSION_KEY_LENGTH_MAX, examples: ["agent:main:main"] },
    read(value, where) {
      if (typeof value !== "string") throw bad(where, "must be text");
      return parseSessionKey(value, where).key;
    },
  };
}

/** The key of a session that must be there: what is no key names none. */
export function sessionThere(): Reader<SessionKey> {
  return {
    schema: sessionKey().schema,
    read(value, where) {
      if (typeof value !== "string") throw bad(where, "must be text");
      if (!isSessionKey(value)) throw new Fault("SESSION_NOT_FOUND", { session: value.slice(0, SESSION_KEY_LENGTH_MAX) });
      return value;
    },
  };
}

// ── whole requests ──────────────────────────────────────────────────────────────────────────

/**
 * Reads the fields of an object from outside.
 * @param where  what the object is: `body`, `query`, `path` or `params`.
 * @throws {Fault} BAD_REQUEST for a wrong value, a missing field, or a field that nobody knows.
 */
export function readFields<F extends Fields>(fields: F, source: unknown, where: string): Values<F> {
  const given = asObject(source, where);
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(fields, name)) throw unknownField(name, Object.keys(fields), where);
  }
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) {
    values[name] = fields[name]!.read(Object.hasOwn(given, name) ? given[name] : undefined, `${where}.${name}`);
  }
  return values as Values<F>;
}

/** An absent body is an empty one, so that a POST without fields needs no `{}`. */
export function asObject(source: unknown, where: string): JsonObject {
  if (source === undefined || source === null) return {};
  if (!isJsonObject(source)) throw bad(where, "must be an object");
  return source;
}

/**
 * Bytes from outside as JSON; nothing at all is undefined.
 * @throws {Fault} INVALID_UTF8; BAD_REQUEST when it is no JSON, too deep, or holds keys that poison objects.
 */
export function readJson(bytes: Buffer, where: string): Json | undefined {
  if (bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw new Fault("INVALID_UTF8", { where });
  const source = bytes.toString("utf8");
  try {
    return parseJson(source.charCodeAt(0) === BYTE_ORDER_MARK ? source.slice(1) : source);
  } catch (cause) {
    throw bad(where, cause instanceof Error ? cause.message : "is not JSON");
  }
}

const BYTE_ORDER_MARK = 0xfeff;

export function bad(where: string, problem: string): Fault {
  return new Fault("BAD_REQUEST", { where, problem });
}

function unknownField(name: string, known: readonly string[], where: string): Fault {
  const meant = nearest(name, known);
  const advice = meant !== null ? `did you mean ${meant}?` : known.length === 0 ? "none is known here" : `known: ${known.join(", ")}`;
  return bad(`${where}.${name.slice(0, 80)}`, `unknown field; ${advice}`);
}

function readText(value: unknown, where: string, lengthMax: number): string {
  if (typeof value !== "string") throw bad(where, "must be text");
  if (value.length > lengthMax) throw bad(where, `is longer than ${lengthMax} characters`);
  if (!value.isWellFormed()) throw new Fault("INVALID_UTF8", { where });
  if (value.includes("\0")) throw bad(where, "holds a NUL character");
  return value;
}
