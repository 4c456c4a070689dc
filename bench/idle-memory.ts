/** How much memory does a gateway hold that has nothing to do? */
import { spawn } from "node:child_process";
import { sleep, systemClock } from "../src/base/clock.ts";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { startGateway } from "./support/gateway.ts";
import { memoryOf } from "./support/process-usage.ts";

/** After this long everything that follows a start is done: V8 gives back what loading left behind after some 9 s. */
const SETTLE_MS = 15_000;

export const idleMemory: Bench = {
  name: "idle-memory",
  question: "How much memory does a gateway hold that has nothing to do?",
  async run({ quick }: BenchOptions): Promise<Row[]> {
    const bare = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore", env: {} });
    const gateway = await startGateway();
    await sleep(systemClock, quick ? SETTLE_MS / 5 : SETTLE_MS);
    const idle = memoryOf(gateway.pid);
    const floor = memoryOf(bare.pid!);
    bare.kill();
    await gateway.stop();
    return [
      { name: "idle memory (RSS)", unit: "MB", measured: idle.rssMb, must: 120, aim: 80, floor: floor.rssMb, note: `PSS ${idle.pssMb.toFixed(0)} MB; floor: a Node process that waits, PSS ${floor.pssMb.toFixed(0)} MB` },
    ];
  },
};
