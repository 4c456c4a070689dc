import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { mapOf, text, type Setting } from "../base/setting.ts";
import { Fault, type FaultCode } from "../model/faults.ts";
import { mainSlots } from "../lanes/settings.ts";
import { messageWaitMs, queueMode } from "../sessions/settings.ts";
import { agentsList } from "../turns/agents-list.ts";
import { defaultModel } from "../turns/settings.ts";
import { ALL_SETTINGS } from "./all-settings.ts";
import { openConfig } from "./config.ts";
import { readGatewayFile, removeGatewayFile, writeGatewayFile } from "./gateway-file.ts";
import { gatewayPort } from "./settings.ts";
import { removeDrafts } from "./state-dir.ts";

async function stateDir(t: TestContext, file?: string): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "yard-config-"));
  t.after(() => rm(parent, { recursive: true, force: true }));
  const home = join(parent, "state");
  if (file !== undefined) {
    await openConfig({ home, environment: {} });
    await writeFile(join(home, "yardmaster.json5"), file);
  }
  return home;
}

function fault(code: FaultCode, words: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  };
}

const open = (home: string, environment = {}) => openConfig({ home, environment });

/** Stands for settings that hold credentials in a map. */
const accounts: Setting<Readonly<Record<string, unknown>>> = {
  key: "test.accounts",
  unit: "map",
  fallback: {},
  ...mapOf({ bounds: "{url, apiKey?, apiKeyEnv?}", parse: (value) => ({ url: text({ max: 50 }).parse((value as { url?: unknown }).url) }) }, { max: 3 }),
  takesEffect: "at once",
  doc: "",
  secret: true,
  aliases: ["old.accounts"],
};
const withAccounts = [...ALL_SETTINGS, accounts as Setting<unknown>];

