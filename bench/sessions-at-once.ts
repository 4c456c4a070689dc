/** Many people write at the same moment to a model that takes a second: when has the last one an answer? */
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { median } from "./support/percentiles.ts";
import { memoryOf } from "./support/process-usage.ts";
import { withYard, type Yard } from "./support/yard.ts";

const MODEL_MS = 1_000;

export const sessionsAtOnce: Bench = {
  name: "sessions-at-once",
  question: "Many people write at the same moment to a model that takes a second: when has the last one an answer?",
  async run(options: BenchOptions): Promise<Row[]> {
    const times = options.quick ? 1 : 3;
    const hundred = await withYard(options, { "agents.defaults.maxConcurrent": 100 }, (yard) => allAtOnce(yard, 100, times));
    const thousand = await withYard(options, { "agents.defaults.maxConcurrent": 1_000 }, (yard) => allAtOnce(yard, 1_000, times));
    return [
      { name: "100 sessions at once, 1 s model", unit: "ms", measured: hundred.lastMs, must: 1_150, aim: 1_050, floor: hundred.floorMs, note: `median of ${times}; floor: 100 straight calls at once` },
      { name: "1000 sessions at once, 1 s model", unit: "ms", measured: thousand.lastMs, must: 2_000, aim: 1_300, floor: thousand.floorMs, note: `median of ${times}; floor: 1000 straight calls at once` },
      { name: "memory at 1000 sessions (peak RSS)", unit: "MB", measured: thousand.peakMb, must: 250, aim: 150, floor: null, note: `PSS afterwards ${thousand.pssMb.toFixed(0)} MB` },
    ];
  },
};

async function allAtOnce(yard: Yard, sessions: number, times: number): Promise<{ lastMs: number; floorMs: number; peakMb: number; pssMb: number }> {
  await yard.standin.configure({ totalMs: MODEL_MS });
  const lasts: number[] = [];
  const floors: number[] = [];
  for (let round = 0; round < times; round++) {
    floors.push(await last(sessions, () => yard.floor.call()));
    lasts.push(await last(sessions, (n) => yard.turn(`agent:main:bench:direct:r${round}n${n}`, "hello")));
  }
  const { peakRssMb, pssMb } = memoryOf(yard.gateway.pid);
  return { lastMs: median(lasts), floorMs: median(floors), peakMb: peakRssMb, pssMb };
}

/** Does all at once. @returns milliseconds until the last is done. */
async function last(count: number, act: (n: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: count }, (_, n) => act(n)));
  return performance.now() - startedAt;
}
