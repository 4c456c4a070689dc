/** The person's configuration: the text that they wrote, and what is changed in it. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import JSON5 from "json5";
import { ALL_SETTINGS } from "../../src/config/all-settings.ts";
import { openConfig } from "../../src/config/config.ts";
import { lineInJson5, setInJson5, unsetInJson5 } from "../../src/config/json5-text.ts";
import { damages, damageText, json, nastyText, pumpedText } from "./hostile.ts";
import { target, unlessRefused } from "./target.ts";

// ── the editor alone ────────────────────────────────────────────────────────────────────────

const segment = fc.constantFrom("a", "b", "c", "main", "d-e", "f g", "é");
const path = fc.array(segment, { minLength: 1, maxLength: 3 });
const leaf = fc.constantFrom("1", "-2.5", "'x'", '"y\\n//no comment"', "true", "null", "[1, /* in a list */ 'z',]", "+.5", "0x1F", "'it\\'s'", '"/* no */"');

/** One level of a document: members with a key of one or more segments, in one of many layouts. */
interface Written {
  readonly members: readonly { readonly key: readonly string[]; readonly value: string | Written; readonly quote: "'" | '"' | ""; readonly before: string; readonly after: string }[];
  readonly open: string;
  readonly trailing: boolean;
}

const blank = fc.constantFrom("", " ", "\n", "\n  ", "\t", "\r\n", "\n\n");
const layout = { quote: fc.constantFrom("'" as const, '"' as const, "" as const), before: blank, after: blank };
const documents: fc.Arbitrary<Written> = fc.letrec<{ level: Written }>((tie) => ({
  level: fc.record({
    members: fc.uniqueArray(fc.record({ key: fc.array(segment, { minLength: 1, maxLength: 2 }), value: fc.oneof({ maxDepth: 2, withCrossShrink: true }, leaf, tie("level")), ...layout }), { maxLength: 3, selector: ({ key }) => key.join(".") }),
    open: blank,
    trailing: fc.boolean(),
  }),
})).level;

/** Prints a document; every comment has a number of its own. */
function print(level: Written, comments: string[]): string {
  const comment = (space: string): string => {
    if (!space.includes("\n") && space.length % 2 === 1) return space;
    comments.push(`note ${comments.length}`);
    return space.includes("\n") ? `${space}// ${comments.at(-1)}\n` : `${space}/* ${comments.at(-1)} */`;
  };
  const members = level.members.map(({ key, value, quote, before, after }, index) => {
    const name = key.join(".");
    const bare = quote === "" && /^[a-zé]+$/.test(name) ? name : `${quote || '"'}${name}${quote || '"'}`;
    const isLast = index === level.members.length - 1;
    return `${comment(before)}${bare}:${after}${typeof value === "string" ? value : print(value, comments)}${isLast && !level.trailing ? "" : ","}`;
  });
  return `{${comment(level.open)}${members.join("")}${level.members.length > 0 ? comment(level.members[0]!.after) : ""}}`;
}

/** Every value by its dotted path; null when two members mean the same place. */
function flat(value: unknown, at = "", into = new Map<string, unknown>()): Map<string, unknown> | null {
  for (const [key, inner] of Object.entries(value as object)) {
    const where = at === "" ? key : `${at}.${key}`;
    if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) {
      if (flat(inner, where, into) === null) return null;
    } else if ([...into.keys()].some((known) => known === where || known.startsWith(`${where}.`) || where.startsWith(`${known}.`))) return null;
    else into.set(where, inner);
  }
  return into;
}

