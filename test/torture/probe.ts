/** Loaded into a gateway by `--import`: writes what it holds to PROBE_FILE every second, a line of JSON each. */
import { appendFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

const EVERY_MS = 1_000;
const NS_PER_MS = 1e6;

const file = process.env.PROBE_FILE;
if (isMainThread && file !== undefined) {
  const loop = monitorEventLoopDelay({ resolution: 10 });
  loop.enable();
  setInterval(() => {
    const resources = process.getActiveResourcesInfo();
    const line = { timers: resources.filter((name) => name === "Timeout").length, heapMb: process.memoryUsage().heapUsed / 2 ** 20, loopP99Ms: loop.percentile(99) / NS_PER_MS };
    loop.reset();
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  }, EVERY_MS).unref();
}
