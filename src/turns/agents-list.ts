/**
 * The agents that a person set up: who answers, with which model, in which folder, with which tools.
 *
 * Always true: the agent `main` exists, listed or not; ids are unique and may stand in a session key.
 * Refused: unknown fields, so that a misspelled limit never silently means "no limit".
 */
import { BadValue, type Setting } from "../base/setting.ts";
import { DEFAULT_AGENT, isName } from "../model/session.ts";

export interface AgentEntry {
  readonly id: string;
  /** `<provider>/<model>`; absent = agents.defaults.model. */
  readonly model?: string;
  /** Folder; absent = agents.defaults.workspace. */
  readonly workspace?: string;
  /** Put before the files of the workspace in every prompt. */
  readonly prompt?: string;
  readonly tools?: ToolRules;
  readonly subagents?: SubagentRules;
}

/** Names of tools; `*` at the end of a name stands for any rest. `deny` wins over `allow`. */
export interface ToolRules {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

export interface SubagentRules {
  /** The model of this agent's children; absent = agents.defaults.subagents.model. */
  readonly model?: string;
  /** Agents that this one may spawn besides itself. */
  readonly allowAgents?: readonly string[];
}

const AGENTS_MAX = 200;
const TOOL_NAMES_MAX = 200;
const MODEL_LENGTH_MAX = 200;
const PATH_LENGTH_MAX = 4096;
const PROMPT_LENGTH_MAX = 100_000;

export const agentsList: Setting<readonly AgentEntry[]> = {
  key: "agents.list",
  unit: "list",
  fallback: [],
  bounds: `a list of at most ${AGENTS_MAX} of {id, model?, workspace?, prompt?, tools?: {allow?, deny?}, subagents?: {model?, allowAgents?}}`,
  takesEffect: "next turn",
  doc: "The agents. Each has an id, and may have its own model, workspace, prompt, tools (names; deny wins over allow) and rules for its children. The agent main exists also when it is not listed.",
  parse(value) {
    if (!Array.isArray(value) || value.length > AGENTS_MAX) throw new BadValue(agentsList.bounds);
    const entries = value.map((one, index) => parseEntry(one, `[${index}]`));
    const seen = new Set<string>();
    for (const { id } of entries) {
      if (seen.has(id)) throw new BadValue(`a list in which each id stands once (${id} stands twice)`);
      seen.add(id);
    }
    return entries;
  },
};

/** The agent of that id; null when there is none. */
export function findAgent(list: readonly AgentEntry[], id: string): AgentEntry | null {
  return list.find((entry) => entry.id === id) ?? (id === DEFAULT_AGENT ? { id } : null);
}

/** Every id that a message or a spawn may name, `main` first. */
export function agentIds(list: readonly AgentEntry[]): readonly string[] {
  return [DEFAULT_AGENT, ...list.map((entry) => entry.id).filter((id) => id !== DEFAULT_AGENT)];
}

function parseEntry(value: unknown, where: string): AgentEntry {
  const fields = fieldsOf(value, where, ["id", "model", "workspace", "prompt", "tools", "subagents"]);
  const id = fields["id"];
  if (typeof id !== "string" || !isName(id)) throw new BadValue(`a list whose ${where}.id is a name of letters, digits and . _ @ + -`);
  return {
    id,
    ...optional("model", textOf(fields["model"], `${where}.model`, MODEL_LENGTH_MAX)),
    ...optional("workspace", textOf(fields["workspace"], `${where}.workspace`, PATH_LENGTH_MAX)),
    ...optional("prompt", textOf(fields["prompt"], `${where}.prompt`, PROMPT_LENGTH_MAX)),
    ...optional("tools", fields["tools"] === undefined ? undefined : parseTools(fields["tools"], `${where}.tools`)),
    ...optional("subagents", fields["subagents"] === undefined ? undefined : parseSubagents(fields["subagents"], `${where}.subagents`)),
  };
}

export function parseTools(value: unknown, where: string): ToolRules {
  const fields = fieldsOf(value, where, ["allow", "deny"]);
  return {
    ...optional("allow", namesOf(fields["allow"], `${where}.allow`, TOOL_NAMES_MAX)),
    ...optional("deny", namesOf(fields["deny"], `${where}.deny`, TOOL_NAMES_MAX)),
  };
}

function parseSubagents(value: unknown, where: string): SubagentRules {
  const fields = fieldsOf(value, where, ["model", "allowAgents"]);
  return {
    ...optional("model", textOf(fields["model"], `${where}.model`, MODEL_LENGTH_MAX)),
    ...optional("allowAgents", namesOf(fields["allowAgents"], `${where}.allowAgents`, AGENTS_MAX)),
  };
}

function fieldsOf(value: unknown, where: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadValue(`a list whose ${where} is an object with ${known.join(", ")}`);
  const stranger = Object.keys(value).find((key) => !known.includes(key));
  if (stranger !== undefined) throw new BadValue(`a list whose ${where} has no field ${stranger} (known: ${known.join(", ")})`);
  return value as Record<string, unknown>;
}

function textOf(value: unknown, where: string, lengthMax: number): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "" || value.length > lengthMax) throw new BadValue(`a list whose ${where} is text of 1 to ${lengthMax} characters`);
  return value;
}

function namesOf(value: unknown, where: string, countMax: number): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length > countMax || !value.every((name) => typeof name === "string" && name !== "")) {
    throw new BadValue(`a list whose ${where} is a list of at most ${countMax} names`);
  }
  return value as string[];
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]: Value });
}
