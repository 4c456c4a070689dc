import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../base/ids.ts";
import { SetClock } from "../../base/set-clock.test-support.ts";
import { DEFAULT_AGENT, mainSession } from "../../model/session.ts";
import { runBatch } from "./batch.ts";
import { Kernel } from "./kernel.ts";
import { openStoreInProcess } from "./open-in-process.ts";

const MAIN = mainSession(DEFAULT_AGENT);
const POSTED = {
  task: "t", label: null, parent: null, turnId: null, agent: DEFAULT_AGENT, kind: "subagent", model: null, context: "isolated", cwd: null, deadlineSeconds: null,
  delivery: "webhook", callback: "https://example.org/hook", cleanup: "keep", claims: [], idempotencyKey: null,
} as const;
const TWO_DAYS_MS = 172_800_000;
const WAIT_MS = 2_000;
const MEAN = { main: 1, side: 1, subagent: 1, acp: 1, timer: 1 };

function open() {
  const clock = new SetClock();
  const { store, kernel } = openStoreInProcess({ clock, random: seededRandom(1) });
  const claim = () => store.claimTurns({ turnsMax: 9, meanTurnMs: MEAN });
  const accept = () =>
    store.acceptMessage({
      message: { session: MAIN, text: "hello", provenance: "user", channel: "api", sourceId: null, author: null, replyTo: null, queueMode: null },
      rules: { waitMs: WAIT_MS, defaultMode: "auto", meanTurnMs: 1, independence: "rules" },
    });
  return { clock, store, kernel, claim, accept };
}

for (const { way, byMs } of [{ way: "back", byMs: -TWO_DAYS_MS }, { way: "forward", byMs: TWO_DAYS_MS }]) {
  test(`a clock that is set ${way} by two days changes nothing about how long a message waits`, async () => {
    const { clock, claim, accept } = open();
    await accept();
    clock.setByMs = byMs;
    clock.advance(WAIT_MS / 2);
    const { started, nextAt } = await claim();
    assert.deepEqual([started.length, nextAt! - clock.now()], [0, WAIT_MS / 2]);
    clock.advance(WAIT_MS / 2);
    assert.equal((await claim()).started.length, 1);
  });

  test(`a clock that is set ${way} by two days does not end a wall of a provider early or late`, async () => {
    const { clock, store } = open();
    const ask = { key: "p/1/m", limits: { requestsPerMinute: 1, tokensPerMinute: null }, tokens: 0, person: true };
    await store.adjustAllowance({ key: ask.key, wallUntil: clock.now() + 60_000 });
    clock.setByMs = byMs;
    clock.advance(20_000);
    assert.equal((await store.takeAllowance(ask)).waitMs, 40_000);
  });

  test(`a clock that is set ${way} by two days while the end of an attempt could not be written does not post a result early or late (seed 52568)`, async () => {
    const { clock, store } = open();
    const { task } = await store.admitSpawn({ spawn: POSTED, limits: { depthMax: 1, childrenMax: 1 } });
    await store.cancelTask({ task: task.taskId, by: "a person" });
    const [first] = (await store.claimDeliveries({ limit: 1 })).claimed;
    const end = { outcome: "later", afterMs: 60_000, httpStatus: 500, problem: "500", inDoubt: false } as const;
    clock.setByMs = byMs;
    await store.settleDelivery({ id: first!.delivery.deliveryId, attempt: 1, end });
    const { claimed, nextAt } = await store.claimDeliveries({ limit: 1 });
    assert.deepEqual([claimed, nextAt! - clock.now()], [[], 60_000]);
  });

  test(`a clock that is set ${way} by two days does not post a result early or late`, async () => {
    const { clock, store } = open();
    const { task } = await store.admitSpawn({ spawn: POSTED, limits: { depthMax: 1, childrenMax: 1 } });
    await store.cancelTask({ task: task.taskId, by: "a person" });
    const [first] = (await store.claimDeliveries({ limit: 1 })).claimed;
    await store.settleDelivery({ id: first!.delivery.deliveryId, attempt: 1, end: { outcome: "later", afterMs: 60_000, httpStatus: 500, problem: "500", inDoubt: false } });
    clock.setByMs = byMs;
    clock.advance(20_000);
    const { claimed, nextAt } = await store.claimDeliveries({ limit: 1 });
    assert.deepEqual([claimed, nextAt! - clock.now()], [[], 40_000]);
  });
}

test("a clock that was set back while no gateway ran makes nothing wait for it", async () => {
  const { clock, store, kernel, claim, accept } = open();
  await accept();
  clock.setByMs = -TWO_DAYS_MS;
  kernel.clockFollowed(); // as a new process, which knows nothing of the old one's clock
  await store.recover();
  clock.advance(WAIT_MS + 10);
  assert.equal((await claim()).started.length, 1);
});

test("a process that slept while another took its place does not follow a jump of the clock a second time", async () => {
  const { clock, store, kernel, accept } = open();
  await store.recover();
  await accept();
  const next = new Kernel(kernel.db, clock, seededRandom(2));
  runBatch(next, [{ id: 1, verb: "recover", input: undefined }], ":memory:");
  clock.setByMs = TWO_DAYS_MS;
  runBatch(next, [{ id: 2, verb: "lanes", input: { meanTurnMs: MEAN } }], ":memory:");
  const readyAt = (): number => kernel.count("SELECT ready_at FROM message");
  assert.equal(readyAt(), clock.now() + WAIT_MS);
  kernel.forget(); // as after a call of it that failed
  await store.lanes({ meanTurnMs: MEAN }); // the one that slept wakes
  assert.equal(readyAt(), clock.now() + WAIT_MS);
});

test("a clock that was set forward, and back while no gateway ran, makes nothing wait for it, also when nothing happened in between (seed 930)", async () => {
  const { clock, store, kernel, claim, accept } = open();
  await accept();
  clock.setByMs = TWO_DAYS_MS;
  await claim(); // follows the clock, and writes no event
  clock.setByMs = 0;
  kernel.clockFollowed();
  await store.recover();
  clock.advance(WAIT_MS + 10);
  assert.equal((await claim()).started.length, 1);
});
