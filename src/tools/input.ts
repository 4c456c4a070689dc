/**
 * The arguments of a tool, declared once: the schema that the model is shown and the check that its
 * call must pass come from the same entries, so they cannot differ.
 *
 * Refuses what it does not know: a misspelled argument that is silently dropped looks like a result.
 */
import { isJsonObject, type JsonObject } from "../base/json.ts";
import { Fault } from "../model/faults.ts";

/** One argument. `parse` throws {@link NotExpected}. */
export interface Field<T> {
  readonly schema: JsonObject;
  readonly required: boolean;
  /** Absent = the model is told of it. */
  readonly isListed?: false;
  readonly parse: (value: unknown) => T;
}

/** Completes the sentence "<field> must be ...". */
class NotExpected extends Error {}

type Fields = Readonly<Record<string, Field<unknown>>>;
type Parsed<F extends Fields> = { readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never };

export interface InputShape<T> {
  readonly schema: JsonObject;
  /** @throws {Fault} TOOL_INPUT naming the argument and what was expected. */
  parse(tool: string, input: JsonObject): T;
}

/** How much of a wrong value is quoted back, characters. */
const QUOTED_MAX_CHARS = 60;

export function inputShape<const F extends Fields>(fields: F): InputShape<Parsed<F>> {
  const names = Object.keys(fields);
  const required = names.filter((name) => fields[name]!.required);
  const properties = Object.fromEntries(names.filter((name) => fields[name]!.isListed !== false).map((name) => [name, fields[name]!.schema]));
  return {
    schema: { type: "object", properties, ...(required.length > 0 && { required }) },
    parse(tool, input) {
      const refuse = (problem: string): never => {
        throw new Fault("TOOL_INPUT", { tool, problem });
      };
      if ("$invalid" in input) refuse(`the arguments must be one JSON object with ${names.join(", ")}; what arrived was no JSON object: ${quote(input["$invalid"])}`);
      const unknown = Object.keys(input).find((name) => !Object.hasOwn(fields, name));
      if (unknown !== undefined) refuse(`unknown argument ${quote(unknown)}; known: ${names.join(", ")}`);
      const parsed = names.map((name) => {
        const field = fields[name]!;
        const value = input[name];
        // Models often send null for what they leave out.
        if (value === undefined || value === null) return [name, field.required ? refuse(`${name} is missing; it must be ${expectedBy(field)}`) : undefined];
        try {
          return [name, field.parse(value)];
        } catch (error) {
          if (!(error instanceof NotExpected)) throw error;
          return refuse(`${name} must be ${error.message}, not ${quote(value)}`);
        }
      });
      return Object.fromEntries(parsed) as Parsed<F>;
    },
  };
}

export function text(options: { min?: number; max: number }): Field<string> {
  const { min = 0, max } = options;
  const expected = min > 0 ? `text of ${min} to ${max} characters` : `text of at most ${max} characters`;
  return {
    schema: { type: "string" },
    required: true,
    parse: (value) => (typeof value === "string" && value.length >= min && value.length <= max ? value : notExpected(expected)),
  };
}

export function wholeNumber(options: { min: number; max: number }): Field<number> {
  const { min, max } = options;
  return {
    schema: { type: "integer" },
    required: true,
    parse: (value) => (Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? (value as number) : notExpected(`a whole number from ${min} to ${max}`)),
  };
}

export function yesNo(): Field<boolean> {
  return { schema: { type: "boolean" }, required: true, parse: (value) => (typeof value === "boolean" ? value : notExpected("true or false")) };
}

export function number(options: { min: number; max: number }): Field<number> {
  const { min, max } = options;
  return {
    schema: { type: "number" },
    required: true,
    parse: (value) => (typeof value === "number" && value >= min && value <= max ? value : notExpected(`a number from ${min} to ${max}`)),
  };
}

/** An object with arguments of its own. */
export function object<const F extends Fields>(fields: F): Field<Parsed<F>> {
  const shape = inputShape(fields);
  return {
    schema: shape.schema,
    required: true,
    parse(value) {
      if (!isJsonObject(value)) return notExpected(`an object with ${Object.keys(fields).join(", ")}`);
      try {
        return shape.parse("", value);
      } catch (cause) {
        return notExpected(`an object in which ${(cause as Error).message.replace(/^: /, "")}`);
      }
    },
  };
}

/** Any JSON object. */
export function anyObject(): Field<JsonObject> {
  return { schema: { type: "object" }, required: true, parse: (value) => (isJsonObject(value) ? value : notExpected("a JSON object")) };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Field<T> {
  return {
    schema: { type: "string", enum: choices },
    required: true,
    parse: (value) => (choices.includes(value as T) ? (value as T) : notExpected(`one of ${choices.join(", ")}`)),
  };
}

/** Text, or a list of texts that together hold at most `max` characters. */
export function textOrList(options: { max: number; itemsMax: number }): Field<string | readonly [string, ...string[]]> {
  const { max, itemsMax } = options;
  const isText = (value: unknown): value is string => typeof value === "string" && value !== "" && value.length <= max;
  const isList = (value: unknown): value is [string, ...string[]] =>
    Array.isArray(value) && value.length <= itemsMax && value.every((item) => typeof item === "string") && isText(value[0]) && value.join("").length <= max;
  return {
    schema: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
    required: true,
    parse: (value) => (isText(value) || isList(value) ? value : notExpected(`text, or a list of up to ${itemsMax} texts, of 1 to ${max} characters in all`)),
  };
}

export function optional<T>(field: Field<T>): Field<T | undefined> {
  return { ...field, required: false };
}

/** Taken when it is given, and not told of: what changes nothing is not worth its place in every prompt. */
export function unlisted<T>(field: Field<T>): Field<T> {
  return { ...field, isListed: false };
}

/** Adds a word for the model; every prompt pays for it. */
export function described<T>(field: Field<T>, description: string): Field<T> {
  return { ...field, schema: { ...field.schema, description } };
}

function notExpected(expected: string): never {
  throw new NotExpected(expected);
}

function expectedBy(field: Field<unknown>): string {
  try {
    field.parse(undefined);
  } catch (error) {
    if (error instanceof NotExpected) return error.message;
  }
  return "given";
}

function quote(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > QUOTED_MAX_CHARS ? `${shown.slice(0, QUOTED_MAX_CHARS)}...` : shown;
}
