/**
 * What a script means by `@read`, `@write`, `@run` and `@served:NAME` (a tool of a server that the agent was given): the tool of whichever coding agent asks, with
 * the arguments that this tool has. So one script drives all of them.
 *
 *     @read {"path"}   @write {"path", "text"}   @run {"command"}   @served:NAME {…}
 *
 * Each row is a tool and how its arguments are made. The first that the request offers is taken; without
 * one the call is left out, and the answer says so.
 */
import { object, string, type Loose, type Offered } from "./conversation.ts";

export interface ToolCall {
  readonly name: string;
  readonly input: string;
  readonly isFreeForm: boolean;
  readonly namespace?: string;
}

type Row = readonly [tool: string, input: (given: Given, offered: Offered) => unknown];

interface Given {
  readonly path: string;
  readonly text: string;
  readonly command: string;
}

const field = (offered: Offered, ...names: readonly [string, ...string[]]): string => names.find((name) => offered.fields.includes(name)) ?? names[0];

/** Tools that run a command line; `more` is what a command that changes something has to say besides. */
function shells(commandOf: (given: Given) => string, more: Loose = {}): readonly Row[] {
  const plain = (given: Given): Loose => ({ command: commandOf(given), description: "as the script says", ...more });
  return [
    ["Bash", plain],
    ["bash", plain],
    ["run_shell_command", plain],
    ["exec_command", (given) => ({ cmd: commandOf(given), ...more })],
    ["shell_command", (given) => ({ command: commandOf(given), ...more })],
    ["shell", (given) => ({ command: ["bash", "-lc", commandOf(given)], ...more })],
  ];
}

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
/** How Codex asks to leave its own sandbox. */
const ESCALATED: Loose = { sandbox_permissions: "require_escalated", with_escalated_permissions: true, justification: "the script says so" };

const ABILITIES: Readonly<Record<string, readonly Row[]>> = {
  "@read": [
    ["Read", ({ path }) => ({ file_path: path })],
    ["read_file", ({ path }, offered) => ({ [field(offered, "file_path", "absolute_path", "path")]: path })],
    ["read", ({ path }, offered) => ({ [field(offered, "filePath", "path")]: path })],
    ["view", ({ path }) => ({ path })],
    ...shells(({ path }) => `cat ${quoted(path)}`),
  ],
  "@write": [
    ["Write", ({ path, text }) => ({ file_path: path, content: text })],
    ["write_file", ({ path, text }) => ({ file_path: path, content: text })],
    ["write", ({ path, text }) => ({ filePath: path, content: text })],
    ["create", ({ path, text }) => ({ path, file_text: text })],
    ["apply_patch", ({ path, text }, { isFreeForm }) => (isFreeForm ? patch(path, text) : { input: patch(path, text) })],
    ...shells(({ path, text }) => `printf %s ${quoted(text)} > ${quoted(path)}`, ESCALATED),
  ],
  "@run": shells(({ command }) => command),
};

function patch(path: string, text: string): string {
  return ["*** Begin Patch", `*** Add File: ${path}`, ...text.split("\n").map((line) => `+${line}`), "*** End Patch", ""].join("\n");
}

/** Agents put the server's name before the tool's, each in a way of its own. */
const SERVED = "@served:";

export function isAbility(tool: string): boolean {
  return Object.hasOwn(ABILITIES, tool) || tool.startsWith(SERVED);
}

/** @param input  JSON text, placeholders filled in. @returns null when no offered tool can do it. */
export function toolFor(ability: string, input: string, offers: readonly Offered[]): ToolCall | null {
  if (ability.startsWith(SERVED)) {
    const name = ability.slice(SERVED.length);
    const offered = offers.find((one) => one.name === name || new RegExp(`[_-]${name}$`).test(one.name));
    return offered === undefined ? null : { name: offered.name, input, isFreeForm: false, ...(offered.namespace === null ? {} : { namespace: offered.namespace }) };
  }
  const given = object(JSON.parse(input));
  for (const [name, inputOf] of ABILITIES[ability]!) {
    const offered = offers.find((one) => one.name === name);
    if (offered === undefined) continue;
    const made = inputOf({ path: string(given.path), text: string(given.text), command: string(given.command) }, offered);
    return { name, input: typeof made === "string" ? made : JSON.stringify(made), isFreeForm: typeof made === "string" };
  }
  return null;
}
