/** What models and people ask of a running house: tool calls and slash commands. */
import assert from "node:assert/strict";
import { isIP } from "node:net";
import * as fc from "fast-check";
import type { Json } from "../../src/base/json.ts";
import { isPublicAddress } from "../../src/tools/public-address.ts";
import { HOUSE_SESSION, Houses } from "./house.ts";
import { nastyText, objectFor, textOfWords } from "./hostile.ts";
import { target, unlessRefused } from "./target.ts";


const PATHS = ["notes.txt", "sub", ".", "..", "/", "sub/new.txt", "a\0b", "~", "../x", "AGENTS.md"];
const TARGETS_NAMED = ["one", "#1", "1", "all", "T1", "T7", "task_0", "agent:main:main"];
const likely: fc.Arbitrary<Json | undefined> = fc.oneof(fc.constantFrom<Json>(...PATHS, ...TARGETS_NAMED, "list", "info", "kill", "steer", "log", "*.txt", "**", "(", "a|b", "http://localhost/", "http://[::1]/", "https://a.b/", "main"), nastyText as fc.Arbitrary<Json>);

const tools = target({
  name: "tool-inputs",
  fact: "a tool does what its arguments say or says what is wrong with them, whatever a model sends",
  share: 1.5,
  async open() {
    const houses = new Houses(400);
    const { tools: specs } = await houses.next();
    const inputs = fc.oneof(
      ...specs.map(({ name, inputSchema }) => {
        const properties = inputSchema["properties"] as Record<string, unknown>;
        const overrides = Object.fromEntries(Object.entries(properties).filter(([, schema]) => (schema as { type?: string; enum?: unknown }).type === "string" && !(schema as { enum?: unknown }).enum).map(([field]) => [field, likely]));
        const given = fc.oneof({ weight: 4, arbitrary: objectFor(properties) }, { weight: 4, arbitrary: objectFor(properties, overrides) }, { weight: 1, arbitrary: nastyText.map((text): Record<string, Json> => ({ $invalid: text })) });
        return fc.record({ name: fc.constant(name), input: given });
      }),
    );
    return {
      close: () => houses.close(),
      inputs,
      async check({ name, input }) {
        // An expression runs in a thread of its own, which takes too long to begin for this; and nothing here may go out.
        if (name === "grep" && typeof input["pattern"] === "string" && (input["ignoreCase"] === true || /[\\^$.*+?()[\]{}|]/.test(input["pattern"]))) return;
        if (name === "web_fetch" && goesOut(input["url"])) return;
        const house = await houses.next();
        const tool = house.tools.find((one) => one.name === name)!;
        const outcome = await unlessRefused(() => tool.run(input, { ...house.context, stepKey: `tool:1:${name}` }));
        if (outcome === undefined) return;
        assert.equal(typeof outcome.text, "string");
        if (name === "web_fetch" || name === "exec") assert.equal(outcome.isError, true);
      },
    };
  },
});

/** True for addresses in the public internet, given by number: a name leads to a private one here. */
function goesOut(url: Json | undefined): boolean {
  const host = typeof url === "string" ? URL.parse(url)?.hostname.replace(/^\[|\]$/g, "") : undefined;
  return host !== undefined && isIP(host) !== 0 && isPublicAddress(host);
}

const WORDS = ["/help", "/new", "/reset", "/stop", "/status", "/queue", "/bg", "/model", "/tasks", "/lanes", "/subagents", " ", " ", " ", "all", "T1", "T7", "list", "log", "info", "send", "steer", "kill", "spawn", "#1", "one", "collect", "default", "rehearsal/x", "hello", "\n"];

const slash = target({
  name: "slash-commands",
  fact: "a slash command is answered with words for the person, whatever stands behind it",
  share: 2,
  open() {
    const houses = new Houses(200);
    return {
      close: () => houses.close(),
      inputs: fc.tuple(fc.constantFrom(...WORDS.slice(0, 11), "/", "/nope"), textOfWords(WORDS.slice(11), 6)).map(([name, rest]) => `${name} ${rest}`),
      async check(text) {
        const house = await houses.next();
        const received = await unlessRefused(() => house.frontDoor.accept({ session: HOUSE_SESSION, text, provenance: "user", channel: "api", mayCommand: true }));
        if (received !== undefined && /^\/[a-z]/.test(text)) assert.ok((received.commandReply ?? "").length > 0, "there is an answer");
      },
    };
  },
});

export const INSIDE_TARGETS = [tools, slash];
