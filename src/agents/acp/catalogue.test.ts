import assert from "node:assert/strict";
import { test } from "node:test";
import type { Setting, Settings } from "../../base/setting.ts";
import { BadValue } from "../../base/setting.ts";
import { makeCatalogue } from "./catalogue.ts";
import { childEnvironment } from "./child-environment.ts";
import { acpAgents } from "./settings.ts";

function settingsOf(agents: unknown): Settings {
  const value = acpAgents.parse(agents);
  return { get: <T>(setting: Setting<T>) => ((setting as unknown) === acpAgents ? value : setting.fallback) as T, isSet: () => true, onChange: () => () => {} };
}

test("a harness of one's own needs a command only, and what nobody can read is refused with its name", () => {
  const catalogue = makeCatalogue(settingsOf({ mine: { command: "/bin/mine", args: ["--acp"] }, half: { args: [] } }));
  const mine = catalogue.find("mine")!;
  assert.deepEqual([mine.command, mine.args, mine.readingTools, mine.toolNameAt], ["/bin/mine", ["--acp"], {}, null]);
  assert.equal(catalogue.find("half"), null, "a name without a command is no harness");
  assert.equal(catalogue.find("constructor"), null);
  assert.throws(() => acpAgents.parse({ mine: { comand: "x" } }), (cause) => cause instanceof BadValue && /mine has no field comand/.test(cause.expected));
  assert.throws(() => acpAgents.parse({ mine: { memoryMb: 0 } }), (cause) => cause instanceof BadValue && /mine\.memoryMb/.test(cause.expected));
  assert.throws(() => acpAgents.parse({ "a:b": { command: "x" } }), BadValue);
});

test("a harness sees what is harmless, what it was given, and only the credentials that its description names", () => {
  const spec = { ...makeCatalogue(settingsOf({ mine: { command: "m", env: { MODE: "x" }, envFrom: ["MY_KEY", "NOT_SET"] } })).find("mine")!, configDirs: { MY_CONFIG: "config" } };
  const inherited = { PATH: "/bin", HOME: "/h", NODE_OPTIONS: "--inspect", LD_PRELOAD: "x", LC_ALL: "C", GIT_DIR: "/g", ANTHROPIC_BASE_URL: "http://elsewhere" };
  const env = childEnvironment(spec, "/own", { inherited, credential: (name) => ({ MY_KEY: "secret", OTHER_KEY: "secret" })[name] });
  assert.deepEqual(env, { PATH: "/bin", HOME: "/h", LC_ALL: "C", MY_KEY: "secret", MY_CONFIG: "/own/config", MODE: "x" });
});
