/**
 * What `yard doctor --security` looks at: who can read and reach this installation, and which doors
 * its settings open.
 *
 * `bad` is what nobody can mean; a door that a person opened by a setting is a note, so that it is
 * seen and not forgotten.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { openConfig, type Config } from "../config/config.ts";
import { gatewayAllowNetwork, gatewayHost } from "../config/settings.ts";
import { checkStateDir } from "../config/state-dir.ts";
import type { Cli } from "./command.ts";
import { faultOf } from "./failure.ts";

export interface Finding {
  readonly check: string;
  readonly level: "ok" | "note" | "bad";
  /** What was found, and for anything but `ok` what to do. */
  readonly text: string;
}

const OTHERS = 0o077;
/** Characters of a token that cannot be guessed: 128 bits as hexadecimal. */
const TOKEN_LENGTH_MIN = 32;
/** Folders whose files are the agents' and their tools', not the gateway's. */
const NOT_OURS: readonly string[] = ["workspace", "workspaces", "harnesses"];

export async function securityFindings(cli: Cli): Promise<readonly Finding[]> {
  if ((await stat(cli.home).catch(() => null)) === null) return [{ check: "state directory", level: "note", text: `${cli.home} is not there yet; the first "yard up" makes it` }];
  const findings = [await stateDirectory(cli.home), await files(cli.home), user()];
  try {
    const config = await openConfig({ home: cli.home, environment: cli.environment });
    return [...findings, token(config), network(config), ...openedBySettings(config)];
  } catch (thrown) {
    return [...findings, { check: "settings", level: "bad", text: faultOf(thrown).message }];
  }
}

async function stateDirectory(home: string): Promise<Finding> {
  const check = "state directory";
  try {
    await checkStateDir(home);
    return { check, level: "ok", text: `${home} is closed to other users` };
  } catch (thrown) {
    return { check, level: "bad", text: faultOf(thrown).message };
  }
}

async function files(home: string): Promise<Finding> {
  const check = "files";
  const open: string[] = [];
  for (const name of await readdir(home)) {
    if (NOT_OURS.includes(name)) continue;
    const found = await stat(join(home, name)).catch(() => null); // it may have gone meanwhile
    if (found !== null && process.getuid !== undefined && (found.mode & OTHERS) !== 0) open.push(name);
  }
  if (open.length === 0) return { check, level: "ok", text: "database, settings, token and logs can be read by their owner alone" };
  return { check, level: "bad", text: `other users have rights to ${open.join(", ")}; run: chmod go= ${open.map((name) => join(home, name)).join(" ")}` };
}

function user(): Finding {
  const check = "user";
  if (process.getuid?.() !== 0) return { check, level: "ok", text: "an ordinary one" };
  return { check, level: "note", text: "root: commands of agents have every right on this machine; run the gateway as a user of its own" };
}

function token(config: Config): Finding {
  const check = "token";
  if (config.token().length < TOKEN_LENGTH_MIN) return { check, level: "bad", text: `it has fewer than ${TOKEN_LENGTH_MIN} characters and can be guessed; make a new one with "yard token --rotate", or give a longer YARD_TOKEN` };
  return { check, level: "ok", text: "long enough, and asked for at every door" };
}

function network(config: Config): Finding {
  const check = "network";
  const host = config.get(gatewayHost);
  if (!config.get(gatewayAllowNetwork)) return { check, level: "ok", text: `the gateway listens on ${host} and refuses any address that other machines reach` };
  return { check, level: "note", text: `gateway.allowNetwork is true (gateway.host ${host}): the token is all that stands between other machines and your agents; put a proxy with TLS before it` };
}

function openedBySettings(config: Config): readonly Finding[] {
  const findings: Finding[] = [];
  const note = (check: string, text: string): void => void findings.push({ check, level: "note", text });
  const values = new Map(config.all().map(({ key, value }) => [key, value]));
  const isOn = (key: string): boolean => values.get(key) === true;
  const listOf = (key: string): string => (values.get(key) as readonly string[]).join(", ");
  if (isOn("tools.exec.enabled")) note("commands", "agents may run commands with the gateway's rights; tools.exec.enabled false takes that away");
  if (values.get("acp.permissionMode") === "approve-all") {
    const acts = isOn("acp.allowUnsandboxed") ? "and acp.allowUnsandboxed is true: they do everything without being asked about" : "which acts as approve-reads while acp.allowUnsandboxed is false";
    note("coding agents", `acp.permissionMode is approve-all, ${acts}`);
  }
  const doors: readonly (readonly [key: string, check: string, text: (list: string) => string])[] = [
    ["acp.trustedWorkspaces", "trusted folders", (list) => `coding agents follow the settings and hooks of ${list}`],
    ["tools.web.allowPrivate", "web_fetch", (list) => `agents may fetch from ${list} inside your network`],
    ["deliveries.webhook.allowPrivate", "callbacks", (list) => `results may be posted to ${list} inside your network`],
  ];
  for (const [key, check, text] of doors) if (listOf(key) !== "") note(check, `${text(listOf(key))} (${key})`);
  return findings;
}
