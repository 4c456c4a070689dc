/**
 * Settings of tool servers: programs and addresses that speak the Model Context Protocol.
 *
 * Refused: unknown fields, so that a misspelled filter never silently means "all tools"; variables
 * by which a program can be made to run other code than its own.
 */
import { isJsonObject } from "../../base/json.ts";
import { BadValue, wholeNumber, type Setting } from "../../base/setting.ts";

export interface ServerSetup {
  readonly id: string;
  readonly reach:
    | { readonly via: "stdio"; readonly command: string; readonly args: readonly string[]; readonly env: Readonly<Record<string, string>>; readonly cwd: string | null }
    | { readonly via: "http"; readonly url: string; readonly headers: Readonly<Record<string, string>> };
  /** By the server's own names; `*` at the end of a name stands for any rest. `deny` wins. */
  readonly tools: { readonly allow: readonly string[] | null; readonly deny: readonly string[] };
  /** The longest that one call may take. */
  readonly timeoutSeconds: number;
  /** How much of a result is kept: half from its beginning, half from its end. */
  readonly resultBytesMax: number;
}

const SERVERS_MAX = 50;
/** Short, because the names of its tools begin with it and providers allow 64 characters. */
const ID = /^[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,29}$/;
const ARGS_MAX = 100;
const NAMES_MAX = 200;
const TEXT_CHARACTERS_MAX = 10_000;
const TIMEOUT_SECONDS = { fallback: 60, min: 1, max: 3_600 };
const RESULT_BYTES = { fallback: 65_536, min: 1_024, max: 1_048_576 };
const FIELDS = ["command", "args", "env", "cwd", "url", "headers", "tools", "timeoutSeconds", "resultBytesMax"] as const;
const SHAPE = "{command, args?, env?, cwd?} or {url, headers?}, each with tools?: {allow?, deny?}, timeoutSeconds?, resultBytesMax?";
/** Variables that make interpreters, linkers and git run something else. */
const REFUSED_VARIABLE = /^(NODE_OPTIONS|NODE_PATH|BASH_ENV|ENV|PERL5OPT|RUBYOPT|LD_.*|DYLD_.*|PYTHON.*|GIT_.*|YARD_.*)$/i;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,199}$/;
const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;

export const mcpServers: Setting<Readonly<Record<string, ServerSetup>>> = {
  key: "mcp.servers",
  unit: "map",
  fallback: {},
  bounds: `a map of at most ${SERVERS_MAX} names to ${SHAPE}`,
  parse: parseServers,
  takesEffect: "at once",
  secret: true,
  doc: `
    Tool servers that speak the Model Context Protocol: a command that is started and spoken to over its standard
    input and output, or the address of a streamable HTTP server. Agents get their tools as <server>__<tool>.
    A command is run as it stands, without a shell, with a few harmless variables and those of env. timeoutSeconds
    (${TIMEOUT_SECONDS.fallback}) bounds a call, resultBytesMax (${RESULT_BYTES.fallback}) what is kept of its result.`,
};

export const mcpWaitMs: Setting<number> = {
  key: "mcp.waitMs",
  unit: "ms",
  fallback: 3_000,
  ...wholeNumber({ min: 0, max: 60_000 }),
  takesEffect: "at once",
  doc: "How long turns wait for a tool server that was just started or set up. After this long, turns go on without its tools until it is there.",
};

export const SETTINGS: readonly Setting<unknown>[] = [mcpServers, mcpWaitMs] as readonly Setting<unknown>[];

function parseServers(value: unknown): Readonly<Record<string, ServerSetup>> {
  if (!isJsonObject(value) || Object.keys(value).length > SERVERS_MAX) throw new BadValue(mcpServers.bounds);
  return Object.fromEntries(Object.entries(value).map(([id, entry]) => [id, parseServer(id, entry)]));
}

