/** What does the gateway itself add to a turn, in time and in CPU? */
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { median, p99 } from "./support/percentiles.ts";
import { cpuMs } from "./support/process-usage.ts";
import { personSession, withYard } from "./support/yard.ts";

const SESSIONS = 50;

export const turnTime: Bench = {
  name: "turn-time",
  question: "What does the gateway itself add to a turn, in time and in CPU?",
  run(options: BenchOptions): Promise<Row[]> {
    const turns = options.quick ? 150 : 1_000;
    return withYard(options, {}, async (yard) => {
      const whole: number[] = [];
      const straight: number[] = [];
      const cpuBefore = cpuMs(yard.gateway.pid);
      for (let n = 0; n < turns; n++) {
        whole.push(await yard.turn(personSession(n % SESSIONS), `hello ${n}`));
        straight.push(await yard.floor.call());
      }
      const cpu = (cpuMs(yard.gateway.pid) - cpuBefore) / turns;
      const floor = median(straight);
      const own = whole.map((ms) => ms - floor);
      const note = `${turns} turns one after another, from the POST to the reply, less the median of the same model calls made straight (the floor)`;
      return [
        { name: "gateway's own time per turn, p50", unit: "ms", measured: median(own), must: 5, aim: 2, floor, note },
        { name: "gateway's own time per turn, p99", unit: "ms", measured: p99(own), must: 20, aim: 8, floor: p99(straight), note: "floor: p99 of the straight calls" },
        { name: "CPU per turn, one after another", unit: "ms", measured: cpu, must: 6, aim: 2, floor: null, note: "all threads of the gateway; nothing shares a commit" },
      ];
    });
  },
};
