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
const DAY_MS = 24 * HOUR_MS;
/** Jobs that come due while it is measured, and how far apart. */
const DUE = 200;
const APART_MS = 50;
/** From the first call that makes them until the first of them is due. */
const LEAD_MS = 10_000;
const IDLE_MS = 20_000;
const SETTLE_MS = 5_000;
const ASKED_AT_ONCE = 20;

export const jobs: Bench = {
  name: "jobs",
  question: "What do ten thousand jobs cost, and how late is a job run?",
  async run({ quick }: BenchOptions): Promise<Row[]> {
    const idleMs = quick ? IDLE_MS / 4 : IDLE_MS;
    const home = makeHome();
    // None of them due while it is measured, and each within its step.
    await fill(home, Date.now() + HOUR_MS / 2);
    const empty = await startGateway();
    await empty.stop();
    const setBack = await startSetBack();
    const gateway = await startGateway({ home });
    await sleep(systemClock, SETTLE_MS);
    const cpuBefore = cpuMs(gateway.pid);
    const wallBefore = performance.now();
    await sleep(systemClock, idleMs);
    const idleCpuMs = ((cpuMs(gateway.pid) - cpuBefore) / (performance.now() - wallBefore)) * 1000;

    const from = Date.now() + LEAD_MS;
    const due = Array.from({ length: DUE }, (_none, n) => `due${n}`);
    await inGroups(due, (name, n) => gateway.http.json("POST", "/api/jobs", { name, schedule: { kind: "at", at: from + n * APART_MS }, payload: { kind: "agentTurn", message: "hello" }, delivery: "none" }));
    await sleep(systemClock, from + DUE * APART_MS + SETTLE_MS - Date.now());
    const lists = await inGroups(due, (name) => gateway.http.json<JobRunList>("GET", `/api/jobs/${name}/runs`));
    const late = lists.flatMap(({ runs }) => runs.map((run) => run.firedAt - run.scheduledFor));
    await gateway.stop();
    removeHome(home);
    if (late.length !== DUE) throw new Error(`${late.length} of ${DUE} jobs were run`);
    return [
      { name: `start to ready, ${JOBS} jobs`, unit: "ms", measured: gateway.readyMs, must: 1_000, aim: 500, floor: empty.readyMs, note: "floor: no jobs" },
      { name: `start to ready, ${JOBS} jobs, clock set back`, unit: "ms", measured: setBack, must: 1_000, aim: 500, floor: empty.readyMs, note: "by two days while no gateway ran: each job gets another next moment" },
      { name: `idle CPU per second, ${JOBS} jobs`, unit: "ms", measured: idleCpuMs, must: 10, aim: 5, floor: null, note: `over ${idleMs / 1000} s; 10 ms are 1 %` },
      { name: "a job is run late by, p50", unit: "ms", measured: median(late), must: null, aim: null, floor: null, note: `${DUE} jobs, one every ${APART_MS} ms, each a whole turn` },
      { name: "a job is run late by, p99", unit: "ms", measured: p99(late), must: 50, aim: 20, floor: null, note: "" },
    ];
  },
};

function fill(home: string, from: number): Promise<void> {
  return fillJobs(home, Array.from({ length: JOBS }, (_none, n) => ({ spec: specOf(`job${n}`), at: from + n })));
}

async function startSetBack(): Promise<number> {
  const home = makeHome();
  await fill(home, Date.now() + 2 * DAY_MS);
  const gateway = await startGateway({ home });
  await gateway.stop();
  removeHome(home);
  return gateway.readyMs;
}

async function inGroups<T>(names: readonly string[], ask: (name: string, n: number) => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let n = 0; n < names.length; n += ASKED_AT_ONCE) answers.push(...(await Promise.all(names.slice(n, n + ASKED_AT_ONCE).map((name, i) => ask(name, n + i)))));
  return answers;
}

function specOf(name: string): JobSpec {
  return {
    name, agent: "main", schedule: { kind: "every", everyMs: HOUR_MS }, payload: { kind: "agentTurn", message: "hello", model: null }, target: { kind: "isolated" },
    misfire: { policy: "latest", graceMs: HOUR_MS }, overlap: "skip", staggerMs: 0, activeHours: null, delivery: { mode: "none" },
  };
}
