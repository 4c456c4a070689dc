/** Which tools a turn gets: an agent's rules, never more than its place in the tree allows, and which of them it has to look for. */
import { TOOL_SEARCH, type Tool, type Toolbox } from "../model/tool.ts";
import type { ToolRules } from "./agents-list.ts";
import { makeToolSearch } from "./tool-search.ts";

/** Tools that reach other sessions: for people's own sessions, and for children that may still have children. */
const TREE_TOOLS: ReadonlySet<string> = new Set(["sessions_spawn", "sessions_yield", "sessions_send", "sessions_list", "sessions_history", "session_status", "subagents", "agents_list"]);
/** Tools that speak to the person of a conversation, or set work going in its name; a child has none. */
const PERSON_TOOLS: ReadonlySet<string> = new Set(["message", "cron"]);

export interface ToolPlace {
  readonly depth: number;
  readonly depthMax: number;
  /** Those of its agent, of every agent above it, and of its depth: a tool must pass them all, so a child never has more than its parent. */
  readonly rules: readonly ToolRules[];
  /** True for a turn beside its conversation that may change nothing itself. */
  readonly readOnly: boolean;
  /** With more tools than this, the rare ones are behind `tool_search`. */
  readonly shownMax: number;
}

export function toolboxFor(tools: readonly Tool[], place: ToolPlace): Toolbox {
  const box = new Map<string, Tool>();
  for (const tool of tools) if (isOffered(tool, place)) box.set(tool.name, tool);
  const rare = box.size > place.shownMax ? [...box.values()].filter((tool) => tool.isRare === true) : [];
  if (rare.length > 0) box.set(TOOL_SEARCH, makeToolSearch(rare));
  return box;
}

function isOffered({ name, effect }: Tool, { depth, depthMax, rules, readOnly }: ToolPlace): boolean {
  if (readOnly && effect !== "pure" && !TREE_TOOLS.has(name)) return false;
  if (TREE_TOOLS.has(name) && depth >= depthMax) return false;
  if (PERSON_TOOLS.has(name) && depth > 0) return false;
  return rules.every(({ allow, deny }) => !deny?.some((pattern) => matches(pattern, name)) && (allow === undefined || allow.some((pattern) => matches(pattern, name))));
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
