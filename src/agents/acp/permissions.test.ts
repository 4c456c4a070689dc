import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "../../base/json.ts";
import type { HarnessSpec, PermissionMode } from "../../model/harness.ts";
import { judge } from "./permissions.ts";

const SPEC = {
  toolNameAt: ["_meta", "code", "tool"],
  readingTools: { Read: { paths: ["file_path"], others: ["offset", "limit"] } },
} as unknown as HarnessSpec;
const files = { isInside: async (folder: string, path: string) => path.startsWith(`${folder}/`) && !path.includes("..") };

function call(tool: string, rawInput: unknown, more: JsonObject = {}): JsonObject {
  return { toolCallId: "c", title: "Read a file", kind: "read", _meta: { code: { tool } }, rawInput: rawInput as JsonObject, ...more };
}

async function verdict(asked: JsonObject, mode: PermissionMode = "approve-reads", spec = SPEC): Promise<string> {
  return (await judge(asked, { spec, mode, cwd: "/w", files })).verdict;
}

test("a known reading tool with a path inside the workspace may read, and nothing else may without a word", async () => {
  assert.equal(await verdict(call("Read", { file_path: "/w/a", limit: 3 })), "allow");
  for (const [why, asked] of [
    ["a path outside", call("Read", { file_path: "/etc/passwd" })],
    ["a path that leads outside", call("Read", { file_path: "/w/../etc/passwd" })],
    ["no path", call("Read", { limit: 3 })],
    ["a path that is none", call("Read", { file_path: 7 })],
    ["an argument that nobody knows", call("Read", { file_path: "/w/a", content: "new" })],
    ["no arguments", call("Read", null)],
    ["a change that comes with it", call("Read", { file_path: "/w/a" }, { content: [{ type: "diff", path: "/w/a", newText: "x" }] })],
    ["another tool that calls itself reading", call("Write", { file_path: "/w/a" })],
    ["a part of a name", call("ReadAndWrite", { file_path: "/w/a" })],
    ["a name that objects have by themselves", call("constructor", { file_path: "/w/a" })],
    ["a name in the title only", { title: "Read", kind: "read", rawInput: { file_path: "/w/a" } }],
  ] as const) {
    assert.equal(await verdict(asked), "ask", why);
  }
});

test("a harness whose tools nobody knows is asked about, whatever it says", async () => {
  assert.equal(await verdict(call("Read", { file_path: "/w/a" }), "approve-reads", { ...SPEC, toolNameAt: null }), "ask");
});

test("the mode is a ceiling: nothing that a harness says raises deny-all or turns a write into a read", async () => {
  const anything = fc.record({ tool: fc.oneof(fc.constant("Read"), fc.string()), input: fc.oneof(fc.object(), fc.constant({ file_path: "/w/a", content: "x" })), kind: fc.string() });
  await fc.assert(
    fc.asyncProperty(anything, async ({ tool, input, kind }) => {
      const asked = call(tool, input, { kind });
      assert.equal(await verdict(asked, "deny-all"), "deny");
      const keys = Object.keys(input as object);
      if (tool !== "Read" || keys.some((key) => !["file_path", "offset", "limit"].includes(key))) assert.equal(await verdict(asked), "ask");
    }),
    { seed: 7 },
  );
});