const editor = target({
  name: "json5-editor",
  fact: "setting or unsetting one value leaves every other value as it was, and every comment that does not belong to it",
  share: 16,
  open: () => ({
    inputs: fc.record({ document: documents, path, value: fc.option(fc.constantFrom(1, "x", true, [1, 2], { k: 1 }, "é\u2028\n"), { nil: undefined }) }),
    check({ document, path: place, value }) {
      const comments: string[] = [];
      const text = print(document, comments);
      const before = flat(JSON5.parse(text));
      if (before === null) return;
      const name = place.join(".");
      // A place inside a plain value cannot be set; the layer above refuses it.
      if ([...before.keys()].some((known) => name.startsWith(`${known}.`))) return;
      lineInJson5(text, place);
      const after = value === undefined ? unsetInJson5(text, place) : setInJson5(text, place, value);
      // A place that is written in several members is never written whole by the layer above.
      const inside = [...before.keys()].filter((known) => known.startsWith(`${name}.`));
      const { at, below } = standingAt(JSON5.parse(text), name);
      if (at > 1 || below > 0) return;
      const expected = new Map([...before].filter(([known]) => known !== name && !known.startsWith(`${name}.`)));
      if (value !== undefined) for (const [key, one] of flat({ [name]: value })!) expected.set(key, one);
      const found = flat(JSON5.parse(after));
      assert.ok(found !== null && isDeepStrictEqual(new Map([...found].sort()), new Map([...expected].sort())), `${text} became ${after}`);
      // A comment inside the value that goes, goes with it.
      if (!before.has(name) && inside.length === 0 && at === 0) for (const comment of comments) assert.match(after, new RegExp(`${comment}\\b`), `${text} became ${after}`);
      if (value === undefined && at === 0) assert.equal(after, text);
    },
  }),
});

/** How many members stand at a place, and how many hold a part of it under a longer key. */
function standingAt(value: unknown, name: string): { at: number; below: number } {
  const sum = { at: 0, below: 0 };
  if (typeof value !== "object" || value === null || Array.isArray(value)) return sum;
  for (const [key, inner] of Object.entries(value)) {
    if (key === name) sum.at++;
    else if (key.startsWith(`${name}.`)) sum.below++;
    else if (name.startsWith(`${key}.`)) {
      const { at, below } = standingAt(inner, name.slice(key.length + 1));
      sum.at += at;
      sum.below += below;
    }
  }
  return sum;
}

// ── files and changes ───────────────────────────────────────────────────────────────────────

const KEYS = [...ALL_SETTINGS.map(({ key }) => key), ...ALL_SETTINGS.flatMap(({ aliases }) => aliases ?? [])];
const someKey = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...KEYS) },
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom("models.providers", "models.prices", "messages.queue.byChannel"), fc.array(fc.constantFrom("p", "q", "api", "baseUrl", "apiKey", "headers", "gpt-4.1", "gpt-4", "1", "input", "output", "__proto__", "constructor", "", "telegram"), { minLength: 1, maxLength: 3 })).map(([map, inside]) => [map, ...inside].join(".")) },
  { weight: 1, arbitrary: nastyText },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...KEYS), damages).map(([key, damage]) => damageText(key, damage)) },
);
const someValue = fc.oneof(
  json,
  fc.constantFrom<unknown>(null, 8, "8", "true", false, "collect", "openai-completions", "http://127.0.0.1:9/v1", { p: { api: "openai-completions" } }, { "gpt-4.1": { input: 1, output: 2 } }, { input: 1, output: 2 }, { telegram: "collect" }, ["exec"], [{ id: "main" }], 1.5, "[secret]"),
);

const FIRST_FILE = `// mine
{
  // how many
  agents: { defaults: { maxConcurrent: 4, /* side */ sideConcurrent: 8 } },
  models: {
    providers: { p: { api: 'openai-completions', baseUrl: "http://127.0.0.1:9/v1", apiKey: 'k' }, },
    prices: { 'gpt-4.1': { input: 1, output: 2 } }, // dear
  },
  'messages.queue.mode': 'collect',
}
`;

