/**
 * SIGSTOP under load, again and again, at seeded moments and for seeded times, as a laptop that sleeps or a
 * machine that swaps. Now and then a second gateway tries to take the home meanwhile, and is refused; now
 * and then the one that stands still is killed where it stands.
 *
 *     node test/torture/standstill.ts --stops 100 --seed 1 [--keep]
 *
 * What must hold afterwards stands in ordeal.ts.
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { Gateway } from "../support/gateway.ts";
import { ordeal, pause, type OrdealOptions, type OrdealReport } from "./ordeal.ts";

const AWAKE_MIN_MS = 50;
const AWAKE_MAX_MS = 800;
/** Most standstills are short; some are longer than what holds a connection, a lock or a deadline together. */
const STILL_MS = { short: 300, long: 6_000 };
const LONG_ONE_IN = 5;
const RIVAL_ONE_IN = 10;
const KILLED_ONE_IN = 8;

export function standStill(stops: number, options: OrdealOptions): Promise<OrdealReport> {
  return ordeal(options, async ({ gateway, random, start, live }) => {
    const oneIn = (n: number): boolean => random() < 1 / n;
    await start();
    let life = live();
    for (let stop = 1; stop <= stops; stop++) {
      await pause(AWAKE_MIN_MS + random() * (AWAKE_MAX_MS - AWAKE_MIN_MS));
      process.kill(gateway.pid, "SIGSTOP");
      await pause(random() * (oneIn(LONG_ONE_IN) ? STILL_MS.long : STILL_MS.short));
      if (oneIn(RIVAL_ONE_IN)) await assert.rejects(new Gateway({ home: gateway.home }).start(), /STATE_DIR_HELD/);
      if (!oneIn(KILLED_ONE_IN)) {
        process.kill(gateway.pid, "SIGCONT");
        continue;
      }
      await gateway.kill9();
      await life;
      await start();
      life = live();
    }
    await pause(AWAKE_MAX_MS);
    await gateway.kill9();
    await life;
    await start();
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { stops: { type: "string", default: "100" }, seed: { type: "string", default: "1" }, keep: { type: "boolean", default: false } } });
  const report = await standStill(Number(values.stops), { seed: Number(values.seed), keep: values.keep });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
