/** Fields of what a provider sent, which may be anything. */
import { countFrom } from "../../base/count.ts";
import { isJsonObject, type JsonObject } from "../../base/json.ts";

const NOTHING: JsonObject = {};

/** The object, or one without fields. */
export function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : NOTHING;
}

/** The objects of a list; none when it is no list. */
export function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A count of tokens, or a place in a list. */
export function countOf(value: unknown): number | undefined {
  return countFrom(value) ?? undefined;
}
