/** A disk whose sync fails, or takes seconds: what was acknowledged is there afterwards, and nobody is told what is not so. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiFault, BackupList, History, MessageAccepted, StatusAnswer } from "../../src/api/wire.ts";
import { systemClock } from "../../src/base/clock.ts";
import { checkUp } from "../../src/store/sqlite/checkup.ts";
import { makeFailingDisk, type FailingDisk } from "../support/failing-disk/failing-disk.ts";
import { bounded, Gateway } from "../support/gateway.ts";

const SLOW_MS = 2_000;
const PEOPLE = 5;

async function setup(t: TestContext): Promise<{ gateway: Gateway; disk: FailingDisk } | null> {
  const disk = makeFailingDisk(t);
  if (disk === null) {
    t.skip("needs a C compiler and preloaded libraries");
    return null;
  }
  const gateway = new Gateway({ env: disk.env, config: { "messages.messageWaitMs": 0 } });
  t.after(() => gateway.close());
  await gateway.start();
  return { gateway, disk };
}

test("a sync that fails ends the gateway with one clear fault, and nothing was acknowledged that is not there after the next start", async (t) => {
  const made = await setup(t);
  if (made === null) return;
  const { gateway, disk } = made;
  const acknowledged: string[] = [];
  const send = async (id: string): Promise<number> => {
    const answer = await gateway.call<MessageAccepted & ApiFault>("POST", "/api/messages", { text: `hello ${id}`, clientMessageId: id, session: "agent:main:main" }).catch(() => null);
    if (answer?.status === 202) acknowledged.push(id);
    return answer?.status ?? 0;
  };
  for (let index = 0; index < 5; index++) assert.equal(await send(`before-${index}`), 202);

  disk.fail();
  const statuses = await Promise.all(Array.from({ length: 5 }, (_none, index) => send(`during-${index}`)));
  assert.deepEqual(statuses.filter((status) => status === 202), [], "what could not be synced was not acknowledged");
  const { code } = await bounded(60_000, "the gateway did not end", gateway.exited());
  assert.equal(code, 1);
  assert.match(gateway.log(), /yard: STORE_IO: the disk under .*yard\.sqlite failed/);
  assert.doesNotMatch(gateway.log(), /INTERNAL|defect/);

  disk.heal();
  await gateway.start();
  for (const id of acknowledged) {
    const again = await gateway.api<MessageAccepted>("POST", "/api/messages", { text: `hello ${id}`, clientMessageId: id, session: "agent:main:main" });
    assert.equal(again.duplicate, true, `${id} was acknowledged and is gone`);
  }
  assert.match(await gateway.ask("hello"), /Hello/);
  const { entries } = await gateway.api<History>("GET", `/api/sessions/${encodeURIComponent("agent:main:main")}/history?limit=100`);
  const said = entries.filter(({ role, text }) => role === "user" && text.startsWith("hello during")).map(({ text }) => text);
  assert.deepEqual(said, [...new Set(said)], "what came back was not doubled");
  assert.equal(await gateway.stop(), 0);
  assert.deepEqual(checkUp(join(gateway.home, "yard.sqlite"), systemClock).problems, []);
});

test("a disk that takes two seconds to sync holds up the acknowledgement and nothing else", async (t) => {
  const made = await setup(t);
  if (made === null) return;
  const { gateway, disk } = made;
  await gateway.ask("hello");
  disk.slow(SLOW_MS);
  const startedAt = performance.now();
  const sent = Array.from({ length: PEOPLE }, (_none, index) => gateway.send("hello", { session: `agent:main:api:direct:p${index}` }).then(() => performance.now() - startedAt));
  const looks: number[] = [];
  let waiting = true;
  const looking = (async () => {
    while (waiting) {
      const before = performance.now();
      assert.equal(await (await fetch(`${gateway.url}/healthz`)).text(), "ok");
      await gateway.api<StatusAnswer>("GET", "/api/status");
      await gateway.api<BackupList>("GET", "/api/backups");
      looks.push(performance.now() - before);
    }
  })();
  const took = await Promise.all(sent);
  waiting = false;
  await looking;
  disk.heal();
  assert.ok(took.every((ms) => ms >= SLOW_MS * 0.9), `none is acknowledged before its sync: ${took.map(Math.round)}`);
  // Those who come while a sync is under way share the next one.
  assert.ok(took.every((ms) => ms < SLOW_MS * 4), `nobody waits for the syncs of the others: ${took.map(Math.round)}`);
  const middle = looks.toSorted((a, b) => a - b)[Math.floor(looks.length / 2)]!;
  t.diagnostic(`acknowledged after ${took.map(Math.round)} ms; three answers that need no disk took ${middle.toFixed(1)} ms in the median of ${looks.length}`);
  assert.ok(middle < 100, `the loop is free: ${middle}`);
});
