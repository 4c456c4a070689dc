/** `yard acp`: an editor, played by the official library, drives the gateway over the Agent Client Protocol. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Readable, Writable } from "node:stream";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { client, methods, ndJsonStream, type ClientContext, type ContentBlock, type PromptResponse, type SessionUpdate } from "@agentclientprotocol/sdk";
import { bounded, startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const YARD = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "bin", "yard.mjs");
const UNTIL_MAX_MS = 20_000;
const { session: on } = methods.agent;

interface Editor {
  readonly agent: ClientContext;
  readonly updates: SessionUpdate[];
  readonly exitCode: Promise<number | null>;
  stderr(): string;
  until(fits: (update: SessionUpdate) => boolean): Promise<SessionUpdate>;
  /** What the agent said, since the last call. */
  said(): string;
  close(): void;
}

function startEditor(t: TestContext, home: string, args: readonly string[] = []): Editor {
  const child = spawn(process.execPath, [YARD, "acp", ...args], { env: { PATH: "/usr/bin:/bin", HOME: home, YARD_HOME: home }, stdio: ["pipe", "pipe", "pipe"] });
  const exited = once(child, "exit").then(([code]) => code as number | null);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const updates: SessionUpdate[] = [];
  const waiting = new Set<() => void>();
  let read = 0;
  const app = client({ name: "editor" }).onNotification(methods.client.session.update, ({ params }) => {
    updates.push(params.update);
    for (const wake of [...waiting]) wake();
  });
  const connection = app.connect(ndJsonStream(Writable.toWeb(child.stdin) as WritableStream<Uint8Array>, Readable.toWeb(child.stdout) as ReadableStream<Uint8Array>));
  return {
    agent: connection.agent,
    updates,
    exitCode: exited,
    stderr: () => stderr,
    async until(fits) {
      let from = 0;
      const look = new Promise<SessionUpdate>((resolve) => {
        const wake = (): void => {
          for (; from < updates.length; from++) if (fits(updates[from]!)) return void (waiting.delete(wake), resolve(updates[from]!));
        };
        waiting.add(wake);
        wake();
      });
      return bounded(UNTIL_MAX_MS, "the update did not come", look);
    },
    said() {
      const text = updates.slice(read).flatMap((update) => (update.sessionUpdate === "agent_message_chunk" && update.content.type === "text" ? [update.content.text] : [])).join("");
      read = updates.length;
      return text;
    },
    close: () => child.stdin.end(),
  };
}

const initialize = (editor: Editor) => editor.agent.request(methods.agent.initialize, { protocolVersion: 1, clientCapabilities: {} });
const prompt = (editor: Editor, sessionId: string, said: string | readonly ContentBlock[]): Promise<PromptResponse> =>
  editor.agent.request<PromptResponse>(on.prompt, { sessionId, prompt: typeof said === "string" ? textPrompt(said) : [...said] });
const textPrompt = (text: string) => [{ type: "text" as const, text }];

function project(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "project-")));
  writeFileSync(join(folder, "notes.txt"), "the treasure is under the oak");
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function setup(t: TestContext): Promise<{ gateway: Gateway; editor: Editor; cwd: string }> {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const editor = startEditor(t, gateway.home);
  await initialize(editor);
  return { gateway, editor, cwd: project(t) };
}

test("an editor gets text as it is written, tool calls with their results in its own folder, commands, and one stop reason for each prompt", async (t) => {
  const { editor, cwd } = await setup(t);
  const { sessionId } = await editor.agent.request(on.new, { cwd, mcpServers: [] });
  const commands = await editor.until(({ sessionUpdate }) => sessionUpdate === "available_commands_update");
  assert.ok(commands.sessionUpdate === "available_commands_update" && commands.availableCommands.some(({ name }) => name === "status"));

  const answer = await prompt(editor, sessionId, '! call read {"path":"notes.txt"} then say found <last>');
  assert.equal(answer.stopReason, "end_turn");
  assert.match(editor.said(), /^found .*under the oak/);
  const started = editor.updates.find(({ sessionUpdate }) => sessionUpdate === "tool_call");
  const ended = editor.updates.find(({ sessionUpdate }) => sessionUpdate === "tool_call_update");
  assert.ok(started?.sessionUpdate === "tool_call" && ended?.sessionUpdate === "tool_call_update");
  assert.deepEqual([started.kind, started.status, started.rawInput, ended.status, ended.toolCallId === started.toolCallId], ["read", "in_progress", { path: "notes.txt" }, "completed", true]);

  const embedded = [...textPrompt("! say ok\n"), { type: "resource" as const, resource: { uri: "file:///a.txt", text: "inside" } }];
  assert.equal((await prompt(editor, sessionId, embedded)).stopReason, "end_turn");
  assert.equal(editor.said(), "ok");
  assert.equal((await prompt(editor, sessionId, "/help")).stopReason, "end_turn");
  assert.match(editor.said(), /\/status/);
  await assert.rejects(prompt(editor, sessionId, "! fail 401"), /PROVIDER_|401/);
});