function parseServer(id: string, value: unknown): ServerSetup {
  if (!ID.test(id)) throw new BadValue(`a map whose names are 1 to 30 letters, digits, "-" and single "_", which "${id.slice(0, 60)}" is not`);
  if (!isJsonObject(value)) throw bad(id, "", SHAPE);
  const stranger = Object.keys(value).find((field) => !FIELDS.includes(field as never));
  if (stranger !== undefined) throw new BadValue(`a map in which ${id} has no field "${stranger}" (known: ${FIELDS.join(", ")})`);
  const { command, url } = value;
  if ((command === undefined) === (url === undefined)) throw bad(id, "", "either {command, ...} or {url, ...}");
  const misplaced = (url === undefined ? ["headers"] : ["args", "env", "cwd"]).find((field) => value[field] !== undefined);
  if (misplaced !== undefined) throw new BadValue(`a map in which ${id} has no field "${misplaced}" beside ${url === undefined ? "command" : "url"}`);
  return {
    id,
    reach:
      url === undefined
        ? { via: "stdio", command: line(id, "command", command), args: texts(id, "args", value["args"], ARGS_MAX) ?? [], env: variables(id, value["env"]), cwd: folder(id, value["cwd"]) }
        : { via: "http", url: address(id, url), headers: headers(id, value["headers"]) },
    tools: filter(id, value["tools"]),
    timeoutSeconds: bounded(id, "timeoutSeconds", value["timeoutSeconds"], TIMEOUT_SECONDS),
    resultBytesMax: bounded(id, "resultBytesMax", value["resultBytesMax"], RESULT_BYTES),
  };
}

function line(id: string, field: string, value: unknown): string {
  if (typeof value !== "string" || value.trim() === "" || value.length > TEXT_CHARACTERS_MAX || /[\0\r\n]/.test(value)) throw bad(id, field, "a text of one line");
  return value;
}

function texts(id: string, field: string, value: unknown, countMax: number): readonly string[] | null {
  if (value === undefined || value === null) return null;
  const isText = (one: unknown): one is string => typeof one === "string" && one.length <= TEXT_CHARACTERS_MAX && !one.includes("\0");
  if (!Array.isArray(value) || value.length > countMax || !value.every(isText)) throw bad(id, field, `a list of at most ${countMax} texts`);
  return value;
}

function folder(id: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const path = line(id, "cwd", value);
  if (!path.startsWith("/")) throw bad(id, "cwd", "an absolute path");
  return path;
}

function variables(id: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value) || Object.keys(value).length > NAMES_MAX) throw bad(id, "env", `a map of at most ${NAMES_MAX} variables to texts`);
  for (const [name, text] of Object.entries(value)) {
    if (!VARIABLE.test(name)) throw bad(id, "env", `a map of names of variables, which "${name.slice(0, 60)}" is not`);
    if (REFUSED_VARIABLE.test(name)) throw new BadValue(`a map in which ${id}.env does not hold ${name}, which could make the program run other code than its own`);
    if (typeof text !== "string" || text.length > TEXT_CHARACTERS_MAX || text.includes("\0")) throw bad(id, `env.${name}`, "a text");
  }
  return value as Readonly<Record<string, string>>;
}

function address(id: string, value: unknown): string {
  const url = typeof value === "string" ? URL.parse(value) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.username !== "" || url.password !== "" || url.hash !== "") {
    throw bad(id, "url", "an address such as https://host/mcp, without user or fragment; put credentials under headers");
  }
  return url.href;
}

function headers(id: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value) || Object.keys(value).length > NAMES_MAX) throw bad(id, "headers", `a map of at most ${NAMES_MAX} header names to texts`);
  for (const [name, text] of Object.entries(value)) {
    if (!HEADER.test(name)) throw bad(id, "headers", `a map of header names, which "${name.slice(0, 60)}" is not`);
    if (typeof text !== "string" || text.length > TEXT_CHARACTERS_MAX || /[^\t\u0020-\u007e\u0080-\u00ff]/.test(text)) throw bad(id, `headers.${name}`, "a text of one line");
  }
  return value as Readonly<Record<string, string>>;
}

function filter(id: string, value: unknown): ServerSetup["tools"] {
  if (value === undefined || value === null) return { allow: null, deny: [] };
  const stranger = isJsonObject(value) ? Object.keys(value).find((field) => field !== "allow" && field !== "deny") : "";
  if (!isJsonObject(value) || stranger !== undefined) throw bad(id, "tools", "{allow?, deny?}, lists of names");
  return { allow: texts(id, "tools.allow", value["allow"], NAMES_MAX), deny: texts(id, "tools.deny", value["deny"], NAMES_MAX) ?? [] };
}

function bounded(id: string, field: string, value: unknown, { fallback, min, max }: { fallback: number; min: number; max: number }): number {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) throw bad(id, field, `a whole number in ${min}..${max}`);
  return value;
}

/** Completes the sentence "mcp.servers must be …" and names the field that is wrong. */
function bad(id: string, field: string, expected: string): BadValue {
  return new BadValue(`a map in which ${field === "" ? id : `${id}.${field}`} is ${expected}`);
}
