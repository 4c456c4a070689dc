import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../base/clock.ts";
import { systemRandom } from "../../base/ids.ts";
import type { JsonObject } from "../../base/json.ts";
import { silentLog } from "../../base/log.ts";
import { makeProcessTree } from "../../base/process-tree.ts";
import { BadValue, type Setting, type Settings } from "../../base/setting.ts";
import type { ToolOutcome } from "../../model/tool.ts";
import type { SessionKey, TurnId } from "../../base/ids.ts";
import { ToolServers } from "./servers.ts";
import { mcpServers } from "./settings.ts";

const PROGRAM = fileURLToPath(new URL("../../../test/support/tool-server/main.ts", import.meta.url));
const SECRET = "s3cr3t-of-the-server";

/** Servers that are gone, with their processes, when the test ends. */
function setup(t: TestContext, servers: Record<string, object>, more: Record<string, unknown> = {}) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "mcp-")));
  let values: Record<string, unknown> = { "mcp.servers": servers, ...more };
  const listeners = new Set<() => void>();
  const settings: Settings = {
    get: <T>(setting: Setting<T>): T => (Object.hasOwn(values, setting.key) ? setting.parse(values[setting.key]) : setting.fallback),
    isSet: () => true,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const processes = makeProcessTree({ clock: systemClock, log: silentLog, record() {}, forget() {} });
  const all = new ToolServers({ settings, clock: systemClock, random: systemRandom, log: silentLog, processes, installation: "mcptest", environment: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" }, folder, version: "0" });
  t.after(async () => {
    await all.stop();
    await processes.endAll();
    rmSync(folder, { recursive: true, force: true });
  });
  all.start();
  return {
    all,
    folder,
    change(next: Record<string, object>) {
      values = { ...values, "mcp.servers": next };
      for (const listener of listeners) listener();
    },
    async call(name: string, input: JsonObject = {}, signal = new AbortController().signal): Promise<ToolOutcome> {
      const tool = (await all.tools()).find((one) => one.name === name);
      assert.ok(tool, `${name} is offered`);
      return tool.run(input, { session: "agent:main:main" as SessionKey, agent: "main", turnId: "turn_1" as TurnId, taskId: null, stepKey: "s", workspace: folder, signal, progress() {} });
    },
    async until(what: () => boolean | Promise<boolean>): Promise<void> {
      for (const endAt = Date.now() + 20_000; !(await what()); await new Promise((resolve) => setTimeout(resolve, 10))) assert.ok(Date.now() < endAt, String(what));
    },
  };
}

const stdio = (flags: readonly string[] = [], more: object = {}): object => ({ command: process.execPath, args: [PROGRAM, ...flags], ...more });
const WAIT = { "mcp.waitMs": 20_000 };

test("a server's tools are offered under its name, filtered, with the effect class that it declares, and what cannot be offered is said", async (t) => {
  const { all, call } = setup(t, { a: stdio(["--noise"], { tools: { deny: ["fl*"] } }), b: stdio([], { tools: { allow: ["echo"] } }) }, WAIT);
  const tools = await all.tools();
  assert.deepEqual(tools.filter(({ name }) => name.startsWith("b__")).map(({ name }) => name), ["b__echo"]);
  const effects = Object.fromEntries(tools.map(({ name, effect }) => [name, effect]));
  assert.deepEqual([effects["a__echo"], effects["a__put"], effects["a__hang"]], ["pure", "idempotent", "once"]);
  assert.equal(effects["a__flood"], undefined);
  assert.ok(tools.every(({ name }) => /^[A-Za-z0-9_-]{1,64}$/.test(name)), "names that every provider takes");
  const view = all.views().find(({ id }) => id === "a")!;
  assert.deepEqual(view.leftOut.map(({ tool }) => tool), ["flood", "no_schema", "huge_schema"]);
  assert.deepEqual(view.server, { name: "test", version: "1.2.3" });
  assert.deepEqual(view.reach, { via: "stdio", command: [process.execPath, PROGRAM, "--noise"] });

  assert.deepEqual(await call("a__echo", { text: "grüße" }), { text: "grüße", isError: false });
  assert.equal((await call("a__mixed")).text, "one\n[image, image/png, 4 characters of base64, left out]\ntwo\n[see https://x.example/a]");
  assert.deepEqual(await call("a__fail"), { text: "it went wrong", isError: true });
  assert.match((await call("a__refuse")).text, /^a refused the call: .*not like this/);
});

test("a server gets the variables of its own entry and a few harmless ones, never the gateway's, and a folder of its own", async (t) => {
  const { call, folder } = setup(t, { a: stdio([], { env: { SERVER_SECRET: SECRET } }) }, WAIT);
  const { env, cwd } = JSON.parse((await call("a__environment")).text) as { env: Record<string, string>; cwd: string };
  delete env["__CF_USER_TEXT_ENCODING"];
  assert.deepEqual(Object.keys(env).sort(), ["LANG", "PATH", "SERVER_SECRET", "YARD_MARK"]);
  assert.equal(cwd, join(folder, "a"));
});

test("a server that ends during a call is said to have, without its secrets, and is back for the next one", async (t) => {
  const { all, call, until } = setup(t, { a: stdio([], { env: { SERVER_SECRET: SECRET } }) }, WAIT);
  const { text, isError } = await call("a__crash");
  assert.ok(isError);
  assert.match(text, /broke during the call; whether it was carried out is not known/);
  await until(() => all.views()[0]!.state === "broken");
  assert.match(all.views()[0]!.problem!, /ended with exit code 7; it said: out of luck, with \[secret\]/);
  assert.equal((await call("a__echo", { text: "again" })).text, "again");
  assert.equal(all.views()[0]!.starts, 2);
});

test("a server that hangs costs one call its time and is started anew; a cancelled call ends at once", async (t) => {
  const { all, call, until } = setup(t, { a: stdio([], { timeoutSeconds: 1 }) }, WAIT);
  const stop = new AbortController();
  const cancelled = call("a__hang", {}, stop.signal);
  setImmediate(() => stop.abort(new Error("stopped")));
  await assert.rejects(cancelled, /stopped/);
  const { text } = await call("a__hang");
  assert.match(text, /a did not answer within 1 s; whether it carried the call out is not known/);
  await until(() => all.views()[0]!.starts === 2 && all.views()[0]!.state === "ready");
  assert.equal((await call("a__echo", { text: "alive" })).text, "alive");
});

test("a flood of messages and a message without end break the connection, not the gateway; a long result is cut in its middle", async (t) => {
  const { all, call, until } = setup(t, { a: stdio([], { resultBytesMax: 1024 }) }, WAIT);
  const long = await call("a__giant", { bytes: 100_000 });
  assert.ok(long.text.length < 1100 && /bytes left out/.test(long.text), long.text);
  assert.match((await call("a__flood")).text, /broke during the call/);
  await until(() => all.views()[0]!.problem !== null);
  assert.match(all.views()[0]!.problem!, /more than 1000 messages in a second/);
  assert.match((await call("a__giant", { bytes: 8_000_000 })).text, /broke during the call/);
  await until(() => all.views()[0]!.problem !== null);
  assert.match(all.views()[0]!.problem!, /a message of more than 4194304 bytes/);
});

test("turns wait for a new server a bounded time, and for a broken one not at all", async (t) => {
  const { all, until } = setup(t, { mute: stdio(["--mute"]), dead: stdio(["--fail"]), absent: { command: "no-such-program-anywhere" } }, { "mcp.waitMs": 300 });
  const before = performance.now();
  assert.deepEqual(await all.tools(), []);
  assert.ok(performance.now() - before < 5_000);
  assert.ok(Array.isArray(all.tools()), "after that, at once");
  await until(() => all.views().every(({ id, state }) => id === "mute" || state === "broken"));
  const [absent, dead] = all.views();
  assert.match(absent!.problem!, /no program no-such-program-anywhere on PATH/);
  assert.match(dead!.problem!, /ended with exit code 3; it said: cannot start today/);
});

test("a changed list is taken up, and settings begin, change and end servers while everything runs", async (t) => {
  const { all, call, change, until } = setup(t, { a: stdio() }, WAIT);
  await call("a__grow");
  await until(async () => (await all.tools()).some(({ name }) => name === "a__grown"));
  const { pid } = all.views()[0]!;
  change({ b: stdio([], { tools: { allow: ["echo"] } }) });
  assert.deepEqual((await all.tools()).map(({ name }) => name), ["b__echo"]);
  await until(() => !existsSync(`/proc/${pid}`));
  change({});
  assert.deepEqual(await all.tools(), []);
});

test("over HTTP a server that was restarted is found again, and an answer larger than announced is cut off", async (t) => {
  const first = await startHttp(t);
  const { all, call, until } = setup(t, { web: { url: `http://127.0.0.1:${first.port}/mcp` } }, WAIT);
  assert.equal((await call("web__echo", { text: "hi" })).text, "hi");
  assert.match((await call("web__giant", { bytes: 8_000_000 })).text, /broke during the call/);
  await until(() => all.views()[0]!.problem !== null);
  assert.match(all.views()[0]!.problem!, /more than 4194304 bytes/);
  assert.equal((await call("web__echo", { text: "back" })).text, "back");
  await first.stop();
  assert.match((await call("web__echo", { text: "x" })).text, /not there|broke during the call/);
  await startHttp(t, first.port);
  await until(async () => (await call("web__echo", { text: "there" })).text === "there");
});

test("what a server may not be given is refused with the field and the remedy", () => {
  const parse = (entry: unknown, id = "a") => () => mcpServers.parse({ [id]: entry });
  const refused = (entry: unknown, expected: RegExp, id?: string): void => assert.throws(parse(entry, id), (thrown) => thrown instanceof BadValue && expected.test(thrown.message));
  refused({}, /either \{command, ...\} or \{url, ...\}/);
  refused({ command: "x", url: "http://a" }, /either/);
  refused({ command: "x", env: { NODE_OPTIONS: "--require /tmp/x" } }, /does not hold NODE_OPTIONS/);
  refused({ command: "x", env: { LD_PRELOAD: "x" } }, /does not hold LD_PRELOAD/);
  refused({ command: "x", cwd: "here" }, /a\.cwd is an absolute path/);
  refused({ command: "x", tools: { only: [] } }, /a\.tools is \{allow\?, deny\?\}/);
  refused({ command: "x", comand: 1 }, /no field "comand"/);
  refused({ url: "http://user:pass@host/" }, /without user/);
  refused({ url: "http://host/", args: [] }, /no field "args" beside url/);
  refused({ command: "x", timeoutSeconds: 0 }, /timeoutSeconds is a whole number in 1\.\.3600/);
  refused({ command: "x" }, /single "_"/, "a__b");
});

async function startHttp(t: TestContext, port = 0): Promise<{ port: number; stop(): Promise<void> }> {
  const child = spawn(process.execPath, [PROGRAM, "--http"], { env: { PORT: String(port) }, stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  t.after(stop);
  const line = await new Promise<string>((resolve) => child.stdout.setEncoding("utf8").once("data", resolve));
  return { port: (JSON.parse(line) as { port: number }).port, stop };
}
