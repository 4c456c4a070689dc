/**
 * What a harness may do without being asked about.
 *
 * The mode is a ceiling: `deny-all` lets nothing through, `approve-reads` lets through what is
 * certainly a read inside the workspace, and the session tools that the gateway itself lends, `approve-all` lets everything through. What is a read is
 * decided here, by the tool's own name, by its arguments one by one, and by where their paths
 * really lead. The harness's kind, title and locations decide nothing.
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { LENT_TOOLS_NAME, type HarnessSpec, type PermissionMode } from "../../model/harness.ts";
import type { HarnessFiles } from "./files.ts";
import { textIn } from "./traits.ts";

/** Paths that one call may name. */
const PATHS_MAX = 20;

export type Verdict = "allow" | "deny" | "ask";

export interface Judged {
  readonly verdict: Verdict;
  /** The tool's own name; null when the harness does not say it where it should. */
  readonly tool: string | null;
  /** The first path among its arguments, as it was given. */
  readonly path: string | null;
  /** One of the tools that only read, with nothing in the call that says otherwise. */
  readonly isRead: boolean;
}

/** @param call  a tool call of the protocol, all that is known of it put together. */
export async function judge(call: JsonObject, { spec, mode, cwd, files }: { spec: HarnessSpec; mode: PermissionMode; cwd: string; files: Pick<HarnessFiles, "isInside"> }): Promise<Judged> {
  const tool = toolNameOf(call, spec);
  const input = isJsonObject(call["rawInput"]) ? call["rawInput"] : null;
  const path = input === null ? null : firstPathOf(input);
  const reading = tool !== null && Object.hasOwn(spec.readingTools, tool) ? spec.readingTools[tool]! : null;
  const judged = (verdict: Verdict): Judged => ({ verdict, tool, path, isRead: reading !== null && !changesSomething(call) });
  if (mode === "deny-all") return judged("deny");
  if (mode === "approve-all") return judged("allow");
  // Of the gateway itself, which decides about each call what this session may do.
  if (isLentTool(tool)) return judged("allow");
  if (reading === null || input === null || changesSomething(call)) return judged("ask");
  const paths: string[] = [];
  for (const [name, value] of Object.entries(input)) {
    if (reading.paths.includes(name)) {
      const named = Array.isArray(value) ? value : [value];
      if (!named.every((one) => typeof one === "string" && one !== "")) return judged("ask");
      paths.push(...(named as string[]));
    } else if (!reading.others.includes(name)) return judged("ask");
  }
  if (paths.length === 0 || paths.length > PATHS_MAX) return judged("ask");
  const inside = await Promise.all(paths.map((one) => files.isInside(cwd, one)));
  return judged(inside.every((yes) => yes) ? "allow" : "ask");
}

/** Whether a name that the harness gives its tools itself says that it is one of the session tools. */
function isLentTool(tool: string | null): boolean {
  return tool !== null && tool.startsWith(`mcp__${LENT_TOOLS_NAME}__`);
}

/** The tool's own name, from the place where this harness puts it. */
export function toolNameOf(call: JsonObject, spec: HarnessSpec): string | null {
  return spec.toolNameAt === null ? null : textAt(call, spec.toolNameAt);
}

/** The text at the end of a path of keys; null when there is none. */
export function textAt(object: JsonObject, path: readonly string[]): string | null {
  let at: Json | undefined = object;
  for (const key of path) at = isJsonObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return typeof at === "string" && at !== "" ? at : null;
}

/** A call that comes with a change to show is no read, whatever its name. */
function changesSomething(call: JsonObject): boolean {
  const content = call["content"];
  return Array.isArray(content) && content.some((part) => !isJsonObject(part) || part["type"] !== "content");
}

/** Kinds of calls that a harness itself calls harmless. Enough to not deny them; never enough to allow one. */
const HARMLESS_KINDS: readonly (string | null)[] = ["read", "search", "fetch", "think", "switch_mode"];

const EDITING_KINDS: readonly (string | null)[] = ["edit", "delete", "move"];

/** The files that a call would change, as far as it says: those of its diffs, its locations and its arguments. */
export function pathsChangedBy(call: JsonObject): readonly string[] {
  const diffs = objectsIn(call["content"]).filter(({ type }) => type === "diff").map(({ path }) => path);
  const isHarmless = HARMLESS_KINDS.includes(textIn(call, "kind"));
  const input = isJsonObject(call["rawInput"]) ? PATH_NAMES.map((name) => (call["rawInput"] as JsonObject)[name]) : [];
  const named = isHarmless ? [] : [...objectsIn(call["locations"]).map(({ path }) => path), ...input];
  return [...new Set([...diffs, ...named].filter((path) => typeof path === "string" && path !== ""))].slice(0, PATHS_MAX) as string[];
}

/** The files that a call changed, where the harness itself calls it an edit or shows what changed. */
export function filesEditedBy(call: JsonObject): readonly string[] {
  const isEdit = EDITING_KINDS.includes(textIn(call, "kind")) || objectsIn(call["content"]).some(({ type }) => type === "diff");
  return isEdit ? pathsChangedBy(call) : [];
}

/** The files that a call has read, as the harness tells it. */
export function pathsReadBy(update: JsonObject): readonly string[] {
  if (textIn(update, "kind") !== "read") return [];
  return objectsIn(update["locations"]).flatMap(({ path }) => (typeof path === "string" && path !== "" ? [path] : [])).slice(0, PATHS_MAX);
}

function objectsIn(list: Json | undefined): readonly JsonObject[] {
  return Array.isArray(list) ? list.filter(isJsonObject) : [];
}

const PATH_NAMES = ["file_path", "filePath", "absolute_path", "path", "abs_path", "target_file", "notebook_path"];

function firstPathOf(input: JsonObject): string | null {
  const value = PATH_NAMES.map((name) => input[name]).find((one) => typeof one === "string" && one !== "");
  return typeof value === "string" ? value : null;
}
