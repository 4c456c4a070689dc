/** Which tools a call lists: the usual ones, the rare ones that a search in this conversation found, and those that the model denied to have. */
import { isJsonObject } from "../../base/json.ts";
import type { ChatMessage } from "../../model/chat.ts";
import { TOOL_SEARCH, type Tool, type Toolbox, type ToolSpec } from "../../model/tool.ts";

/** What was found stands behind the usual ones, in the order of finding, so that the beginning stays the same. */
export function listedTools(tools: Toolbox, messages: readonly ChatMessage[], denied: ReadonlySet<string> = new Set()): ToolSpec[] {
  const all = [...tools.values()];
  if (!tools.has(TOOL_SEARCH)) return all.map(specOf);
  const found = [...new Set([...foundIn(messages), ...denied])].flatMap((name) => tools.get(name) ?? []);
  return [...all.filter((tool) => tool.isRare !== true), ...found.filter((tool) => tool.isRare === true)].map(specOf);
}

function foundIn(messages: readonly ChatMessage[]): Set<string> {
  const names = new Set<string>();
  for (const message of messages) {
    if (message.role !== "tool") continue;
    for (const { tool, text, isError } of message.results) if (tool === TOOL_SEARCH && !isError) for (const name of namesIn(text)) names.add(name);
  }
  return names;
}

function namesIn(result: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(result);
  } catch {
    return []; // shortened: those after the cut are not found
  }
  const tools = isJsonObject(value) && Array.isArray(value["tools"]) ? value["tools"] : [];
  return tools.flatMap((tool) => (isJsonObject(tool) && typeof tool["name"] === "string" ? [tool["name"]] : []));
}

function specOf({ name, description, inputSchema }: Tool): ToolSpec {
  return { name, description, inputSchema };
}
