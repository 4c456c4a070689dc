/**
 * Results of children that must fit a schema: a part of JSON Schema (2020-12), checked by a plain walk.
 *
 * The keywords below do what the standard says; a schema with any other one is refused when the
 * child is spawned, because a rule that is passed over in silence looks kept. Patterns are left out:
 * they would let a schema from outside keep the gateway busy for ever.
 */
import { isJsonObject, parseJson, type Json, type JsonObject } from "../base/json.ts";

export const SCHEMA_BYTES_MAX = 20_000;
const SCHEMA_DEPTH_MAX = 20;
const PROBLEMS_MAX = 10;
const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];
const NOTES = ["title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly", "format"];
const COUNTS = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"] as const;
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"] as const;
const LISTS = ["anyOf", "oneOf", "allOf"] as const;
const KEYWORDS = ["type", "enum", "const", "properties", "required", "additionalProperties", "items", "uniqueItems", "not", ...COUNTS, ...NUMBERS, ...LISTS];

/** What is wrong with a schema itself, or null. */
export function schemaProblem(schema: JsonObject): string | null {
  if (Buffer.byteLength(JSON.stringify(schema)) > SCHEMA_BYTES_MAX) return `is larger than ${SCHEMA_BYTES_MAX} bytes`;
  return problemAt(schema, "", 0);
}

function problemAt(schema: unknown, where: string, depth: number): string | null {
  const at = where === "" ? "it" : where;
  if (typeof schema === "boolean") return null;
  if (!isJsonObject(schema)) return `${at} must be a schema`;
  if (depth > SCHEMA_DEPTH_MAX) return `${at} is nested deeper than ${SCHEMA_DEPTH_MAX}`;
  for (const keyword of Object.keys(schema)) {
    if (!KEYWORDS.includes(keyword) && !NOTES.includes(keyword)) return `${at} uses ${JSON.stringify(keyword)}, which is not among ${KEYWORDS.join(", ")}`;
  }
  const types = schema["type"] === undefined ? [] : [schema["type"]].flat();
  if (types.some((type) => !TYPES.includes(type as string))) return `${at}.type must be one or more of ${TYPES.join(", ")}`;
  if (schema["enum"] !== undefined && !Array.isArray(schema["enum"])) return `${at}.enum must be a list`;
  const { required, properties } = schema;
  if (required !== undefined && !(Array.isArray(required) && required.every((name) => typeof name === "string"))) return `${at}.required must be a list of names`;
  if (properties !== undefined && !isJsonObject(properties)) return `${at}.properties must be an object`;
  for (const keyword of COUNTS) if (schema[keyword] !== undefined && !(Number.isInteger(schema[keyword]) && (schema[keyword] as number) >= 0)) return `${at}.${keyword} must be a whole number, 0 or more`;
  for (const keyword of NUMBERS) if (schema[keyword] !== undefined && typeof schema[keyword] !== "number") return `${at}.${keyword} must be a number`;
  if (schema["multipleOf"] !== undefined && (schema["multipleOf"] as number) <= 0) return `${at}.multipleOf must be above 0`;
  for (const keyword of LISTS) if (schema[keyword] !== undefined && (!Array.isArray(schema[keyword]) || schema[keyword].length === 0)) return `${at}.${keyword} must be a list of schemas`;
  const below: [string, unknown][] = Object.entries(properties ?? {}).map(([name, one]) => [`${where}.properties.${name}`, one]);
  for (const keyword of ["items", "additionalProperties", "not"]) if (schema[keyword] !== undefined) below.push([`${where}.${keyword}`, schema[keyword]]);
  for (const keyword of LISTS) below.push(...((schema[keyword] ?? []) as Json[]).map((one, index): [string, unknown] => [`${where}.${keyword}[${index}]`, one]));
  for (const [name, one] of below) {
    const problem = problemAt(one, name, depth + 1);
    if (problem !== null) return problem;
  }
  return null;
}

export type ReadOutput = { readonly output: Json } | { readonly problems: readonly string[] };

/** The JSON of a result, which may stand alone or in one code block, held against its schema. */
export function readOutput(schema: JsonObject, text: string): ReadOutput {
  let output: Json;
  try {
    output = parseJson(/^\s*```(?:json)?\s*\n([\s\S]*?)\n\s*```\s*$/.exec(text)?.[1] ?? text);
  } catch {
    return { problems: ["it is no JSON value"] };
  }
  const problems: string[] = [];
  check(schema, output, "", problems);
  return problems.length === 0 ? { output } : { problems };
}

