/** A harness in a sandbox, tried from inside of it: what it can read, write and reach. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { HarnessHealth, SpawnAccepted } from "../../src/api/wire.ts";
import { startGateway } from "../support/gateway.ts";
import { harnessConfig, workFolder } from "../support/harness.ts";
import { allGone } from "../support/processes.ts";
import type { Step } from "../support/scripted-harness.ts";

test("a harness in a sandbox reads no credentials, writes only where it works, and reaches the session tools and no other port", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.sandbox": "required", "acp.permissionMode": "approve-all" }) });
  const { sandbox } = await gateway.api<HarnessHealth>("GET", "/api/acp/doctor");
  if (!sandbox.available) return t.skip(`no sandbox works on this machine: ${sandbox.text}`);
  mkdirSync(join(gateway.home, ".ssh"));
  writeFileSync(join(gateway.home, ".ssh", "id_test"), "a private key");
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const steps: readonly Step[] = [
    { attempt: "read", at: join(gateway.home, ".ssh", "id_test") },
    { attempt: "read", at: join(gateway.home, "token") },
    { attempt: "write", at: join(cwd, "..", "yard-escaped") },
    { attempt: "write", at: join(cwd, "inside") },
    { attempt: "connect", at: String(port) },
    { attempt: "tool", at: "" },
    { ask: { name: "Bash" } },
    { child: "setsid" },
  ];
  const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify(steps), wait: true, waitSeconds: 60 });
  assert.equal(task!.state, "succeeded", JSON.stringify(task!.fault));
  const { entries } = await gateway.api<{ entries: { role: string; text: string }[] }>("GET", `/api/sessions/${encodeURIComponent(task!.session)}/history`);
  const said = entries.filter(({ role }) => role === "assistant").flatMap(({ text }) => text.split("\n"));
  const [key, token, outside, inside, reached, tools, asked] = ["read", "read", "write", "write", "connect", "tool", "Bash"].map((word, n) => said.filter((line) => line.startsWith(word))[n === 1 || n === 3 ? 1 : 0]);
  assert.match(key!, /failed E/);
  assert.match(token!, /failed E/);
  assert.match(outside!, /failed E(ROFS|ACCES|PERM)/);
  assert.ok(!existsSync(join(cwd, "..", "yard-escaped")));
  assert.match(inside!, /: written/);
  assert.match(reached!, /: refused/);
  assert.match(tools!, /memory/, "by the forwarded port");
  assert.match(asked!, /o-allow_once/, "approve-all holds in a sandbox without a further word");
  await allGone(cwd);
});

test("a sandbox that is required and is not there starts nothing and says what is missing", async (t) => {
  const cwd = workFolder(t);
  const gateway = await startGateway(t, { config: harnessConfig(cwd, {}, { "acp.sandbox": "required" }), env: { PATH: "/nowhere" } });
  const { healthy, problems } = await gateway.api<HarnessHealth>("GET", "/api/acp/doctor");
  assert.deepEqual([healthy, problems[0]!.code], [false, "ACP_SANDBOX_MISSING"]);
  const { task } = await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: "hello", wait: true, waitSeconds: 60 });
  assert.equal(task!.fault!.code, "ACP_SANDBOX_MISSING");
});
