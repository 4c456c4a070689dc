/** Does the gateway stay responsive while it streams 100 answers? */
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { cpuMs } from "./support/process-usage.ts";
import { personSession, withYard } from "./support/yard.ts";

const SESSIONS = 100;
const PIECES = 160;
/** Each piece is an event of its own: 160 of 25 characters, one every 12 ms: 4000 characters in about 2 s. */
const SCRIPT = `! slow 12ms then ${Array.from({ length: PIECES }, () => "say some words of an answer,").join(" then ")}`;

export const eventLoop: Bench = {
  name: "event-loop",
  question: "Does the gateway stay responsive while it streams 100 answers?",
  run(options: BenchOptions): Promise<Row[]> {
    const rounds = options.quick ? 1 : 4;
    return withYard(options, { "agents.defaults.maxConcurrent": SESSIONS, "agents.defaults.model": "chat/standin" }, async ({ gateway, events, turn }) => {
      let deltas = 0;
      events.on("text.delta", () => deltas++);
      const delays: number[] = [];
      const startedAt = performance.now();
      const cpuBefore = cpuMs(gateway.pid);
      for (let round = 0; round < rounds; round++) {
        await gateway.loopDelayP99Ms();
        await Promise.all(Array.from({ length: SESSIONS }, (_, n) => turn(personSession(n), SCRIPT)));
        delays.push(await gateway.loopDelayP99Ms());
      }
      const seconds = (performance.now() - startedAt) / 1000;
      const busy = (cpuMs(gateway.pid) - cpuBefore) / seconds / 1000;
      const note = `worst of ${rounds}; ${(deltas / seconds).toFixed(0)} text deltas per second to one reader, gateway busy ${(busy * 100).toFixed(0)} % of one core`;
      return [{ name: `event loop delay, ${SESSIONS} sessions streaming, p99`, unit: "ms", measured: Math.max(...delays), must: 50, aim: 20, floor: null, note }];
    });
  },
};
