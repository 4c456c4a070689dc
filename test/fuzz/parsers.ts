/** Small readers: settings, lengths of time, session keys, commands, JSON, globs, addresses. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { JSON_DEPTH_MAX, parseJson } from "../../src/base/json.ts";
import { nearest, slips } from "../../src/base/nearest.ts";
import { BadValue } from "../../src/base/setting.ts";
import { readJson } from "../../src/api/read-body.ts";
import { ALL_SETTINGS } from "../../src/config/all-settings.ts";
import { childSession, directSession, jobSession, mainSession, parseSessionKey } from "../../src/model/session.ts";
import { readToolInput, TextCleaner } from "../../src/providers/clean.ts";
import { INTENTS, COMMAND_LENGTH_MAX } from "../../src/providers/rehearsal/intents.ts";
import { readDuration, showDuration, WAIT_MAX_MS } from "../../src/providers/rehearsal/durations.ts";
import { waitHintMs } from "../../src/providers/wait-hint.ts";
import { readCommand } from "../../src/sessions/command.ts";
import { makeGlob } from "../../src/tools/glob-match.ts";
import { isPublicAddress } from "../../src/tools/public-address.ts";
import { damages, damageText, json, nastyText, pumpedText, textOfWords } from "./hostile.ts";
import { LINEAR_MS_PER_KB, target, unlessRefused } from "./target.ts";

// ── settings ────────────────────────────────────────────────────────────────────────────────

const PROVIDER_FIELDS = ["api", "baseUrl", "apiKey", "apiKeyEnv", "models", "headers", "id", "model", "prompt", "tools", "allow", "deny", "subagents", "allowAgents", "input", "output", "cacheRead", "workspace", "contextWindow"];
const likelyValue = fc.oneof(
  json,
  fc.constantFrom("8", "true", "openai-completions", "anthropic-messages", "collect", "http://127.0.0.1:1/v1", "http://a:b@c/?d#e", "KEY", "main", "exec", "localhost:80", "\ud800"),
  fc.integer({ min: -1, max: 1000 }),
);
const likelyMap = fc.array(fc.tuple(fc.oneof(fc.constantFrom(...PROVIDER_FIELDS), fc.constantFrom("main", "gpt-4.1", "x")), likelyValue), { maxLength: 5 }).map((entries) => Object.fromEntries(entries));
const settingValue = fc.oneof(likelyValue, likelyMap, fc.array(fc.oneof(likelyMap, likelyValue), { maxLength: 4 }), fc.array(fc.tuple(fc.constantFrom("p", "main", "web"), likelyMap), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)));

const settings = target({
  name: "setting-parsers",
  fact: "a setting takes a value or says what was expected, and takes its own result again",
  share: 20,
  open: () => ({
    inputs: fc.record({ index: fc.nat({ max: ALL_SETTINGS.length - 1 }), value: settingValue }),
    check({ index, value }) {
      const setting = ALL_SETTINGS[index]!;
      let parsed: unknown;
      try {
        parsed = setting.parse(value);
      } catch (thrown) {
        assert.ok(thrown instanceof BadValue, `${setting.key}: ${String(thrown)}`);
        return;
      }
      assert.deepEqual(setting.parse(parsed), parsed, setting.key);
    },
  }),
});

const fallbacks = target({
  name: "setting-fallbacks",
  fact: "a damaged fallback of a setting is refused or taken, never something in between",
  share: 4,
  open: () => ({
    inputs: fc.record({ index: fc.nat({ max: ALL_SETTINGS.length - 1 }), damage: damages }),
    check({ index, damage }) {
      const setting = ALL_SETTINGS[index]!;
      let value: unknown;
      try {
        value = JSON.parse(damageText(JSON.stringify(setting.fallback), damage));
      } catch {
        return;
      }
      try {
        setting.parse(value);
      } catch (thrown) {
        assert.ok(thrown instanceof BadValue, `${setting.key}: ${String(thrown)}`);
      }
    },
  }),
});

// ── lengths of time ─────────────────────────────────────────────────────────────────────────

const TIMES = ["0", "5", "1.5", "999999", "ms", "s", "m", "h", " seconds", " minutes", "min", "retry after ", "try again in ", "wait", '"retryDelay": "', '"', "Wed, 21 Oct 2026 07:28:00 GMT", "2026-01-01T00:00:00Z", "-", "e9", "1800000000"];

const durations = target({
  name: "durations",
  fact: "a length of time is finite, not negative and bounded, whatever a provider or a person writes",
  share: 12,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.oneof({ weight: 30, arbitrary: textOfWords(TIMES, 6) }, { weight: 1, arbitrary: pumpedText(TIMES) }),
    check(text) {
      const now = 1_800_000_000_000;
      for (const hint of [waitHintMs({ headers: {}, body: text }, now), waitHintMs({ headers: { "retry-after": text }, body: "" }, now), waitHintMs({ headers: { "x-ratelimit-reset": text }, body: "" }, now), waitHintMs({ headers: { "retry-after-ms": text }, body: "" }, now)]) {
        assert.ok(hint === undefined || (Number.isInteger(hint) && hint >= 0 && hint <= 86_400_000), String(hint));
      }
      const ms = readDuration(text);
      assert.ok(Number.isNaN(ms) || (ms >= 0 && ms <= WAIT_MAX_MS), String(ms));
      const shown = showDuration(Math.round(text.length * 100));
      assert.equal(readDuration(shown), Math.min(WAIT_MAX_MS, Math.round(text.length * 100)));
    },
  }),
});

// ── session keys ────────────────────────────────────────────────────────────────────────────

const keyPart = fc.oneof({ weight: 3, arbitrary: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,8}$/) }, { weight: 1, arbitrary: nastyText }, { weight: 1, arbitrary: fc.constantFrom("main", "direct", "group", "subagent", "acp", "job", "agent", "x".repeat(100), "x".repeat(101)) });

const sessionKeys = target({
  name: "session-keys",
  fact: "a key that is made reads back as what it was made of, and a text is a key in one way only",
  share: 20,
  open: () => ({
    inputs: fc.record({ parts: fc.array(keyPart, { minLength: 1, maxLength: 6 }), glue: fc.constantFrom(":", ":", ":", "::", "\n") }),
    async check({ parts, glue }) {
      const [agent = "", channel = "", peer = ""] = parts;
      const direct = await unlessRefused(() => directSession(agent, channel, peer));
      if (direct !== undefined) assert.deepEqual(parseSessionKey(direct).parts, { kind: "direct", agent, channel, peer });
      const main = await unlessRefused(() => mainSession(agent));
      if (main !== undefined) assert.deepEqual(parseSessionKey(main).parts, { kind: "main", agent, channel: null, peer: null });
      const job = await unlessRefused(() => jobSession(agent));
      if (job !== undefined) assert.equal(parseSessionKey(job).parts.kind, "job");
      const child = await unlessRefused(() => childSession(agent, "subagent", "0123456789abcdef"));
      if (child !== undefined) assert.deepEqual(parseSessionKey(child).parts, { kind: "subagent", agent, channel: null, peer: null });

      const text = parts.join(glue);
      const read = await unlessRefused(() => parseSessionKey(text));
      if (read === undefined) return;
      assert.equal(read.key, text);
      const { parts: found } = read;
      const again = found.kind === "direct" && found.channel !== null ? directSession(found.agent, found.channel, found.peer!) : found.kind === "main" ? mainSession(found.agent) : text;
      assert.equal(again, text);
      assert.doesNotMatch(text, /[\s\p{Cc}/\\]/u);
    },
  }),
});

// ── commands of a conversation ──────────────────────────────────────────────────────────────

const COMMAND_WORDS = ["/", "/stop", "/STOP", "/bg", " ", "  ", "\n", "a-", "-", "all", "T7", "/a/b", "İ"];

const commands = target({
  name: "read-command",
  fact: "a slash command is its name and the rest, in linear time; any other text is none",
  share: 14,
  msPerKb: LINEAR_MS_PER_KB,
  open: () => ({
    inputs: fc.oneof({ weight: 30, arbitrary: fc.record({ text: textOfWords(COMMAND_WORDS, 6), name: fc.stringMatching(/^[a-z][a-z-]{0,8}$/) }) }, { weight: 1, arbitrary: pumpedText(COMMAND_WORDS).map((text) => ({ text, name: "x" })) }),
    check({ text, name }) {
      const read = readCommand(text);
      if (read !== null) {
        assert.match(read.name, /^[a-z][a-z-]*$/);
        assert.equal(text.trim().slice(0, read.name.length + 1).toLowerCase(), `/${read.name}`);
        assert.ok(text.includes(read.rest));
      } else assert.ok(!/^\/[a-z]+$/i.test(text.trim()));
      assert.deepEqual(readCommand(`/${name} ${text}`), { name, rest: text.trim() });
    },
  }),
});

const ASKS = ["research ", "solar", " and ", "spawn ", "5 workers", " for 2s", "stop ", "tell ", " to ", "also look at ", "write ", "run: ", "say ", "what is ", "17 * 23", "(", ")", "-", "1", "+", ".", "!", "?", " ", "wait ", "count to ", "then summarise", "make that ", ", instead", "\n"];

const asks = target({
  name: "rehearsal-asks",
  fact: "the offline model finds out what any text of the length it reads means, within 50 ms per KB",
  share: 4,
  open: () => ({
    inputs: fc.oneof({ weight: 12, arbitrary: textOfWords(ASKS, 16) }, { weight: 1, arbitrary: pumpedText(ASKS) }).map((text) => text.slice(0, COMMAND_LENGTH_MAX)),
    check(text) {
      for (const intent of INTENTS) intent.matches(text);
    },
  }),
});

// ── JSON ────────────────────────────────────────────────────────────────────────────────────

const jsonText = fc.oneof(
  { weight: 10, arbitrary: fc.tuple(json, damages).map(([value, damage]) => damageText(JSON.stringify(value), damage)) },
  { weight: 4, arbitrary: json.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom("[", '{"a":', "[[", '"', "[1,"), fc.constantFrom(10, 63, 64, 65, 1000, 20_000)).map(([open, times]) => open.repeat(times)) },
  { weight: 1, arbitrary: fc.constantFrom(63, 64, 65, 10_000).map((depth) => "[".repeat(depth) + "]".repeat(depth)) },
);

const jsonReader = target({
  name: "json",
  fact: "JSON from outside is read, or refused as bad; keys that poison objects and deep nesting never pass",
  share: 16,
  open: () => ({
    inputs: jsonText,
    async check(text) {
      const read = await unlessRefused(() => readJson(Buffer.from(text), "body"));
      if (read !== undefined) {
        assert.ok(depthOf(read) <= JSON_DEPTH_MAX);
        assert.deepEqual(parseJson(JSON.stringify(read)), read);
      }
      assert.throws(() => readJson(Buffer.concat([Buffer.from(text), Buffer.of(0xff)]), "body"), { code: "INVALID_UTF8" });
      const input = readToolInput(text);
      assert.ok(typeof input === "object" && input !== null && !Array.isArray(input));
      assert.equal(Object.getPrototypeOf(input), Object.prototype);
      assert.ok(JSON.stringify(input).isWellFormed());
    },
  }),
});

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  assert.ok(!Object.hasOwn(value, "__proto__") && !Object.hasOwn(value, "constructor"));
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const cleaner = target({
  name: "text-cleaner",
  fact: "a text that comes in pieces is cleaned as if it had come whole, also when a pair of surrogates was cut",
  share: 14,
  open: () => ({
    inputs: fc.array(nastyText, { maxLength: 8 }),
    check(pieces) {
      const clean = (all: readonly string[]): string => {
        const one = new TextCleaner();
        return all.map((piece) => one.take(piece)).join("") + one.rest();
      };
      const whole = clean([pieces.join("")]);
      assert.equal(clean(pieces), whole);
      assert.equal(clean([...pieces.join("")].flatMap((character) => character.split(""))), whole);
      assert.ok(whole.isWellFormed());
      assert.doesNotMatch(whole, /[^\P{Cc}\t\n\r]/u);
    },
  }),
});

// ── names that were mistyped ────────────────────────────────────────────────────────────────

const mistyped = target({
  name: "nearest-names",
  fact: "the nearest known name is found for any name of any length, and a known name is its own nearest",
  share: 2,
  open() {
    const known = ALL_SETTINGS.map(({ key }) => key);
    return {
      inputs: fc.oneof({ weight: 20, arbitrary: fc.tuple(fc.constantFrom(...known), damages).map(([key, damage]) => damageText(key, damage)) }, { weight: 1, arbitrary: pumpedText(["models.", "a."]) }),
      check(name) {
        const found = nearest(name, known);
        assert.ok(found === null || known.includes(found));
        if (known.includes(name)) assert.equal(found, name);
        if (name.length < 60) assert.equal(slips(name, known[0]!), slips(known[0]!, name));
      },
    };
  },
});

// ── globs ───────────────────────────────────────────────────────────────────────────────────

const globPattern = fc.oneof({ weight: 20, arbitrary: fc.array(fc.constantFrom("a", "b", "*", "**", "?", "/", "[a-b]", "[!a]", "{a,b}", "{", "}", ",", ".", "[", "]", "é", "🎈"), { maxLength: 8 }).map((parts) => parts.join("")) }, { weight: 1, arbitrary: pumpedText(["*", "**", "{a,b}", "[", "/", "?"]).map((text) => text.slice(0, 500)) });
const globPath = fc.oneof({ weight: 20, arbitrary: fc.array(fc.constantFrom("a", "b", "ab", "c", ".", "é", "🎈", "/"), { minLength: 1, maxLength: 8 }).map((parts) => parts.join("")) }, { weight: 1, arbitrary: pumpedText(["a/", "/", "b"]).map((text) => text.slice(0, 4000)) });

const globs = target({
  name: "globs",
  fact: "a glob matches what a plain, slow reading of it matches",
  share: 12,
  open: () => ({
    inputs: fc.record({ pattern: globPattern, path: globPath }),
    async check({ pattern, path }) {
      const isMatch = await unlessRefused(() => makeGlob("glob", pattern));
      if (isMatch === undefined) return;
      const found = isMatch(path);
      // Braces and classes have corners of their own; the plain reading knows stars only.
      if (/[[\]{}]/.test(pattern) || pattern.length > 30 || path.length > 30) return;
      const names = pattern.split("/").filter((name) => name !== "" && name !== ".");
      assert.equal(found, plainMatch(names.length === 1 ? ["**", ...names] : names, path.split("/")), `${pattern} on ${path}`);
    },
  }),
});

function plainMatch(glob: readonly string[], names: readonly string[]): boolean {
  const [first, ...rest] = glob;
  if (first === undefined) return names.length === 0;
  if (first === "**") return names.some((_name, index) => plainMatch(rest, names.slice(index))) || plainMatch(rest, []);
  return names.length > 0 && plainName([...first], [...names[0]!]) && plainMatch(rest, names.slice(1));
}

function plainName(pattern: readonly string[], name: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name.length === 0;
  if (first === "*") return name.some((_character, index) => plainName(rest, name.slice(index))) || plainName(rest, []);
  return name.length > 0 && (first === "?" || first === name[0]) && plainName(rest, name.slice(1));
}

// ── addresses ───────────────────────────────────────────────────────────────────────────────

const addresses = target({
  name: "addresses",
  fact: "an address is public or not in whatever way it is written",
  share: 12,
  open: () => ({
    inputs: fc.record({ bytes: fc.tuple(fc.constantFrom(0, 8, 10, 100, 127, 169, 172, 192, 198, 224, 255), fc.nat(255), fc.nat(255), fc.nat(255)), text: nastyText, v6: fc.ipV6() }),
    check({ bytes, text, v6 }) {
      const v4 = bytes.join(".");
      const isPublic = isPublicAddress(v4);
      const hex = `${((bytes[0] << 8) | bytes[1]).toString(16)}:${((bytes[2] << 8) | bytes[3]).toString(16)}`;
      for (const same of [`::ffff:${v4}`, `::ffff:${hex}`, `0:0:0:0:0:FFFF:${hex}`, `64:ff9b::${v4}`, `64:ff9b::${hex}`]) assert.equal(isPublicAddress(same), isPublic, same);
      if ([0, 10, 127, 224, 255].includes(bytes[0]) || (bytes[0] === 192 && bytes[1] === 168) || (bytes[0] === 169 && bytes[1] === 254)) assert.equal(isPublic, false);
      const canonical = URL.parse(`http://[${v6}]/`)?.hostname.slice(1, -1);
      if (canonical !== undefined) assert.equal(isPublicAddress(v6), isPublicAddress(canonical), `${v6} and ${canonical}`);
      if (!/^[0-9a-f:.]+$/i.test(text)) assert.equal(isPublicAddress(text), false);
    },
  }),
});

export const PARSER_TARGETS = [settings, fallbacks, durations, sessionKeys, commands, asks, jsonReader, cleaner, mistyped, globs, addresses];

