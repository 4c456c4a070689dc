/** The gateway is killed in the middle of 20 turns and started again: when do all of them go on? */
import { sleep, systemClock } from "../src/base/clock.ts";
import type { MessageAccepted } from "../src/api/wire.ts";
import { spawnStandin, type SpawnedStandin } from "../test/support/model-standin/spawn.ts";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { makeHome, removeHome, startGateway } from "./support/gateway.ts";
import { median } from "./support/percentiles.ts";
import { personSession, settingsFor } from "./support/yard.ts";

const TURNS = 20;
const LOOK_MS = 5;

export const recovery: Bench = {
  name: "recovery",
  question: "The gateway is killed in the middle of 20 turns and started again: when do all of them go on?",
  async run({ quick }: BenchOptions): Promise<Row[]> {
    const times = quick ? 2 : 7;
    const ready: number[] = [];
    const goingOn: number[] = [];
    for (let n = 0; n < times; n++) {
      const found = await killOnce();
      ready.push(found.readyMs);
      goingOn.push(found.goingOnMs);
    }
    const must = 1_000;
    const aim = 400;
    return [
      { name: "after kill -9: ready", unit: "ms", measured: median(ready), must, aim, floor: null, note: `median of ${times}, slowest ${Math.max(...ready).toFixed(0)} ms` },
      { name: `after kill -9: ${TURNS} unfinished turns at the model again`, unit: "ms", measured: median(goingOn), must, aim, floor: null, note: `from the new process's start to the last turn's request, by the stand-in's log; slowest ${Math.max(...goingOn).toFixed(0)} ms` },
    ];
  },
};

async function killOnce(): Promise<{ readyMs: number; goingOnMs: number }> {
  const home = makeHome();
  const standin = await spawnStandin();
  const settings = { ...settingsFor(standin.url, standin.url), "agents.defaults.maxConcurrent": TURNS };
  try {
    const first = await startGateway({ home, settings });
    for (let n = 0; n < TURNS; n++) await first.http.json<MessageAccepted>("POST", "/api/messages", { session: personSession(n), text: "! wait 60s then say late" });
    await untilInFlight(standin, TURNS);
    await first.kill();
    await untilInFlight(standin, 0);
    await standin.reset();

    const startedAt = Date.now();
    const second = await startGateway({ home });
    await untilInFlight(standin, TURNS);
    const arrivals = (await standin.log()).map((record) => record.arrivedAt);
    await second.kill();
    return { readyMs: second.readyMs, goingOnMs: Math.max(...arrivals) - startedAt };
  } finally {
    await standin.close();
    removeHome(home);
  }
}

async function untilInFlight(standin: SpawnedStandin, count: number): Promise<void> {
  while ((await standin.stats()).inFlight !== count) await sleep(systemClock, LOOK_MS);
}
