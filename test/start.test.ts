/** What a start loads is most of what it costs, in time and in memory. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

const MAIN = new URL("../src/main.ts", import.meta.url).href;

/** Loaded with its first use; a part of its path, or of the name of a module of Node's own. */
const LATER = [
  "internal/deps/undici/", // all that is behind fetch and WebSocket
  "/node_modules/@agentclientprotocol/",
  "/node_modules/@ai-sdk/",
  "/node_modules/@modelcontextprotocol/",
  "/node_modules/ws/",
  "/node_modules/yaml/",
  "/node_modules/zod/",
  "/src/providers/rehearsal/",
  "/src/store/sqlite/verbs.ts", // in the store's thread
];

test("a start loads nothing that the first message does not need", () => {
  const script = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    await import(${JSON.stringify(MAIN)});
    console.log(JSON.stringify([...loaded, ...process.moduleLoadList]));
  `;
  const loaded = JSON.parse(execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", maxBuffer: 16_000_000 })) as string[];
  assert(loaded.includes(MAIN) && loaded.some((one) => one.includes("/node_modules/fastify/")), "the list holds what is loaded");
  assert.deepEqual(loaded.filter((one) => LATER.some((part) => one.includes(part))), []);
});
