/** A turn that waited for its provider, in a gateway whose disk fails at the wrong moment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { NO_USAGE, type ModelAnswer, type ModelFrame, type ModelRequest } from "../../src/model/chat.ts";
import { DEFAULT_AGENT, mainSession } from "../../src/model/session.ts";
import { Kernel } from "../../src/store/sqlite/kernel.ts";
import { Dice } from "./dice.ts";
import { Disk } from "./faulty-disk.ts";
import { GatewayProcess } from "./gateway-process.ts";
import { Tables } from "./tables.ts";
import { Timeline, type ProcessClock } from "./timeline.ts";
import { WorldSettings } from "./world-settings.ts";

const WAIT_MS = 10_000;
const ANSWER_MS = 30_000;

/** @param end  what a call says when it goes on. @param failures  how often the disk is full when the store is told so. */
async function parkedAfterwards(end: ModelFrame, failures: number): Promise<readonly string[]> {
  const timeline = new Timeline(new Dice(1, "order"));
  const tables = new Tables();
  const disk = new Disk(tables);
  const observer = new Kernel(disk.connect(null), timeline.clock, () => new Uint8Array(16));
  let left = failures;
  const call = async (clock: ProcessClock, onFrame: (frame: ModelFrame) => void, { signal }: ModelRequest): Promise<ModelAnswer> => {
    onFrame({ type: "parked", parking: { reason: "wall", model: "sim/one", until: clock.now() + WAIT_MS, ahead: 0 } });
    await sleep(clock, WAIT_MS, signal);
    onFrame(end);
    await sleep(clock, ANSWER_MS, signal);
    return { parts: [{ type: "text", text: "done" }], stop: "end", usage: NO_USAGE, model: "sim/one" };
  };
  const gateway = new GatewayProcess({
    timeline,
    settings: new WorldSettings(),
    log: silentLog,
    kernel: (random) => new Kernel(disk.connect(null), timeline.clock, random),
    randomSeed: 1,
    hasJobs: false,
    harness: null,
    line: {
      delays: () => ({ workMs: 0, answerMs: 0 }),
      beforeBatch: (calls) => disk.prepare(calls.some(({ verb }) => verb === "unparkTurn") && left-- > 0 ? { at: "commit", error: "full" } : null),
      afterBatch: () => disk.prepare(null),
    },
    model: (clock) => ({ call: (request, onFrame) => call(clock, onFrame, request), terms: () => ({ outputTokensMax: 100, price: null }), contextWindow: () => 100_000, knownModels: () => ["sim/one"], defaultModel: () => "sim/one" }),
    tools: () => [],
  });
  const goOn = async (ms: number): Promise<void> => {
    const untilMs = timeline.nowMs + ms;
    do await new Promise((resolve) => setImmediate(resolve));
    while (timeline.step(untilMs));
  };
  const parked = (): string => `${observer.count("SELECT count(*) FROM parked")} of ${observer.count("SELECT count(*) FROM turn WHERE state = 'running'")}`;

  void gateway.start();
  await goOn(100);
  void gateway.frontDoor.accept({ session: mainSession(DEFAULT_AGENT), text: "hello", provenance: "user", channel: "sim", mayCommand: false });
  await goOn(WAIT_MS - 1_000);
  const before = parked();
  await goOn(ANSWER_MS / 2);
  const after = parked();
  gateway.kill();
  tables.close();
  return [before, after];
}

test("the end of a wait is told to the store until it is on disk, so no turn that works lends its slot and rests its deadlines", async () => {
  assert.deepEqual(await parkedAfterwards({ type: "resumed" }, 3), ["1 of 1", "0 of 1"]);
});

test("a wait that is given up for another model is over", async () => {
  assert.deepEqual(await parkedAfterwards({ type: "fallback", from: "sim/one", to: "sim/two", reason: "it takes too long" }, 0), ["1 of 1", "0 of 1"]);
});
