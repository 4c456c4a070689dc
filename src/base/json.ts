/** JSON as a type, and the one way to read it from text that may be hostile. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** How deep a value from outside may nest before it is refused. */
export const JSON_DEPTH_MAX = 64;

/**
 * Parses JSON and refuses what could poison objects or the stack.
 * @throws {SyntaxError} not JSON, nested deeper than {@link JSON_DEPTH_MAX}, or holding a `__proto__` key or a number that no double can hold.
 */
export function parseJson(text: string): Json {
  const value = JSON.parse(text) as Json;
  checkShape(value, 0);
  return value;
}

function checkShape(value: Json, depth: number): void {
  if (typeof value === "number" && !Number.isFinite(value)) throw new SyntaxError("JSON number is out of range");
  if (value === null || typeof value !== "object") return;
  if (depth >= JSON_DEPTH_MAX) throw new SyntaxError(`JSON nested deeper than ${JSON_DEPTH_MAX} levels`);
  if (Array.isArray(value)) {
    for (const item of value) checkShape(item, depth + 1);
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__" || key === "constructor") throw new SyntaxError(`JSON key ${key} is not allowed`);
    checkShape(item, depth + 1);
  }
}

/** Whether a value nests deeper than {@link JSON_DEPTH_MAX}; it may nest as deep as it likes. */
export function nestsTooDeep(value: Json): boolean {
  let level: readonly Json[] = [value];
  for (let depth = 0; depth <= JSON_DEPTH_MAX; depth++) {
    level = level.flatMap((one) => (one === null || typeof one !== "object" ? [] : Array.isArray(one) ? one : Object.values(one)));
    if (level.length === 0) return false;
  }
  return true;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
