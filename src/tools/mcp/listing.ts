/**
 * What a server says that it can do, read with distrust: bounded in number and size, filtered, and
 * under names that every provider takes.
 *
 * Names are `<server>__<tool>` and unique; a tool whose schema is no object or too large is left out
 * and the reason shown. Effect classes follow the server's own annotations: who sets up a server
 * trusts it that far. What it does not annotate is `once`.
 */
import { hash } from "node:crypto";
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { EffectClass } from "../../model/tool.ts";
import type { ServerSetup } from "./settings.ts";

export const TOOLS_MAX = 200;
const NAME_LENGTH_MAX = 64;
const DESCRIPTION_CHARACTERS_MAX = 1_024;
const SCHEMA_BYTES_MAX = 16_384;
const HASH_CHARACTERS = 8;
const OWN_NAME_LENGTH_MAX = 200;

export interface ListedTool {
  /** As agents know it. */
  readonly name: string;
  /** As the server knows it. */
  readonly own: string;
  readonly description: string;
  readonly inputSchema: JsonObject;
  readonly effect: EffectClass;
}

export interface Listing {
  readonly tools: readonly ListedTool[];
  /** Tools that are not offered, and why. */
  readonly leftOut: readonly { readonly tool: string; readonly why: string }[];
}

export function readListing(setup: ServerSetup, raw: readonly unknown[]): Listing {
  const tools = new Map<string, ListedTool>();
  const leftOut: { tool: string; why: string }[] = [];
  for (const one of raw) {
    const own = isJsonObject(one) && typeof one["name"] === "string" && one["name"] !== "" ? one["name"] : null;
    const shown = (own ?? "(without a name)").slice(0, OWN_NAME_LENGTH_MAX);
    const why = own === null ? "it has no name" : own.length > OWN_NAME_LENGTH_MAX ? `its name is longer than ${OWN_NAME_LENGTH_MAX} characters` : refusal(setup, own, one as JsonObject);
    if (why !== null) {
      if (leftOut.length < TOOLS_MAX) leftOut.push({ tool: shown, why });
    } else if (tools.size >= TOOLS_MAX) leftOut.push({ tool: shown, why: `a server may have ${TOOLS_MAX} tools` });
    else {
      const name = agentName(setup.id, own!, tools);
      tools.set(name, { name, own: own!, ...read(one as JsonObject) });
    }
    if (leftOut.length >= TOOLS_MAX) break;
  }
  return { tools: [...tools.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), leftOut };
}

function refusal({ tools: { allow, deny } }: ServerSetup, own: string, tool: JsonObject): string | null {
  if (deny.some((pattern) => fits(pattern, own))) return "tools.deny names it";
  if (allow !== null && !allow.some((pattern) => fits(pattern, own))) return "tools.allow does not name it";
  const schema = tool["inputSchema"];
  if (!isJsonObject(schema) || schema["type"] !== "object") return "its inputSchema is not that of an object";
  if (Buffer.byteLength(JSON.stringify(schema)) > SCHEMA_BYTES_MAX) return `its inputSchema is larger than ${SCHEMA_BYTES_MAX} bytes`;
  return null;
}

function read(tool: JsonObject): Pick<ListedTool, "description" | "inputSchema" | "effect"> {
  const described = tool["description"] ?? tool["title"];
  const annotations = isJsonObject(tool["annotations"]) ? tool["annotations"] : {};
  return {
    description: typeof described === "string" ? described.slice(0, DESCRIPTION_CHARACTERS_MAX) : "",
    inputSchema: tool["inputSchema"] as JsonObject,
    effect: annotations["readOnlyHint"] === true ? "pure" : annotations["idempotentHint"] === true ? "idempotent" : "once",
  };
}

function agentName(server: string, own: string, taken: ReadonlyMap<string, unknown>): string {
  const plain = `${server}__${own.replace(/[^A-Za-z0-9_-]/g, "_")}`;
  const isExact = plain === `${server}__${own}` && plain.length <= NAME_LENGTH_MAX;
  if (isExact && !taken.has(plain)) return plain;
  return `${plain.slice(0, NAME_LENGTH_MAX - HASH_CHARACTERS - 1)}_${hash("sha256", own, "hex").slice(0, HASH_CHARACTERS)}`;
}

function fits(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