async function openHome() {
  // The json5 library warns about texts that are no ECMAScript, each time that it reads one.
  const { warn } = console;
  console.warn = () => {};
  const parent = mkdtempSync(join(tmpdir(), "yard-fuzz-config-"));
  const config = await openConfig({ home: join(parent, "home"), environment: {} });
  return {
    config,
    close() {
      console.warn = warn;
      rmSync(parent, { recursive: true, force: true });
    },
  };
}

const changes = target({
  name: "config-set",
  fact: "a change of settings is made whole, with comments and all other values kept, or refused with nothing changed",
  share: 1,
  async open() {
    const { config, close } = await openHome();
    return {
      close,
      inputs: fc.record({ changes: fc.array(fc.tuple(someKey, someValue), { minLength: 1, maxLength: 3 })}),
      async check({ changes: list }) {
        writeFileSync(config.file, FIRST_FILE);
        await config.reload();
        const shown = JSON.stringify(config.all());
        const given = Object.fromEntries(list);
        const changed = await unlessRefused(() => config.set(given));
        const text = readFileSync(config.file, "utf8");
        if (changed === undefined) {
          assert.equal(text, FIRST_FILE);
          assert.equal(JSON.stringify(config.all()), shown);
          return;
        }
        await config.reload();
        const touched = new Set(changed.map(({ key }) => key));
        const before = JSON.parse(shown) as { key: string; value: unknown }[];
        for (const { key, value } of config.all()) if (!touched.has(key)) assert.deepEqual(JSON.parse(JSON.stringify(value)), before.find((one) => one.key === key)?.value, key);
        for (const comment of ["// mine", "// how many", ...(touched.has("agents.defaults.sideConcurrent") ? [] : ["/* side */"]), ...(touched.has("models.prices") ? [] : ["// dear"])]) assert.ok(text.includes(comment), `${comment} is lost: ${text}`);
        config.secrets();
      },
    };
  },
});

const files = target({
  name: "config-file",
  fact: "a file of any content is read, or refused with its place, and then the old values stand",
  share: 1,
  async open() {
    const { config, close } = await openHome();
    const written = fc.oneof(
      { weight: 8, arbitrary: damages.map((damage) => damageText(FIRST_FILE, damage)) },
      { weight: 3, arbitrary: fc.array(fc.tuple(someKey, someValue), { maxLength: 4 }).map((entries) => JSON5.stringify(Object.fromEntries(entries))) },
      { weight: 2, arbitrary: documents.map((document) => print(document, [])) },
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom("[", "{a:", "/*", "//", "'", "{", "{models:{providers:"), fc.constantFrom(10, 100, 5000)).map(([open, times]) => open.repeat(times)) },
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom("{a:", "{agents:", "{models:{prices:", "{'agents.list':"), fc.constantFrom(10, 100, 5000)).map(([head, depth]) => `${head}${"[".repeat(depth)}${"]".repeat(depth)}${"}".repeat(head.split("{").length - 1)}`) },
      { weight: 1, arbitrary: nastyText },
    );
    return {
      close,
      inputs: written,
      async check(text) {
        const shown = JSON.stringify(config.all());
        writeFileSync(config.file, text);
        const read = await unlessRefused(() => config.reload().then(() => true));
        if (read === undefined) assert.equal(JSON.stringify(config.all()), shown);
        config.secrets();
      },
    };
  },
});

const longFiles = target({
  name: "config-long-file",
  fact: "a long file is read or refused within 50 ms per KB",
  share: 0.1,
  async open() {
    const { config, close } = await openHome();
    return {
      close,
      inputs: fc.tuple(fc.constantFrom("{", "{agents:{list:[", "{models:{prices:{", ""), pumpedText(["a:1,", "'x',", "/**/", "//\n", "{", "[", "]", "}", "\\", "'"]), fc.constantFrom("}", "]}}", "}}}", "")).map((parts) => parts.join("")),
      async check(text) {
        writeFileSync(config.file, text);
        await unlessRefused(() => config.reload());
      },
    };
  },
});

export const CONFIG_TARGETS = [editor, changes, files, longFiles];
