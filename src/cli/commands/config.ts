/** `yard config`: through the gateway when one runs, so that changes count at once; else in the file. */
import type { Command } from "commander";
import JSON5 from "json5";
import type { ConfigAnswer, ConfigChanged } from "../../api/wire.ts";
import { Catalogue } from "../../config/catalogue.ts";
import { ALL_SETTINGS } from "../../config/all-settings.ts";
import { openConfig } from "../../config/config.ts";
import { configAccess, settingInfo } from "../../config/config-access.ts";
import { readGatewayFile } from "../../config/gateway-file.ts";
import { asJson, type Cli } from "../command.ts";
import { sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";

interface Access {
  all(): Promise<ConfigAnswer>;
  set(changes: Record<string, unknown>): Promise<ConfigChanged>;
  readonly isRunning: boolean;
}

export function register(parent: Command, cli: Cli): void {
  const config = parent.command("config").description("the settings");

  asJson(config.command("list").description("show every setting; * marks those that you set")).action(async ({ json }: { json?: boolean }) => {
    const answer = await (await settingsOf(cli)).all();
    if (json) return sayJson(cli.terminal, answer);
    const rows = Object.entries(answer.settings).map(([key, value]) => [answer.set.includes(key) ? "*" : "", key, shown(value)]);
    sayTable(cli.terminal, ["", "setting", "value"], rows, "no settings");
  });

  asJson(config.command("get").description("print one setting").argument("<key>")).action(async (key: string, { json }: { json?: boolean }) => {
    const { settings } = await (await settingsOf(cli)).all();
    const value = valueAt(settings, key);
    if (json) sayJson(cli.terminal, { key, value });
    else say(cli.terminal, shown(value));
  });

  asJson(config.command("set").description("change a setting").argument("<key>").argument("<value>", "text, a number, true or false; maps and lists as JSON5")).action(
    async (key: string, value: string, { json }: { json?: boolean }) => {
      await change(cli, key, valueFrom(key, value), json);
    },
  );

  asJson(config.command("unset").description("take a setting back to its fallback").argument("<key>")).action(async (key: string, { json }: { json?: boolean }) => {
    await change(cli, key, null, json);
  });

  asJson(config.command("schema").description("say what every setting is")).action(({ json }: { json?: boolean }) => {
    const infos = ALL_SETTINGS.map(settingInfo);
    if (json) return sayJson(cli.terminal, { settings: infos });
    for (const info of infos) {
      say(cli.terminal, `${info.key}  (${info.bounds}; fallback ${shown(info.fallback)}; takes effect ${info.takesEffect})\n    ${info.doc}\n`);
    }
  });
}

async function change(cli: Cli, key: string, value: unknown, json: boolean | undefined): Promise<void> {
  const settings = await settingsOf(cli);
  const answer = await settings.set({ [key]: value });
  if (json) return sayJson(cli.terminal, answer);
  for (const one of answer.changed) {
    const when = settings.isRunning ? `takes effect ${one.takesEffect === "restart" ? "after a restart" : one.takesEffect}` : "takes effect at the next start";
    say(cli.terminal, `${one.key} is now ${shown(one.value)} (${when})`);
  }
}

/** The settings as they count: those of the running gateway, else those in the file. */
export async function settingsOf(cli: Cli): Promise<Access> {
  if ((await readGatewayFile(cli.home)) !== null) {
    const gateway = await cli.connect();
    return { isRunning: true, all: () => gateway.get("/api/config"), set: (changes) => gateway.patch("/api/config", changes) };
  }
  const own = configAccess(await openConfig({ home: cli.home, environment: cli.environment }));
  return { isRunning: false, all: async () => own.all(), set: (changes) => own.set(changes as never) };
}

/** The value of a key, which may lead into a map. @throws {Fault} SETTING_UNKNOWN */
function valueAt(settings: Readonly<Record<string, unknown>>, key: string): unknown {
  const catalogue = new Catalogue(ALL_SETTINGS);
  const found = catalogue.find(key);
  if (found.is === "setting") return settings[found.setting.key];
  if (found.is !== "part") return catalogue.refuse(key, "config");
  const whole = settings[found.setting.key];
  if (found.setting.secret === true) return whole;
  return found.inside.reduce<unknown>((at, name) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[name] : undefined), whole);
}

/** Text stays text where a setting wants text; what is written like a value elsewhere is read as one. */
function valueFrom(key: string, text: string): unknown {
  const found = new Catalogue(ALL_SETTINGS).find(key);
  const wantsText = found.is === "setting" && found.setting.unit !== "map" && found.setting.unit !== "list";
  if (wantsText) return text;
  try {
    return JSON5.parse(text);
  } catch {
    return text; // e.g. an address or a name inside a map; the setting's parser judges it
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
