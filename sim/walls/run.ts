/**
 * Runs worlds of walls from the command line.
 *
 *     node sim/walls/run.ts --seeds 500 [--from N]      many worlds
 *     node sim/walls/run.ts --seed 123 [--trace]        one again
 *     node sim/walls/run.ts --sabotage [WORD]           each broken gateway until it is caught
 *
 * Exit code 1 when anything was violated, or a broken gateway was not caught.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../src/base/clock.ts";
import { WALL_SABOTAGES } from "./sabotages.ts";
import { runWalls, type WallSabotage } from "./world.ts";

/** A check that has not noticed by then is worthless. */
export const WALL_SEEDS_MAX = 300;

/** @returns how many seeds it took, and what was noticed; null = it survived them all. */
export async function catchWallSabotage(sabotage: WallSabotage, seedsMax = WALL_SEEDS_MAX): Promise<{ seeds: number; violation: string } | null> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violations } = await runWalls({ seed, sabotage });
    if (violations.length > 0) return { seeds: seed, violation: violations[0]! };
  }
  return null;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seeds: { type: "string", default: "100" }, from: { type: "string", default: "1" }, seed: { type: "string" }, trace: { type: "boolean", default: false }, sabotage: { type: "boolean", default: false } } });
  if (values.sabotage) {
    for (const sabotage of WALL_SABOTAGES.filter(({ name }) => positionals.every((word) => name.includes(word)))) {
      const caught = await catchWallSabotage(sabotage);
      process.stdout.write(`${caught === null ? `SURVIVES ${WALL_SEEDS_MAX}` : String(caught.seeds).padStart(4)}  ${sabotage.name} (${sabotage.breaks})${caught === null ? "" : `: ${caught.violation.slice(0, 140)}`}\n`);
      if (caught === null) process.exitCode = 1;
    }
  } else {
    const from = Number(values.seed ?? values.from);
    const count = values.seed === undefined ? Number(values.seeds) : 1;
    const startedMs = systemClock.monotonic();
    const sums = { requests: 0, refused: 0, parked: 0, processes: 0 };
    let virtualMs = 0;
    let failed = 0;
    for (let seed = from; seed < from + count; seed++) {
      const outcome = await runWalls({ seed, ...(values.trace ? { onTrace: (line: string) => void process.stdout.write(line) } : {}) });
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += outcome.counts[name];
      virtualMs += outcome.virtualMs;
      if (outcome.violations.length === 0) continue;
      failed++;
      process.stdout.write(`seed ${seed}: ${outcome.violations[0]}\n`);
    }
    const seconds = (systemClock.monotonic() - startedMs) / 1_000;
    process.stdout.write(`${count} worlds in ${seconds.toFixed(0)} s, ${(virtualMs / 3_600_000).toFixed(1)} hours simulated, ${sums.processes} processes, ${sums.requests} requests, ${sums.refused} refused, ${sums.parked} turns parked, ${failed} failed\n`);
    process.exitCode = failed > 0 ? 1 : 0;
  }
}
