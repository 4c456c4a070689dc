import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json, JsonObject } from "../base/json.ts";
import { readOutput, SCHEMA_BYTES_MAX, schemaProblem } from "./output-schema.ts";

const problemsOf = (schema: JsonObject, value: Json): readonly string[] => {
  const read = readOutput(schema, JSON.stringify(value));
  return "problems" in read ? read.problems : [];
};

test("every keyword does what the standard says, and its problem names the place", () => {
  const cases: readonly [schema: JsonObject, fits: Json, fitsNot: Json, problem: RegExp][] = [
    [{ type: "integer" }, 3, 3.5, /must be integer/],
    [{ type: ["string", "null"] }, null, 1, /must be string or null/],
    [{ enum: ["a", { b: 1, c: 2 }] }, { c: 2, b: 1 }, "d", /must be one of/],
    [{ const: [1] }, [1], [2], /must be \[1\]/],
    [{ minLength: 2, maxLength: 2 }, "😀😀", "😀", /at least 2 characters/],
    [{ minimum: 1, maximum: 2 }, 2, 3, /at most 2/],
    [{ exclusiveMinimum: 1, exclusiveMaximum: 3 }, 2, 1, /more than 1/],
    [{ multipleOf: 0.5 }, 1.5, 1.6, /multiple of 0.5/],
    [{ items: { type: "string" }, minItems: 1, maxItems: 2 }, ["a"], ["a", 1], /\[1\] must be string/],
    [{ uniqueItems: true }, [{ a: 1, b: 2 }, { a: 1 }], [{ a: 1, b: 2 }, { b: 2, a: 1 }], /same item twice/],
    [{ properties: { a: { type: "number" } }, required: ["a"], additionalProperties: false }, { a: 1 }, { b: 1 }, /\.a is missing/],
    [{ additionalProperties: { type: "number" }, maxProperties: 1 }, { x: 1 }, { x: "1" }, /\.x must be number/],
    [{ anyOf: [{ type: "string" }, { type: "number" }] }, 1, true, /anyOf/],
    [{ oneOf: [{ type: "number" }, { minimum: 5 }] }, 3, 7, /exactly one/],
    [{ allOf: [{ minimum: 1 }, { maximum: 2 }] }, 2, 0, /at least 1/],
    [{ not: { type: "string" } }, 1, "x", /must not fit/],
    [{ properties: { list: { items: { properties: { n: false } } } } }, { list: [{}] }, { list: [{ n: 1 }] }, /\.list\[0\]\.n must not be there/],
  ];
  for (const [schema, fits, fitsNot, problem] of cases) {
    assert.equal(schemaProblem(schema), null, JSON.stringify(schema));
    assert.deepEqual(problemsOf(schema, fits), [], JSON.stringify(schema));
    assert.match(problemsOf(schema, fitsNot).join("; "), problem);
  }
});

test("a schema with a rule that would be passed over in silence is refused and the rule is named", () => {
  const refused: readonly [JsonObject, RegExp][] = [
    [{ pattern: "a" }, /"pattern"/],
    [{ properties: { a: { $ref: "#" } } }, /\.properties\.a uses "\$ref"/],
    [{ type: "text" }, /type/],
    [{ required: "a" }, /required/],
    [{ minItems: -1 }, /minItems/],
    [{ anyOf: [] }, /anyOf/],
    [{ items: 3 }, /items must be a schema/],
    [{ description: "x".repeat(SCHEMA_BYTES_MAX) }, /larger than/],
    [JSON.parse(`${'{"items":'.repeat(30)}{}${"}".repeat(30)}`) as JsonObject, /nested deeper/],
  ];
  for (const [schema, problem] of refused) assert.match(schemaProblem(schema) ?? "accepted", problem);
});

test("the JSON may stand alone or in one code block; words around it are a problem, because two readers would cut differently", () => {
  const schema = { type: "object" };
  assert.deepEqual(readOutput(schema, ' {"a": 1}\n'), { output: { a: 1 } });
  assert.deepEqual(readOutput(schema, '```json\n{"a": 1}\n```\n'), { output: { a: 1 } });
  assert.deepEqual(readOutput(schema, 'Here: {"a": 1}'), { problems: ["it is no JSON value"] });
  assert.deepEqual(readOutput(schema, '{"__proto__": 1}'), { problems: ["it is no JSON value"] });
});

test("a value with a thousand faults is told the first few, because a model has to read them", () => {
  assert.equal(problemsOf({ items: { type: "string" } }, Array.from({ length: 1000 }, () => 1)).length, 10);
});