test("a first start makes a private directory and a 256-bit token, and nothing else", async (t) => {
  const home = await stateDir(t);
  const config = await open(home);
  assert.match(config.token(), /^[0-9a-f]{64}$/);
  assert.equal((await stat(home)).mode & 0o777, 0o700);
  assert.equal((await stat(config.tokenFile)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(home), ["token"]);
  assert.equal((await open(home)).token(), config.token());
  assert.equal(config.get(mainSlots), 4);
  assert.equal(config.isSet(mainSlots), false);
});

test("two first starts at one moment agree on one token, so that no client is locked out", async (t) => {
  const home = await stateDir(t);
  const tokens = await Promise.all(Array.from({ length: 8 }, async () => (await open(home)).token()));
  assert.equal(new Set(tokens).size, 1);
  assert.deepEqual(await readdir(home), ["token"]);
});

test("a directory or token that others can reach is refused with the command that mends it", async (t) => {
  const home = await stateDir(t, "{}");
  await chmod(join(home, "token"), 0o644);
  await assert.rejects(open(home), fault("STATE_DIR_UNSAFE", /chmod 600/));
  await chmod(join(home, "token"), 0o600);
  await chmod(home, 0o770);
  await assert.rejects(open(home), fault("STATE_DIR_UNSAFE", /mode 0770.*chmod 700/));
});

test("nested, flat and mixed files say the same", async (t) => {
  const nested = `{ agents: { defaults: { maxConcurrent: 6, model: 'a/b' } }, messages: { queue: { mode: "steer" } } }`;
  const flat = `{ "agents.defaults.maxConcurrent": 6, "agents.defaults.model": "a/b", "messages.queue.mode": "steer" }`;
  const mixed = `{ agents: { "defaults.maxConcurrent": 6, defaults: { model: "a/b" } }, "messages.queue": { mode: "steer" }, }`;
  for (const file of [nested, flat, mixed]) {
    const config = await open(await stateDir(t, file));
    assert.deepEqual([config.get(mainSlots), config.get(defaultModel), config.get(queueMode)], [6, "a/b", "steer"]);
    assert.equal(config.isSet(mainSlots), true);
    assert.equal(config.isSet(messageWaitMs), false);
  }
});

test("a broken file is refused with line and column, never half read", async (t) => {
  await assert.rejects(open(await stateDir(t, "{\n  agents: {\n    x y\n  }\n}")), fault("CONFIG_SYNTAX", /yardmaster\.json5:3:7: /));
  await assert.rejects(open(await stateDir(t, "[1]")), fault("CONFIG_SYNTAX", /no object/));
});

test("an unknown key is refused with the nearest known one and its line", async (t) => {
  await assert.rejects(open(await stateDir(t, "{\n  agents: {\n    defaults: { maxConcurent: 8 },\n  },\n}")), fault("SETTING_UNKNOWN", /json5:3: unknown setting agents\.defaults\.maxConcurent; did you mean agents\.defaults\.maxConcurrent\?/));
  await assert.rejects(open(await stateDir(t, "{ __proto__: { x: 1 } }")), fault("SETTING_UNKNOWN", /__proto__/));
  const config = await open(await stateDir(t));
  await assert.rejects(config.set({ messageWaitMs: 5 }), fault("SETTING_UNKNOWN", /messages\.messageWaitMs\?/));
});

test("a wrong value is refused with what was expected, what was found and where", async (t) => {
  await assert.rejects(open(await stateDir(t, "{\n  'agents.defaults.maxConcurrent': 'many'\n}")), fault("SETTING_INVALID", /json5:2: agents\.defaults\.maxConcurrent must be a whole number in 1\.\.4096, not "many"/));
  await assert.rejects(open(await stateDir(t, "{ gateway: 5 }")), fault("SETTING_INVALID", /gateway must be an object/));
  await assert.rejects(open(await stateDir(t, "{ gateway: {port: 1}, 'gateway.port': 2 }")), fault("SETTING_INVALID", /written once/));
  await assert.rejects(open(await stateDir(t), { YARD_PORT: "http" }), fault("SETTING_INVALID", /YARD_PORT/));
  await assert.rejects(open(await stateDir(t), { YARD_LOG: "loud" }), fault("SETTING_INVALID", /YARD_LOG/));
});

test("a change is in the file and in force when set returns, and the person's words stay", async (t) => {
  const home = await stateDir(t, "{\n  // ours\n  agents: { defaults: { maxConcurrent: 4 } }, // busy\n}\n");
  const config = await open(home);
  let told = 0;
  config.onChange(() => told++);
  const changed = await config.set({ "agents.defaults.maxConcurrent": "8", "messages.queue.mode": "collect" });
  assert.deepEqual(changed, [
    { key: "agents.defaults.maxConcurrent", value: 8, takesEffect: "at once" },
    { key: "messages.queue.mode", value: "collect", takesEffect: "at once" },
  ]);
  assert.deepEqual([config.get(mainSlots), told], [8, 1]);
  assert.equal(await readFile(config.file, "utf8"), '{\n  // ours\n  agents: { defaults: { maxConcurrent: 8 } }, // busy\n  "messages.queue.mode": "collect",\n}\n');
  assert.equal((await stat(config.file)).mode & 0o777, 0o600);
  assert.deepEqual((await readdir(home)).sort(), ["token", "yardmaster.json5"]);
  await config.unset("agents.defaults.maxConcurrent");
  assert.equal((await open(home)).get(mainSlots), 4);
});

test("of several changes with one mistake none happens, so that a refused request changed nothing", async (t) => {
  const config = await open(await stateDir(t));
  await assert.rejects(config.set({ "agents.defaults.maxConcurrent": 8, "messages.queue.mode": "loud" }), fault("SETTING_INVALID", /messages\.queue\.mode must be one of auto/));
  assert.equal(config.get(mainSlots), 4);
  assert.deepEqual(await readdir(config.home), ["token"]);
});

test("changes made at one moment are all kept", async (t) => {
  const config = await open(await stateDir(t));
  await Promise.all([config.set({ "agents.defaults.maxConcurrent": 9 }), config.set({ "messages.messageWaitMs": 7 }), config.set({ "messages.foregroundMs": 6 })]);
  const again = await open(config.home);
  assert.deepEqual([again.get(mainSlots), again.get(messageWaitMs)], [9, 7]);
});

test("an edit made outside is kept by the next change and taken up by reload", async (t) => {
  const config = await open(await stateDir(t));
  await writeFile(config.file, "{ 'agents.defaults.maxConcurrent': 3 }");
  await config.set({ "messages.messageWaitMs": 0 });
  assert.deepEqual([config.get(mainSlots), config.get(messageWaitMs)], [3, 0]);
  await writeFile(config.file, "{ 'agents.defaults.maxConcurrent': }");
  await assert.rejects(config.reload(), fault("CONFIG_SYNTAX", /1:/));
  assert.equal(config.get(mainSlots), 3);
  await assert.rejects(config.set({ "messages.messageWaitMs": 1 }), fault("CONFIG_SYNTAX", /1:/));
});

test("a key may lead into a map, so that one account is changed without writing all of them", async (t) => {
  const home = await stateDir(t);
  const config = await openConfig({ home, environment: {}, settings: withAccounts });
  await config.set({ "test.accounts.a": { url: "u", apiKey: "key-of-account-a" } });
  await config.set({ "test.accounts.b.url": "v" });
  await config.set({ "test.accounts.b.apiKey": "k" });
  assert.deepEqual(config.get(accounts), { a: { url: "u" }, b: { url: "v" } });
  await config.set({ "test.accounts.b": null });
  assert.deepEqual(config.get(accounts), { a: { url: "u" } });
  await assert.rejects(config.set({ "test.accounts.a.url": 5 }), fault("SETTING_INVALID", /test\.accounts/));
});

test("a secret is never shown, not in listings, answers or faults, and its mask is no value", async (t) => {
  const home = await stateDir(t);
  const config = await openConfig({ home, environment: { MY_KEY: "key-from-environment", OTHER: "x" }, settings: withAccounts });
  const changed = await config.set({ "test.accounts": { a: { url: "u", apiKey: "key-of-account-a", apiKeyEnv: "MY_KEY" } } });
  assert.equal(JSON.stringify([changed, config.all()]).includes("key-of"), false);
  assert.deepEqual(config.all().find(({ key }) => key === "test.accounts")?.value, "[secret]");
  await assert.rejects(config.set({ "test.accounts": { a: "key-of-account-a" } }), (error: Error) => !error.message.includes("key-of"));
  await assert.rejects(config.set({ "test.accounts": "[secret]" }), fault("SETTING_INVALID", /mask/));
  assert.deepEqual(config.secrets(), [config.token(), "key-from-environment", "key-of-account-a"]);
  assert.equal(config.environment("MY_KEY"), "key-from-environment");
  assert.equal(config.environment("OTHER"), undefined);
});

test("an old spelling is read as the new key and stays as it was written", async (t) => {
  const home = await stateDir(t, "{ old: { accounts: { a: { url: 'u' } } } }");
  const config = await openConfig({ home, environment: {}, settings: withAccounts });
  await config.set({ "test.accounts.a.url": "w" });
  assert.match(await readFile(config.file, "utf8"), /^\{ old: \{ accounts: \{ a: \{ url: "w" \} \} \} \}$/);
});

test("the environment stands over file and token file, and children inherit no credential", async (t) => {
  const home = await stateDir(t, "{ gateway: { port: 5 } }");
  const environment = { YARD_PORT: "6", YARD_TOKEN: "token-from-outside", OPENAI_API_KEY: "k", PATH: "/bin", LC_ALL: "C", NODE_OPTIONS: "--x" };
  const config = await open(home, environment);
  assert.equal(config.get(gatewayPort), 6);
  assert.equal(config.token(), "token-from-outside");
  assert.equal(config.environment("OPENAI_API_KEY"), "k");
  assert.deepEqual(config.childEnvironment(), { PATH: "/bin", LC_ALL: "C" });
  await assert.rejects(config.rotateToken(), fault("WRONG_USE", /YARD_TOKEN/));
});

test("a rotated token replaces the old one at once, and other processes see it at their reload", async (t) => {
  const home = await stateDir(t);
  const [one, two] = [await open(home), await open(home)];
  const fresh = await one.rotateToken();
  assert.notEqual(fresh, two.token());
  await two.reload();
  assert.equal(two.token(), fresh);
});

test("every setting's fallback passes its own parser, or the docs would lie", () => {
  for (const setting of ALL_SETTINGS) assert.deepEqual(setting.parse(setting.fallback), setting.fallback, setting.key);
});

test("a list of agents is read strictly", async (t) => {
  const config = await open(await stateDir(t, "{ agents: { list: [{ id: 'a', model: 'x/y' }] } }"));
  assert.deepEqual(config.get(agentsList), [{ id: "a", model: "x/y" }]);
  await assert.rejects(open(await stateDir(t, "{ agents: { list: [{ id: 'a', modell: 'x/y' }] } }")), fault("SETTING_INVALID", /no field modell/));
});

test("commands find a running gateway and are not misled by the file of a dead one", async (t) => {
  const home = await stateDir(t, "{}");
  assert.equal(await readGatewayFile(home), null);
  const gateway = { url: "http://127.0.0.1:1", pid: process.pid, generation: 3 };
  await writeGatewayFile(home, gateway, null);
  assert.deepEqual(await readGatewayFile(home), gateway);
  await removeGatewayFile(home, process.pid + 1);
  assert.deepEqual(await readGatewayFile(home), gateway);
  await removeGatewayFile(home, process.pid);
  assert.equal(await readGatewayFile(home), null);
  await writeGatewayFile(home, { ...gateway, pid: 2 ** 30 }, null);
  assert.equal(await readGatewayFile(home), null);
});

test("what is not in a map can be taken out of it, and nothing changes", async (t) => {
  const text = "{ models: { prices: { x: { input: 1, output: 2 } } } }";
  const config = await open(await stateDir(t, text));
  await config.unset("models.prices.y.input");
  await config.unset("models.providers.none.apiKey");
  assert.equal(await readFile(config.file, "utf8"), text);
});

test("a name in a map may hold dots when it is there, because names of models do", async (t) => {
  const config = await open(await stateDir(t, "{ models: { prices: { 'gpt-4.1': { input: 1, output: 2 } } } }"));
  await config.set({ "models.prices.gpt-4.1.input": 3 });
  assert.match(await readFile(config.file, "utf8"), /'gpt-4\.1': \{ input: 3, output: 2 \}/);
  await config.unset("models.prices.gpt-4.1");
  assert.doesNotMatch(await readFile(config.file, "utf8"), /gpt/);
});

test("a part of a map that would poison an object is refused", async (t) => {
  const config = await open(await stateDir(t, "{}"));
  for (const name of ["__proto__", "constructor", "prototype"]) {
    await assert.rejects(config.set({ [`models.prices.${name}.input`]: 1 }), fault("SETTING_INVALID", /without a key/));
    await assert.rejects(config.unset(`models.prices.${name}.input`), fault("SETTING_INVALID", /without a key/));
  }
});

test("a file that is nested without end is refused, and not read until the stack is full", async (t) => {
  await assert.rejects(open(await stateDir(t, `{a:${"[".repeat(20_000)}${"]".repeat(20_000)}}`)), fault("CONFIG_SYNTAX", /nested deeper/));
});

test("what a killed process left of a file that it wrote is removed, and that of a living one is not", async (t) => {
  const home = await mkdtemp(join(tmpdir(), "yard-drafts-"));
  t.after(() => rm(home, { recursive: true }));
  const living = `gateway.json.${process.pid}.0123456789ab.draft`;
  for (const name of ["token", "token.999999999.0123456789ab.draft", living]) await writeFile(join(home, name), "x");
  await removeDrafts(home);
  assert.deepEqual((await readdir(home)).sort(), [living, "token"]);
});
