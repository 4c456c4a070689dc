/** Somebody asks a quick question while 100 children of the same session work: how long does the gateway keep them waiting? */
import { sleep, systemClock } from "../src/base/clock.ts";
import type { SpawnAccepted } from "../src/api/wire.ts";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { median, p99 } from "./support/percentiles.ts";
import { withYard } from "./support/yard.ts";

const CHILDREN = 100;
const CHILD_MS = 3_000;
const PAUSE_MS = 10;
const SESSION = "agent:main:main";
const SETTINGS = { "agents.defaults.subagents.maxConcurrent": CHILDREN, "agents.defaults.subagents.maxChildrenPerAgent": CHILDREN };

export const quickQuestion: Bench = {
  name: "quick-question",
  question: "Somebody asks a quick question while 100 children of the same session work: how long does the gateway keep them waiting?",
  run(options: BenchOptions): Promise<Row[]> {
    const lastMs = options.quick ? 4_000 : 20_000;
    return withYard(options, SETTINGS, async ({ gateway, events, floor, turn }) => {
      const startedAt = performance.now();
      const spawn = (ms: number): Promise<SpawnAccepted> => gateway.http.json("POST", "/api/spawns", { parent: SESSION, task: `! wait ${ms}ms then say done` });
      let ended = 0;
      let refused: unknown = null;
      await turn(SESSION, "hello");
      // As each child ends the next begins, so there are always as many at work; the first are of all lengths, so that ends are spread evenly.
      events.on("task.ended", () => {
        ended++;
        spawn(CHILD_MS).catch((cause: unknown) => (refused = cause));
      });
      await Promise.all(Array.from({ length: CHILDREN }, (_, n) => spawn(((n + 1) * CHILD_MS) / CHILDREN)));

      const asked: number[] = [];
      const straight: number[] = [];
      while (performance.now() - startedAt < lastMs) {
        asked.push(await turn(SESSION, `how are you, for the time number ${asked.length}?`));
        straight.push(await floor.call());
        await sleep(systemClock, PAUSE_MS);
      }
      if (refused !== null) throw refused;
      const floorMs = median(straight);
      const own = asked.map((ms) => ms - floorMs);
      const note = `${asked.length} questions while ${CHILDREN} children at a time took ${CHILD_MS / 1000} s each (${ended} ended); time over that of a straight call`;
      return [
        { name: "quick question while 100 children work, p99", unit: "ms", measured: p99(own), must: 50, aim: 20, floor: p99(straight), note },
        { name: "quick question while 100 children work, p50", unit: "ms", measured: median(own), must: null, aim: null, floor: floorMs, note: "" },
      ];
    });
  },
};
