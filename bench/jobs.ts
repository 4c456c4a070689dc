/** What do ten thousand jobs cost, and how late is a job run? */
import { sleep, systemClock } from "../src/base/clock.ts";
import type { JobSpec } from "../src/model/job.ts";
import type { JobRunList } from "../src/api/wire.ts";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { fillJobs } from "./support/fill-store.ts";
import { makeHome, removeHome, startGateway } from "./support/gateway.ts";
import { median, p99 } from "./support/percentiles.ts";
import { cpuMs } from "./support/process-usage.ts";

const JOBS = 10_000;
const HOUR_MS = 3_600_000;
/** Jobs that come due while it is measured, and how far apart. */
const DUE = 200;
const APART_MS = 50;
/** From filling to the first of them: the start and a look at an idle gateway lie in between. */
const IDLE_MS = 20_000;
const LEAD_MS = 10_000;
const SETTLE_MS = 3_000;
const JOBS_ASKED_AT_ONCE = 20;

export const jobs: Bench = {
  name: "jobs",
  question: "What do ten thousand jobs cost, and how late is a job run?",
  async run({ quick }: BenchOptions): Promise<Row[]> {
    const idleMs = quick ? IDLE_MS / 4 : IDLE_MS;
    const home = makeHome();
    const from = Date.now() + LEAD_MS + SETTLE_MS + idleMs;
    const names = Array.from({ length: JOBS }, (_none, n) => `job${n}`);
    await fillJobs(home, names.map((name, n) => ({ spec: specOf(name), at: n < DUE ? from + n * APART_MS : from + HOUR_MS + n })));
    const empty = await startGateway();
    await empty.stop();
    const gateway = await startGateway({ home });
    await sleep(systemClock, SETTLE_MS);
    const cpuBefore = cpuMs(gateway.pid);
    const wallBefore = performance.now();
    await sleep(systemClock, idleMs);
    const idleCpuMs = ((cpuMs(gateway.pid) - cpuBefore) / (performance.now() - wallBefore)) * 1000;
    await sleep(systemClock, from + DUE * APART_MS + SETTLE_MS - Date.now());
    const late: number[] = [];
    for (let n = 0; n < DUE; n += JOBS_ASKED_AT_ONCE) {
      const lists = await Promise.all(names.slice(n, n + JOBS_ASKED_AT_ONCE).map((name) => gateway.http.json<JobRunList>("GET", `/api/jobs/${name}/runs`)));
      for (const { runs } of lists) for (const run of runs) late.push(run.firedAt - run.scheduledFor);
    }
    await gateway.stop();
    removeHome(home);
    if (late.length !== DUE) throw new Error(`${late.length} of ${DUE} jobs were run`);
    return [
      { name: `start to ready, ${JOBS} jobs`, unit: "ms", measured: gateway.readyMs, must: 1_000, aim: 500, floor: empty.readyMs, note: "floor: no jobs" },
      { name: `idle CPU per second, ${JOBS} jobs`, unit: "ms", measured: idleCpuMs, must: 10, aim: 5, floor: null, note: `over ${idleMs / 1000} s; 10 ms are 1 %` },
      { name: "a job is run late by, p50", unit: "ms", measured: median(late), must: null, aim: null, floor: null, note: `${DUE} jobs, one every ${APART_MS} ms, each a whole turn` },
      { name: "a job is run late by, p99", unit: "ms", measured: p99(late), must: 50, aim: 20, floor: null, note: "" },
    ];
  },
};

function specOf(name: string): JobSpec {
  return {
    name, agent: "main", schedule: { kind: "every", everyMs: HOUR_MS }, payload: { kind: "agentTurn", message: "hello", model: null }, target: { kind: "isolated" },
    misfire: { policy: "latest", graceMs: HOUR_MS }, overlap: "skip", staggerMs: 0, activeHours: null, delivery: { mode: "none" },
  };
}
