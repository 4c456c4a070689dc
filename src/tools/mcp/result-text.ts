/** A server's result as text for a model: bounded, with a word for what is no text. */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { ToolOutcome } from "../../model/tool.ts";
import { BoundedOutput } from "../bounded-output.ts";

const ADDRESS_CHARACTERS_MAX = 2_000;

export function outcomeOf(result: JsonObject, bytesMax: number): ToolOutcome {
  const content = Array.isArray(result["content"]) ? (result["content"] as readonly Json[]) : [];
  const structured = result["structuredContent"];
  const output = new BoundedOutput(bytesMax);
  let isFirst = true;
  for (const block of content) {
    const text = textOf(block);
    if (text === "") continue;
    output.add(Buffer.from(isFirst ? text : `\n${text}`));
    isFirst = false;
  }
  if (isFirst && structured !== undefined) output.add(Buffer.from(JSON.stringify(structured)));
  return { text: output.takeRest() || "[the server answered with nothing]", isError: result["isError"] === true };
}

function textOf(block: Json): string {
  if (!isJsonObject(block)) return "";
  const { type, text, data, mimeType, uri, resource } = block;
  if (type === "text") return typeof text === "string" ? text : "";
  if (type === "image" || type === "audio") return `[${type}, ${shown(mimeType)}, ${typeof data === "string" ? data.length : 0} characters of base64, left out]`;
  if (type === "resource_link") return `[see ${shown(uri)}]`;
  if (type === "resource" && isJsonObject(resource)) return typeof resource["text"] === "string" ? resource["text"] : `[${shown(resource["uri"])}, ${shown(resource["mimeType"])}, left out]`;
  return "[something that is neither text nor a resource, left out]";
}

function shown(value: Json | undefined): string {
  return typeof value === "string" ? value.slice(0, ADDRESS_CHARACTERS_MAX) : "unknown";
}
