/** What `yard simulate` predicts, held against what the real gateway does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "../../sim/simulate.ts";
import { bounded, startGateway, standinConfig, type Gateway } from "../support/gateway.ts";
import { watchMachine } from "../support/machine-load.ts";
import { startStandin } from "../support/model-standin/standin.ts";

const PEOPLE = 20;
const TURN_MS = 1_000;
const PART_OFF_MAX = 0.05;
const BURST_MAX_MS = 30_000;
/** What else the machine does only ever adds to a wait, so the best burst of these is the gateway's own. */
const BURSTS_MAX = 4;

test("twenty people who write at once wait as long as was predicted, within 5 %, so that plans can be made with it", { timeout: 150_000 }, async (t) => {
  const [predicted] = (await simulate({ customers: PEOPLE, turn: "1s", maxConcurrent: 4 })).columns;
  const expected = predicted!.messages.map(({ waitMs }) => waitMs!).sort((a, b) => a - b);
  assert.deepEqual([expected.length, expected.at(-1)], [PEOPLE, 4_000]);
  const standin = await startStandin();
  t.after(() => standin.close());
  const gateway = await startGateway(t, { config: standinConfig(standin.url, { "agents.defaults.maxConcurrent": 4 }) });
  await burst(gateway, "warm");
  standin.configure({ totalMs: TURN_MS });

  const bursts: string[] = [];
  for (let n = 0; n < BURSTS_MAX; n++) {
    const lostSince = watchMachine();
    const waits = await burst(gateway, `burst${n}`);
    // What the machine itself took from the gateway says nothing about the prediction.
    const lost = lostSince();
    const allowed = PART_OFF_MAX + Math.max(lost.stolen, lost.heldUp);
    const off = waits.map((ms, at) => Math.abs(ms - expected[at]!) / Math.max(expected[at]!, TURN_MS));
    if (Math.max(...off) <= allowed) return;
    bursts.push(`${waits.join(" ")} (${Math.round(Math.max(...off) * 1000) / 10} % off, ${Math.round(allowed * 1000) / 10} % allowed)`);
  }
  assert.fail(`predicted ${expected.join(" ")} ms; measured\n${bursts.join("\n")}`);
});

/** Everybody writes at once. @returns from acceptance to the start of the turn, shortest first, milliseconds. */
async function burst(gateway: Gateway, channel: string): Promise<readonly number[]> {
  const sent = await Promise.all(Array.from({ length: PEOPLE }, (_, n) => gateway.send(`question ${n}`, { channel, peer: `p${n}` })));
  const acceptedAt = new Map<string, number>();
  const waits: number[] = [];
  const look = async (): Promise<void> => {
    const open = new Set(sent.map(({ messageId }) => messageId));
    for await (const { type, data, at } of gateway.events()) {
      const ids = (data["messageIds"] ?? [data["messageId"]]) as string[];
      if (type === "message.accepted") acceptedAt.set(ids[0]!, at);
      if (type === "turn.started") waits.push(...ids.filter((id) => open.has(id)).map((id) => at - acceptedAt.get(id)!));
      if (type === "turn.ended") for (const id of ids) open.delete(id);
      if (open.size === 0) return;
    }
  };
  await bounded(BURST_MAX_MS, "the burst was not answered in time", look());
  return waits.sort((a, b) => a - b);
}
