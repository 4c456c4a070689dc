/** A full disk: what is acknowledged is kept, what runs can be stopped and looked at, and it goes on by itself. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiEvent, ApiFault, BackupList, CancelResult, LanesAnswer, MessageAccepted, StatusAnswer } from "../../src/api/wire.ts";
import { systemClock } from "../../src/base/clock.ts";
import { checkUp } from "../../src/store/sqlite/checkup.ts";
import { Gateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

const DISK_BYTES = 24 * 1024 * 1024;
const MAIN = encodeURIComponent("agent:main:main");
/** A disk that is full is looked at once a second. */
const GOOD_AGAIN_MAX_MS = 60_000;

test("on a full disk nothing is acknowledged that is not kept; cancel and status work, there is one notice, and with room it goes on by itself", async (t) => {
  const home = smallDisk(t);
  if (home === null) return t.skip("needs the right to mount a small disk");
  const model = await startModel(t);
  const gateway = new Gateway({ home, config: standinConfig(model.url) });
  t.after(() => gateway.close());
  await gateway.start();
  assert.equal(await gateway.ask("! say before"), "before");
  const { messageId: running } = await gateway.send("! wait 60000ms then say never");
  await gateway.waitEvent((event) => event.type === "turn.started" && (event.data["messageIds"] as string[]).includes(running));
  await gateway.api("POST", "/api/backups");
  while ((await gateway.api<StatusAnswer>("GET", "/api/status")).disk !== "good") await pause(10);
  fill(join(home, "ballast"));

  const kept: string[] = [];
  let refused: ApiFault | null = null;
  for (let index = 0; index < 60 && refused === null; index++) {
    const text = `! say kept ${index} ${"x".repeat(100_000)}`;
    const answer = await gateway.call<MessageAccepted & ApiFault>("POST", "/api/messages", { text, session: "agent:main:api:direct:big", clientMessageId: `big-${index}` });
    if (answer.status === 202) kept.push(`big-${index}`);
    else {
      assert.equal(answer.status, 507);
      refused = answer.body;
    }
  }
  assert.deepEqual([refused?.code, refused?.retryable, (refused?.retryAfterMs ?? 0) > 0], ["DISK_FULL", true, true]);
  assert.equal((await gateway.api<StatusAnswer>("GET", "/api/status")).disk, "full");

  // A backup now must fail and leave the older one alone.
  const failed = await gateway.call("POST", "/api/backups");
  assert.equal(failed.body.code, "BACKUP_FAILED");
  assert.equal((await gateway.api<BackupList>("GET", "/api/backups")).backups.length, 1);

  const cancelled = await gateway.api<CancelResult>("POST", `/api/sessions/${MAIN}/cancel`, {});
  assert.equal(cancelled.turns.length, 1, "what runs can be stopped on a full disk");
  assert.deepEqual((await gateway.api<LanesAnswer>("GET", "/api/lanes")).lanes.filter(({ session }) => session === "agent:main:main"), []);
  for (let again = 0; again < 3; again++) assert.equal((await gateway.call("POST", "/api/messages", { text: "! say small" })).status, 507, "room for the end is not given to a beginning");
  assert.deepEqual((await noticesOf(gateway)).map(({ data }) => data["level"]), ["error"], "one notice, not one per refusal");

  unlinkSync(join(home, "ballast"));
  const since = performance.now();
  while ((await gateway.api<StatusAnswer>("GET", "/api/status")).disk === "full") {
    assert.ok(performance.now() - since < GOOD_AGAIN_MAX_MS, "it did not go on by itself");
    await pause(50);
  }
  t.diagnostic(`takes messages again ${Math.round(performance.now() - since)} ms after there is room; ${kept.length} were kept on the full disk`);
  assert.equal(await gateway.ask("! say after"), "after");
  assert.deepEqual((await noticesOf(gateway)).map(({ data }) => data["level"]), ["error", "info"]);
  for (const id of kept) {
    const again = await gateway.api<MessageAccepted>("POST", "/api/messages", { text: "! say x", session: "agent:main:api:direct:big", clientMessageId: id });
    assert.equal(again.duplicate, true, `${id} was acknowledged and is gone`);
  }
  assert.equal(await gateway.stop(), 0);
  assert.deepEqual(checkUp(join(home, "yard.sqlite"), systemClock).problems, []);
});

test("a gateway that starts on a full disk says so instead of taking in what it cannot keep", async (t) => {
  const home = smallDisk(t);
  if (home === null) return t.skip("needs the right to mount a small disk");
  const gateway = new Gateway({ home });
  t.after(() => gateway.close());
  await gateway.start();
  await gateway.ask("hello");
  await gateway.stop();
  unlinkSync(join(home, "yard.sqlite-reserve"));
  fill(join(home, "ballast"));
  await gateway.start().then(
    async () => assert.equal((await gateway.call("POST", "/api/messages", { text: "hello" })).body.code, "DISK_FULL"),
    (cause: Error) => assert.match(cause.message, /DISK_FULL|ENOSPC/),
  );
  unlinkSync(join(home, "ballast"));
});

/** An own small disk, taken away after the test; null where that is not allowed. */
function smallDisk(t: TestContext): string | null {
  const disk = mkdtempSync(join(tmpdir(), "yard-disk-"));
  const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=0700`, "tmpfs", disk]).status === 0;
  t.after(() => {
    if (isMounted) spawnSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true });
  });
  return isMounted ? disk : null;
}

async function noticesOf(gateway: Gateway): Promise<ApiEvent[]> {
  const { lastSeq } = await gateway.api<{ lastSeq: number }>("GET", `/api/sessions/${MAIN}`);
  const found: ApiEvent[] = [];
  for await (const event of gateway.events("agent:main:main")) {
    if (event.type === "notice" && event.data["code"] === "DISK_FULL") found.push(event);
    if ((event.seq ?? 0) >= lastSeq) break;
  }
  return found;
}

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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