test("a cancelled prompt ends as cancelled, also one that waits for children, and the next one works", async (t) => {
  const { gateway, editor, cwd } = await setup(t);
  const { sessionId } = await editor.agent.request(on.new, { cwd, mcpServers: [] });
  const slow = prompt(editor, sessionId, "! say begun then wait 60s then say late");
  await gateway.waitEvent(({ type }) => type === "turn.started", { session: sessionId });
  await editor.agent.notify(on.cancel, { sessionId });
  assert.equal((await slow).stopReason, "cancelled");
  const waits = prompt(editor, sessionId, '! call sessions_spawn {"task":"! wait 60s then say x"} then call sessions_yield {} then say never');
  await gateway.waitEvent(({ type }) => type === "turn.yielded", { session: sessionId });
  await editor.agent.notify(on.cancel, { sessionId });
  assert.equal((await waits).stopReason, "cancelled");
  editor.said();
  assert.equal((await prompt(editor, sessionId, "! say well")).stopReason, "end_turn");
  assert.equal(editor.said(), "well");
});

test("sessions are listed, loaded with all that was said, resumed without it, and closed; they outlive the editor", async (t) => {
  const { gateway, editor, cwd } = await setup(t);
  const { sessionId } = await editor.agent.request(on.new, { cwd, mcpServers: [] });
  await prompt(editor, sessionId, '! call read {"path":"notes.txt"} then say one');
  editor.close();
  assert.equal(await editor.exitCode, 0);

  const later = startEditor(t, gateway.home);
  await initialize(later);
  const { sessions } = await later.agent.request(on.list, { cwd });
  assert.deepEqual(sessions.map((info) => [info.sessionId, info.cwd]), [[sessionId, cwd]]);
  await later.agent.request(on.load, { sessionId, cwd, mcpServers: [] });
  assert.deepEqual(
    later.updates.map(({ sessionUpdate }) => sessionUpdate).filter((name) => name !== "available_commands_update"),
    ["user_message_chunk", "tool_call", "tool_call_update", "agent_message_chunk"],
  );
  assert.equal(later.said(), "one");
  await later.agent.request(on.resume, { sessionId, cwd });
  await prompt(later, sessionId, "! say two");
  assert.equal(later.said(), "two", "each answer once, though the session was opened twice");
  const running = prompt(later, sessionId, "! wait 60s then say late");
  await gateway.waitEvent(({ type, data }) => type === "turn.started" && String(data["about"]).includes("60s"), { session: sessionId });
  await later.agent.request(on.close, { sessionId });
  assert.equal((await running).stopReason, "cancelled");
  await assert.rejects(later.agent.request(on.load, { sessionId: "agent:main:editor:direct:none", cwd, mcpServers: [] }), /no session/);
});

test("without a gateway an editor is told so with exit code 3, and --up runs one for as long as it is there", async (t) => {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "yard-home-")));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const alone = startEditor(t, home);
  assert.equal(await alone.exitCode, 3);
  assert.match(alone.stderr(), /GATEWAY_NOT_THERE/);

  writeFileSync(join(home, "yardmaster.json5"), '{"gateway.port": 0}', { mode: 0o600 });
  const editor = startEditor(t, home, ["--up"]);
  await initialize(editor);
  const { sessionId } = await editor.agent.request(on.new, { cwd: home, mcpServers: [] });
  assert.equal((await prompt(editor, sessionId, "what is 6 * 7?")).stopReason, "end_turn");
  assert.match(editor.said(), /42/);
  editor.close();
  assert.equal(await editor.exitCode, 0);
});
