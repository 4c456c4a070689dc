/** What a stop, a kill and a full disk leave behind: nothing that was promised. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ApiFault, ApiTask, MessageAccepted, StatusAnswer } from "../../src/api/wire.ts";
import { Gateway, startGateway, standinConfig } from "../support/gateway.ts";
import { letTimePass } from "../support/let-time-pass.ts";
import { startModel } from "../support/model.ts";

test("SIGTERM during a turn exits 0, and the turn goes on after the next start without asking a committed answer again", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "gateway.drainSeconds": 0 }) });
  const { messageId } = await gateway.send('! say first then call subagents {"action":"list"} then stall times 1 then say second');
  await gateway.waitEvent((event) => event.type === "tool.ended" || event.type === "tool.started");
  while ((await model.log()).length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  assert.equal(await gateway.waitReply(messageId), "second");
  assert.deepEqual((await model.log()).map((request) => request.round), [0, 1, 1], "the first answer was committed, the second was cut off");
});

test("while it shuts down it says that it takes nothing new, and then lets running turns end", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "gateway.drainSeconds": 5 }) });
  const { messageId } = await gateway.send("! wait 700ms then say made it");
  await gateway.waitEvent((event) => event.type === "turn.started");
  const answer = gateway.waitReply(messageId);
  const stopped = gateway.stop();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const refused = await gateway.call("POST", "/api/messages", { text: "too late" });
  assert.deepEqual([refused.status, refused.body.code, refused.body.retryable], [503, "DRAINING", true]);
  assert.equal(await answer, "made it");
  assert.equal(await stopped, 0);
});

test("a gateway that dies again and again before it gets anything done begins nothing: it shows and stops, says why, and a stop that is asked for ends that", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "recovery.deathsMax": 2 }) });
  const { messageId } = await gateway.send("! stall times 4 then say made it");
  const isRunning = (): Promise<unknown> => gateway.waitEvent((event) => event.type === "turn.started" && (event.data["messageIds"] as string[]).includes(messageId));
  await isRunning();
  for (let death = 1; death <= 2; death++) {
    await gateway.kill9();
    await gateway.start();
  }
  const callsBefore = (await model.log()).length;
  await gateway.kill9();
  await gateway.start();

  const refused = await gateway.call("POST", "/api/messages", { text: "more" });
  assert.deepEqual([refused.status, refused.body.code, refused.body.retryable], [503, "SAFE_MODE", true]);
  assert.match(refused.body.message, /died 3 times in a row/);
  assert.equal((await gateway.call("POST", "/api/spawns", { task: "more" })).body.code, "SAFE_MODE");
  assert.equal((await gateway.api<StatusAnswer>("GET", "/api/status")).draining, true);
  await gateway.waitEvent((event) => event.type === "notice" && event.data["code"] === "SAFE_MODE");
  const say = async (text: string): Promise<string> => (await gateway.api<MessageAccepted>("POST", "/api/messages", { text })).commandReply ?? "";
  assert.match(await say("/help"), /^\/help: this list$/m);
  assert.match(await say("/status"), /T1 running: ! stall/);
  assert.match(await say("/tasks"), /No tasks yet/);
  assert.match(await say("/subagents"), /No children yet/);
  assert.match(await say("/model"), /^Model: /);
  for (const text of ["/new", "/bg go on", "/model mock/m", "/subagents spawn more", "/compact", "/nothing"]) assert.equal((await gateway.call("POST", "/api/messages", { text })).body.code, "SAFE_MODE", text);
  assert.match(await say("/stop"), /^Stopped 1 turn/);
  await gateway.waitEvent((event) => event.type === "turn.ended" && event.data["outcome"] === "cancelled");
  assert.ok((await model.log()).length <= callsBefore + 1, "no turn went on");

  assert.equal(await gateway.stop(), 0);
  await gateway.start();
  assert.equal(await gateway.ask("! say all is well"), "all is well");
});

test("what was open days ago is not gone on with by surprise: it is ended, its conversation is told, and new work is done", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url) });
  const { messageId } = await gateway.send("! wait 60000ms then say much too late");
  const { taskId } = await gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: "! wait 60000ms then say late as well", parent: "agent:main:main" });
  for (const what of [messageId, taskId]) await gateway.waitEvent((event) => event.type === "turn.started" && (event.taskId === what || (event.data["messageIds"] as string[]).includes(what)));
  await gateway.kill9();
  letTimePass(join(gateway.home, "yard.sqlite"), 4 * 86_400_000);
  await gateway.start();

  const ended = await gateway.waitEvent((event) => event.type === "turn.ended" && (event.data["messageIds"] as string[]).includes(messageId));
  assert.equal(ended.data["outcome"], "cancelled");
  const task = await gateway.api<ApiTask>("GET", `/api/tasks/${taskId}`);
  assert.deepEqual([task.state, task.fault?.code], ["lost", "WORK_STALE"]);
  const notice = await gateway.waitEvent((event) => event.type === "notice" && event.data["code"] === "WORK_STALE");
  assert.match(String(notice.data["text"]), /away for 96 hours/);
  assert.equal(await gateway.ask("! say fresh"), "fresh");
});

const DISK_BYTES = 12 * 1024 * 1024;

test("a full disk is said, accepts nothing that it could not keep, and is over when there is space again", async (t) => {
  const disk = mkdtempSync(join(tmpdir(), "yard-disk-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=0700`, "tmpfs", disk]);
  if (mounted.status !== 0) {
    rmSync(disk, { recursive: true });
    return t.skip("needs the right to mount a small disk");
  }
  const model = await startModel(t);
  const gateway = new Gateway({ home: disk, config: standinConfig(model.url) });
  t.after(async () => {
    await gateway.close();
    spawnSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true });
  });
  await gateway.start();
  assert.equal(await gateway.ask("! say before"), "before");
  const { messageId: running } = await gateway.send("! wait 500ms then say kept");
  await gateway.waitEvent((event) => event.type === "turn.started" && (event.data["messageIds"] as string[]).includes(running));
  fill(join(disk, "ballast"));

  const texts = Array.from({ length: 20 }, (_none, index) => `${index} ${"x".repeat(200_000)}`);
  const answers = [];
  for (const text of texts) answers.push({ text, answer: await gateway.call<ApiFault & { messageId?: string }>("POST", "/api/messages", { text, session: "agent:main:api:direct:big" }) });
  const refused = answers.find(({ answer }) => answer.status !== 202)!;
  assert.ok(refused !== undefined, "nothing was refused");
  assert.deepEqual([refused.answer.status, refused.answer.body.code, refused.answer.body.retryable], [507, "DISK_FULL", true]);

  unlinkSync(join(disk, "ballast"));
  assert.equal(await gateway.waitReply(running), "kept", "the turn that ran meanwhile is not lost");
  for (const { answer } of answers) if (answer.status === 202) await gateway.waitReply(answer.body.messageId!);
  while ((await gateway.api<StatusAnswer>("GET", "/api/status")).disk !== "good") await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await gateway.ask("! say after"), "after");
  assert.equal(await gateway.stop(), 0);
});

/** Writes until nothing more fits. */
function fill(file: string): void {
  const handle = openSync(file, "w");
  try {
    for (let size = 1024 * 1024; size >= 512; ) {
      try {
        writeSync(handle, Buffer.alloc(size));
      } catch {
        size /= 2;
      }
    }
  } finally {
    closeSync(handle);
  }
}
