import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionKey } from "../base/ids.ts";
import { BadValue } from "../base/setting.ts";
import { SETTINGS, webAllowPrivate } from "./settings.ts";
import { makeBench, settingsFrom } from "./tool-bench.test-support.ts";
import { offeredTools } from "./tools.ts";

test("all specs together stay small, because every prompt pays for them", (t) => {
  const specs = makeBench(t).tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
  const bytes = Buffer.byteLength(JSON.stringify(specs));
  assert.ok(bytes < 4096, `${bytes} bytes`);
});

test("each tool has the effect class that recovery relies on; only what changes nothing runs side by side", (t) => {
  const classes = makeBench(t).tools.map(({ name, effect, parallel }) => [name, effect, parallel]);
  assert.deepEqual(classes, [
    ["read", "pure", true],
    ["write", "idempotent", false],
    ["edit", "once", false],
    ["list", "pure", true],
    ["glob", "pure", true],
    ["grep", "pure", true],
    ["exec", "once", false],
    ["process", "once", false],
    ["web_fetch", "pure", true],
    ["memory", "keyed", false],
    ["message", "once", false],
  ]);
});

test("arguments that are no JSON object are answered with what the tool takes", async (t) => {
  const { call, tools } = makeBench(t);
  for (const { name } of tools) {
    const { text, isError } = await call(name, { $invalid: "{path: oops" });
    assert.ok(isError);
    assert.match(text, new RegExp(`^${name}: the arguments must be one JSON object with .*\\{path: oops`));
  }
});

test("a wrong argument is named with what was expected, and an unknown one with those that are known", async (t) => {
  const { call } = makeBench(t);
  assert.equal((await call("read", { path: 5 })).text, "read: path must be text of 1 to 4096 characters, not 5");
  assert.equal((await call("read", {})).text, "read: path is missing; it must be text of 1 to 4096 characters");
  assert.equal((await call("read", { path: "a", offset: 1.5 })).text, "read: offset must be a whole number from 1 to 10000000, not 1.5");
  assert.equal((await call("read", { file: "a" })).text, 'read: unknown argument "file"; known: path, offset, limit');
  assert.equal((await call("edit", { path: "a", old: "b", new: "c", all: "yes" })).text, 'edit: all must be true or false, not "yes"');
  assert.equal((await call("process", { action: "stop" })).text, 'process: action must be one of list, poll, kill, write, tell, not "stop"');
  assert.equal((await call("exec", { command: ["a", 1] })).text, 'exec: command must be text, or a list of up to 1000 texts, of 1 to 100000 characters in all, not ["a",1]');
  assert.equal((await call("list", { path: null })).isError, false);
});

test("message says something to the person of its own session, once", async (t) => {
  const said: [SessionKey, string][] = [];
  const { call } = makeBench(t, { say: async (session, text) => void said.push([session, text]) });
  assert.deepEqual(await call("message", { text: "half way" }), { text: "said", isError: false });
  assert.deepEqual(said, [["agent:main:main", "half way"]]);
  await assert.rejects(call("message", { text: "too late" }, { signal: AbortSignal.abort(new Error("cancelled")) }), /cancelled/);
  assert.equal(said.length, 1);
});

test("what the settings refuse is not offered, and the rest keeps its order", (t) => {
  const { tools } = makeBench(t);
  const offered = (values: Record<string, unknown>) => offeredTools(tools, settingsFrom(values)).map(({ name }) => name);
  assert.deepEqual(offered({}), tools.map(({ name }) => name));
  assert.deepEqual(offered({ "tools.deny": ["write", "edit", "message", "no-such-tool"], "tools.exec.enabled": false, "tools.web.enabled": false }), ["read", "list", "glob", "grep", "memory"]);
});

test("every setting has a fallback that passes its own check", () => {
  for (const setting of SETTINGS) assert.deepEqual(setting.parse(setting.fallback), setting.fallback, setting.key);
  assert.deepEqual(webAllowPrivate.parse(["localhost:3000", "[::1]:80"]), ["localhost:3000", "[::1]:80"]);
  for (const wrong of ["localhost", "http://localhost:80", "*:80", "LOCALHOST:80"]) assert.throws(() => webAllowPrivate.parse([wrong]), BadValue, wrong);
});
