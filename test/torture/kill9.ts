/**
 * kill -9 under load, again and again, at seeded moments after the gateway was ready and now and then before.
 *
 *     node test/torture/kill9.ts --kills 200 --seed 1 [--foreground MS] [--keep]
 *
 * What must hold afterwards stands in ordeal.ts.
 */
import { parseArgs } from "node:util";
import { ordeal, pause, type OrdealOptions, type OrdealReport } from "./ordeal.ts";

const KILL_AFTER_MIN_MS = 20;
const KILL_AFTER_MAX_MS = 800;
/** One kill in so many comes while the gateway starts. */
const KILL_AT_START_ONE_IN = 10;
const KILL_AT_START_MAX_MS = 450;

export function killAtRandom(kills: number, options: OrdealOptions): Promise<OrdealReport> {
  return ordeal(options, async ({ gateway, random, start, live }) => {
    await start();
    for (let kill = 1; kill <= kills; kill++) {
      const life = live();
      await pause(KILL_AFTER_MIN_MS + random() * (KILL_AFTER_MAX_MS - KILL_AFTER_MIN_MS));
      await gateway.kill9();
      await life;
      if (random() < 1 / KILL_AT_START_ONE_IN) {
        gateway.launch();
        await pause(random() * KILL_AT_START_MAX_MS);
        await gateway.kill9();
      }
      await start();
    }
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: "1" }, foreground: { type: "string" }, keep: { type: "boolean", default: false } } });
  const report = await killAtRandom(Number(values.kills), { seed: Number(values.seed), ...(values.foreground === undefined ? {} : { foregroundMs: Number(values.foreground) }), keep: values.keep });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
