/** How soon does a caller who spawns a child go on? */
import type { SpawnAccepted } from "../src/api/wire.ts";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { median, p99 } from "./support/percentiles.ts";
import { withYard } from "./support/yard.ts";

export const spawn: Bench = {
  name: "spawn",
  question: "How soon does a caller who spawns a child go on?",
  run(options: BenchOptions): Promise<Row[]> {
    const spawns = options.quick ? 50 : 500;
    return withYard(options, {}, async ({ gateway, standin, events }) => {
      const times: number[] = [];
      const floors: number[] = [];
      for (let n = 0; n < spawns; n++) {
        const ended = new Promise<void>((resolve) => events.on("task.ended", () => resolve()));
        const startedAt = performance.now();
        await gateway.http.json<SpawnAccepted>("POST", "/api/spawns", { task: `hello ${n}` });
        times.push(performance.now() - startedAt);
        await ended;
        const floorAt = performance.now();
        await standin.stats();
        floors.push(performance.now() - floorAt);
      }
      const note = `${spawns} calls of POST /api/spawns, each after the last child's end; floor: an HTTP request that writes nothing`;
      return [
        { name: "spawn call to accepted, p50", unit: "ms", measured: median(times), must: 5, aim: 2, floor: median(floors), note },
        { name: "spawn call to accepted, p99", unit: "ms", measured: p99(times), must: null, aim: null, floor: p99(floors), note: "" },
      ];
    });
  },
};