function check(schema: Json, value: Json, where: string, problems: string[]): void {
  if (problems.length >= PROBLEMS_MAX || schema === true) return;
  const at = where === "" ? "the value" : where;
  if (schema === false) return void problems.push(`${at} must not be there`);
  const rules = schema as JsonObject;
  const types = rules["type"] === undefined ? [] : ([rules["type"]].flat() as string[]);
  if (types.length > 0 && !types.some((type) => isOfType(type, value))) return void problems.push(`${at} must be ${types.join(" or ")}`);
  if (rules["enum"] !== undefined && !(rules["enum"] as Json[]).some((one) => isSame(one, value))) problems.push(`${at} must be one of ${JSON.stringify(rules["enum"])}`);
  if (rules["const"] !== undefined && !isSame(rules["const"]!, value)) problems.push(`${at} must be ${JSON.stringify(rules["const"])}`);
  if (typeof value === "string") checkCount(rules, "Length", "characters", [...value].length, at, problems);
  if (typeof value === "number") checkNumber(rules, value, at, problems);
  if (Array.isArray(value)) checkList(rules, value, where, at, problems);
  else if (isJsonObject(value)) checkObject(rules, value, where, at, problems);
  checkCombinations(rules, value, where, at, problems);
}

function checkCount(rules: JsonObject, of: "Length" | "Items" | "Properties", unit: string, count: number, at: string, problems: string[]): void {
  const [min, max] = [rules[`min${of}`] as number | undefined, rules[`max${of}`] as number | undefined];
  if (min !== undefined && count < min) problems.push(`${at} must have at least ${min} ${unit}`);
  if (max !== undefined && count > max) problems.push(`${at} must have at most ${max} ${unit}`);
}

function checkNumber(rules: JsonObject, value: number, at: string, problems: string[]): void {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = rules as Record<string, number | undefined>;
  if (minimum !== undefined && value < minimum) problems.push(`${at} must be at least ${minimum}`);
  if (maximum !== undefined && value > maximum) problems.push(`${at} must be at most ${maximum}`);
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) problems.push(`${at} must be more than ${exclusiveMinimum}`);
  if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) problems.push(`${at} must be less than ${exclusiveMaximum}`);
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) problems.push(`${at} must be a multiple of ${multipleOf}`);
}

function checkList(rules: JsonObject, value: readonly Json[], where: string, at: string, problems: string[]): void {
  checkCount(rules, "Items", "items", value.length, at, problems);
  if (rules["uniqueItems"] === true && new Set(value.map(canonical)).size < value.length) problems.push(`${at} must not hold the same item twice`);
  const items = rules["items"];
  if (items !== undefined) value.forEach((item, index) => check(items, item, `${where}[${index}]`, problems));
}

function checkObject(rules: JsonObject, value: JsonObject, where: string, at: string, problems: string[]): void {
  const properties = (rules["properties"] ?? {}) as JsonObject;
  checkCount(rules, "Properties", "properties", Object.keys(value).length, at, problems);
  for (const name of (rules["required"] ?? []) as string[]) if (!Object.hasOwn(value, name)) problems.push(`${where}.${name} is missing`);
  for (const [name, one] of Object.entries(value)) {
    const rule = Object.hasOwn(properties, name) ? properties[name]! : rules["additionalProperties"];
    if (rule === false && !Object.hasOwn(properties, name)) problems.push(`${where}.${name} is not among ${Object.keys(properties).join(", ") || "the properties"}`);
    else if (rule !== undefined) check(rule, one!, `${where}.${name}`, problems);
  }
}

function checkCombinations(rules: JsonObject, value: Json, where: string, at: string, problems: string[]): void {
  const fits = (one: Json): boolean => {
    const found: string[] = [];
    check(one, value, where, found);
    return found.length === 0;
  };
  const { anyOf, oneOf, allOf, not } = rules as Record<string, Json[] | undefined>;
  if (anyOf !== undefined && !anyOf.some(fits)) problems.push(`${at} must fit one of the choices in anyOf`);
  if (oneOf !== undefined && oneOf.filter(fits).length !== 1) problems.push(`${at} must fit exactly one of the choices in oneOf`);
  for (const one of allOf ?? []) check(one, value, where, problems);
  if (not !== undefined && fits(not as unknown as Json)) problems.push(`${at} must not fit the schema in not`);
}

function isOfType(type: string, value: Json): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isJsonObject(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function isSame(a: Json, b: Json): boolean {
  return canonical(a) === canonical(b);
}

/** JSON with its keys in order, so that equal values are equal texts. */
function canonical(value: Json): string {
  return JSON.stringify(value, (_key, one: unknown) => (isJsonObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one));
}
