/**
 * `yard import openclaw`: takes over what an OpenClaw installation and this one have in common: settings
 * of the same name, and the files of the agent's workspace.
 *
 * It shows what it would do, and does it only with --yes. Nothing over there is changed, nothing that is
 * here already is overwritten, and no secret is printed. The address and port stay ours, so that both
 * can run side by side.
 */
import { cp, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { Command } from "commander";
import JSON5 from "json5";
import { ALL_SETTINGS } from "../../config/all-settings.ts";
import { isPlainObject, parseValue } from "../../config/catalogue.ts";
import { Fault } from "../../model/faults.ts";
import { asJson, type Cli } from "../command.ts";
import { faultOf, wrongUse } from "../failure.ts";
import { sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";
import { settingsOf } from "./config.ts";

const WORKSPACE_FILES = ["AGENTS.md", "SOUL.md", "USER.md", "TOOLS.md", "MEMORY.md", "HEARTBEAT.md", "skills"];
/** Groups that describe the other gateway, not the work. */
const NOT_TAKEN = ["gateway", "store"];

interface Plan {
  /** Settings by our key, with the values that are theirs. */
  readonly taken: Readonly<Record<string, unknown>>;
  readonly leftOut: readonly { readonly key: string; readonly why: string }[];
  readonly files: readonly string[];
}

export function register(parent: Command, cli: Cli): void {
  const command = parent.command("import").description("take over what another program of this kind has");
  asJson(command.command("openclaw").description("settings of the same name and the workspace's files; shown only, until --yes").argument("[folder]", "its state directory; ~/.openclaw when it is not named"))
    .option("--yes", "do it")
    .action(async (folder: string | undefined, { json, yes }: { json?: boolean; yes?: boolean }) => {
      const from = resolve(folder ?? join(cli.environment["HOME"] ?? homedir(), ".openclaw"));
      const document = await documentIn(join(from, "openclaw.json"));
      const workspace = workspaceIn(document, from);
      const plan: Plan = { ...settingsIn(document), files: await missingHere(workspace, join(cli.home, "workspace")) };
      if (yes) await carryOut(cli, plan, workspace);
      if (json) return sayJson(cli.terminal, { settings: Object.keys(plan.taken), leftOut: plan.leftOut, files: plan.files, done: yes === true });
      show(cli, plan, yes === true);
    });
}

/** @throws {Fault} WRONG_USE  there is none; CONFIG_SYNTAX */
async function documentIn(file: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(file, "utf8").catch(() => wrongUse(`there is no ${file}; name the folder that holds openclaw.json`));
  try {
    const document: unknown = JSON5.parse(text);
    if (isPlainObject(document)) return document;
    throw new Fault("CONFIG_SYNTAX", { file, line: 1, column: 1, problem: "the file holds no object" });
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const { message, lineNumber = 1, columnNumber = 1 } = cause as Error & { lineNumber?: number; columnNumber?: number };
    throw new Fault("CONFIG_SYNTAX", { file, line: lineNumber, column: columnNumber, problem: message.replace(/^JSON5: /, "") }, { cause });
  }
}

function settingsIn(document: Readonly<Record<string, unknown>>): Pick<Plan, "taken" | "leftOut"> {
  const taken: Record<string, unknown> = {};
  const leftOut: { key: string; why: string }[] = [];
  const known = new Set<string>();
  for (const setting of ALL_SETTINGS) {
    for (const spelling of [setting.key, ...(setting.aliases ?? [])]) {
      const value = plainModel(spelling, valueAt(document, spelling.split(".")));
      if (value === undefined || NOT_TAKEN.includes(spelling.split(".")[0]!)) continue;
      known.add(spelling);
      try {
        parseValue(setting, value, "openclaw.json");
        taken[setting.key] ??= value;
      } catch (thrown) {
        leftOut.push({ key: spelling, why: faultOf(thrown).message.replace(/^openclaw\.json: /, "") });
      }
    }
  }
  for (const key of leavesOf(document, "")) {
    if (![...known].some((one) => key === one || key.startsWith(`${one}.`) || one.startsWith(`${key}.`))) leftOut.push({ key, why: NOT_TAKEN.includes(key.split(".")[0]!) ? "stays as it is here, so that both can run" : "there is no such setting here" });
  }
  return { taken, leftOut };
}

/** There a model may be an object with its fallbacks; here these are a setting of their own. */
function plainModel(spelling: string, value: unknown): unknown {
  return spelling.endsWith(".model") && isPlainObject(value) ? value["primary"] : value;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => (isPlainObject(at) && Object.hasOwn(at, name) ? at[name] : undefined), value);
}

/** What is set, two names deep: what is inside would only repeat the same news. */
function leavesOf(value: Readonly<Record<string, unknown>>, above: string): readonly string[] {
  return Object.entries(value).flatMap(([name, inner]) => {
    const key = above === "" ? name : `${above}.${name}`;
    return above === "" && isPlainObject(inner) && Object.keys(inner).length > 0 ? leavesOf(inner, key) : [key];
  });
}

function workspaceIn(document: Readonly<Record<string, unknown>>, from: string): string {
  const named = valueAt(document, ["agents", "defaults", "workspace"]);
  if (typeof named !== "string" || named === "") return join(from, "workspace");
  const folder = named.replace(/^~(?=\/|$)/, homedir());
  return isAbsolute(folder) ? folder : join(from, folder);
}

async function missingHere(workspace: string, own: string): Promise<readonly string[]> {
  const isThere = async (path: string): Promise<boolean> => (await stat(path).catch(() => null)) !== null;
  const missing: string[] = [];
  for (const name of WORKSPACE_FILES) if ((await isThere(join(workspace, name))) && !(await isThere(join(own, name)))) missing.push(name);
  return missing;
}

async function carryOut(cli: Cli, { taken, files }: Plan, workspace: string): Promise<void> {
  if (Object.keys(taken).length > 0) await (await settingsOf(cli)).set({ ...taken });
  for (const name of files) await cp(join(workspace, name), join(cli.home, "workspace", name), { recursive: true, force: false, errorOnExist: false });
}

function show(cli: Cli, { taken, leftOut, files }: Plan, done: boolean): void {
  const rows = [...Object.keys(taken).map((key) => ["taken", key, ""]), ...files.map((name) => ["taken", `workspace/${name}`, ""]), ...leftOut.map(({ key, why }) => ["left out", key, why])];
  sayTable(cli.terminal, ["", "what", "why"], rows, "there is nothing to take over");
  if (rows.length > 0) say(cli.terminal, done ? "\ndone" : "\nnothing was changed; say --yes to do it");
}
