import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import JSON5 from "json5";
import { EMPTY_JSON5, lineInJson5, printJson5, setInJson5, unsetInJson5 } from "./json5-text.ts";

const WRITTEN = `// my gateway
{
  /* people */
  agents: {
    defaults: {
      maxConcurrent: 4, // enough for us
      'model': "mock/large",
    },
  },
  "messages.queue.mode": 'steer', // flat
  gateway: { port: 9000 }
}
`;

test("a changed value leaves comments, quotes and order as the person wrote them", () => {
  assert.equal(setInJson5(WRITTEN, ["agents", "defaults", "maxConcurrent"], 8), WRITTEN.replace("maxConcurrent: 4", "maxConcurrent: 8"));
  assert.equal(setInJson5(WRITTEN, ["agents", "defaults", "model"], "a/b"), WRITTEN.replace('"mock/large"', '"a/b"'));
  assert.equal(setInJson5(WRITTEN, ["messages", "queue", "mode"], "auto"), WRITTEN.replace("'steer'", '"auto"'));
  assert.equal(setInJson5(WRITTEN, ["gateway", "port"], 1), WRITTEN.replace("9000", "1"));
});

test("a new value goes to the deepest object that is already written, after what stands there", () => {
  assert.equal(
    setInJson5(WRITTEN, ["agents", "defaults", "maxSteps"], 10),
    WRITTEN.replace(`"mock/large",\n`, `"mock/large",\n      maxSteps: 10,\n`),
  );
  assert.equal(setInJson5(WRITTEN, ["gateway", "host"], "::1"), WRITTEN.replace("{ port: 9000 }", '{ port: 9000, host: "::1" }'));
  assert.equal(
    setInJson5(WRITTEN, ["sessions", "sideTurnsMax"], 2),
    WRITTEN.replace("{ port: 9000 }", `{ port: 9000 },\n  "sessions.sideTurnsMax": 2`),
  );
  assert.equal(setInJson5(EMPTY_JSON5, ["a", "b"], true), `{\n  "a.b": true,\n}\n`);
  assert.equal(setInJson5("{}", ["a"], 1), "{\n  a: 1,\n}");
});

test("a comment behind the last value stays with it when a comma must be added", () => {
  assert.equal(setInJson5("{\n  a: 1 // one\n}\n", ["b"], 2), "{\n  a: 1, // one\n  b: 2\n}\n");
  assert.equal(setInJson5("{\n  a: 1\n  // the end\n}\n", ["b"], 2), "{\n  a: 1,\n  // the end\n  b: 2\n}\n");
});

test("a removed value takes its line with it, and no comma is left where none was", () => {
  assert.equal(unsetInJson5(WRITTEN, ["agents", "defaults", "maxConcurrent"]), WRITTEN.replace("      maxConcurrent: 4, // enough for us\n", ""));
  assert.equal(unsetInJson5("{a: 1, b: 2}", ["b"]), "{a: 1 }");
  assert.equal(unsetInJson5("{a: 1, b: 2}", ["a"]), "{b: 2}");
  assert.equal(unsetInJson5("{\n  a: 1,\n  b: 2\n}", ["b"]), "{\n  a: 1\n}");
  assert.equal(unsetInJson5(WRITTEN, ["not", "there"]), WRITTEN);
});

test("of a key that is written twice the last is changed, because the last is the one that counts", () => {
  assert.deepEqual(JSON5.parse(setInJson5("{a: 1, a: 2}", ["a"], 3)), { a: 3 });
});

test("braces, slashes and quotes inside strings and comments are no structure", () => {
  const text = `{ // a { brace\n  url: 'http://x/{y}', /* } */ s: "it's // no comment",\n  list: [1, {z: ']'}, '}'],\n  last: 5,\n}`;
  assert.deepEqual(JSON5.parse(setInJson5(text, ["last"], 6)), { ...JSON5.parse(text), last: 6 });
  assert.equal(lineInJson5(text, ["last"]), 4);
});

test("large values are printed over several lines and mean the same", () => {
  const value = { mock: { api: "openai-completions", baseUrl: "http://127.0.0.1:4000/v1", models: ["large", "small", "a longer name"] } };
  assert.deepEqual(JSON5.parse(printJson5(value)), value);
  assert.ok(printJson5(value).includes("\n"));
});

test("whatever is written, one change changes one value and nothing else", () => {
  const key = fc.constantFrom("a", "b", "c", "d-e", "f g");
  const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.string({ maxLength: 8 }), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 }));
  const dictionary = <T>(value: fc.Arbitrary<T>) => fc.dictionary(key, value, { noNullPrototype: true });
  const doc = dictionary<unknown>(fc.oneof(leaf, dictionary(fc.oneof(leaf, dictionary(leaf)))));
  fc.assert(
    fc.property(doc, fc.array(key, { minLength: 1, maxLength: 3 }), leaf, fc.constantFrom("json", "wide", "bare", "json5"), (before, path, value, style) => {
      const text = { json: JSON.stringify(before), wide: JSON.stringify(before, null, 2), bare: printJson5(before), json5: JSON5.stringify(before, null, 2) + " // end\n" }[style];
      let holder: Record<string, unknown> = before;
      for (const segment of path.slice(0, -1)) {
        const next = holder[segment];
        fc.pre(typeof next === "object" && next !== null && !Array.isArray(next));
        holder = next as Record<string, unknown>;
      }
      const last = path.at(-1)!;
      const changed = JSON5.parse(setInJson5(text, path, value));
      holder[last] = value;
      assert.deepEqual(changed, before);
      const without = JSON5.parse(unsetInJson5(text, path));
      delete holder[last];
      assert.deepEqual(without, before);
    }),
    { numRuns: 500 },
  );
});

test("a value that is written twice is taken out twice, because else the first one would count again", () => {
  assert.deepEqual(JSON5.parse(unsetInJson5("{a: 1, b: 2, a: 3}", ["a"])), { b: 2 });
});

test("line separators are escaped, because the json5 library warns about them each time that it reads", () => {
  const text = setInJson5("{}", ["a"], { "\u2028": "\u2029" });
  assert.doesNotMatch(text, /[\u2028\u2029]/);
  assert.deepEqual(JSON5.parse(text), { a: { "\u2028": "\u2029" } });
});

test("-0 stays -0, because what is written must read back as what was asked for", () => {
  assert.ok(Object.is(JSON5.parse(setInJson5("{}", ["a"], -0)).a, -0));
});
