/** How long from the start of the process until the gateway takes requests? */
import { spawnSync } from "node:child_process";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { fillSessions } from "./support/fill-store.ts";
import { makeHome, removeHome, startGateway } from "./support/gateway.ts";
import { median } from "./support/percentiles.ts";

const STORED_SESSIONS = 10_000;
const BARE_NODE = "a Node process that prints one line";

export const start: Bench = {
  name: "start",
  question: "How long from the start of the process until the gateway takes requests?",
  async run({ quick }: BenchOptions): Promise<Row[]> {
    const times = quick ? 3 : 10;
    const stored = quick ? STORED_SESSIONS / 10 : STORED_SESSIONS;
    const cold = await coldStart();
    await startOnce(makeHome(), true);

    const empty: number[] = [];
    const filled: number[] = [];
    const bare: number[] = [];
    const home = makeHome();
    await fillSessions(home, stored);
    await startOnce(home, false);
    for (let n = 0; n < times; n++) {
      empty.push(await startOnce(makeHome(), true));
      filled.push(await startOnce(home, false));
      bare.push(bareNode());
    }
    removeHome(home);

    const must = 500;
    const aim = 250;
    const floor = median(bare);
    return [
      { name: "start to ready, empty home", unit: "ms", measured: median(empty), must, aim, floor, note: `median of ${times}, slowest ${Math.max(...empty).toFixed(0)} ms; floor: ${BARE_NODE}` },
      { name: `start to ready, ${stored} stored sessions`, unit: "ms", measured: median(filled), must, aim, floor, note: `median of ${times}, slowest ${Math.max(...filled).toFixed(0)} ms` },
      { name: "start to ready, first time on a machine", unit: "ms", measured: cold, must: null, aim: null, floor, note: "nothing compiled yet; once" },
    ];
  },
};

/** A start with an empty compile cache, as after an installation. */
async function coldStart(): Promise<number> {
  const cache = makeHome();
  const gateway = await startGateway({ environment: { NODE_COMPILE_CACHE: cache } });
  await gateway.stop();
  removeHome(cache);
  return gateway.readyMs;
}

async function startOnce(home: string, thenRemove: boolean): Promise<number> {
  const gateway = await startGateway({ home });
  await gateway.stop();
  if (thenRemove) removeHome(home);
  return gateway.readyMs;
}

function bareNode(): number {
  const startedAt = performance.now();
  spawnSync(process.execPath, ["-e", "console.log(1)"], { env: {} });
  return performance.now() - startedAt;
}
