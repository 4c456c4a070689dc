/** How many turns does the gateway get through in a second? */
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { cpuMs, memoryOf } from "./support/process-usage.ts";
import { personSession, withYard, type Yard } from "./support/yard.ts";

const SESSIONS_PER_CLIENT = 20;
const CLIENTS = [8, 32];

export const turnsPerSecond: Bench = {
  name: "turns-per-second",
  question: "How many turns does the gateway get through in a second?",
  run(options: BenchOptions): Promise<Row[]> {
    const turns = options.quick ? 400 : 4_000;
    return withYard(options, { "agents.defaults.maxConcurrent": Math.max(...CLIENTS) }, async (yard) => {
      await rate(Math.max(...CLIENTS), turns / 4, (client, n) => yard.turn(sessionOf(client, n), "hello"));
      const rows: Row[] = [];
      for (const clients of CLIENTS) rows.push(...(await measure(yard, clients, turns)));
      const { rssMb, pssMb, peakRssMb } = memoryOf(yard.gateway.pid);
      rows.push({ name: "memory after that (RSS)", unit: "MB", measured: rssMb, must: null, aim: null, floor: null, note: `PSS ${pssMb.toFixed(0)} MB, peak RSS ${peakRssMb.toFixed(0)} MB` });
      return rows;
    });
  },
};

async function measure(yard: Yard, clients: number, turns: number): Promise<Row[]> {
  const floor = await rate(clients, turns / 4, () => yard.floor.call());
  const cpuBefore = cpuMs(yard.gateway.pid);
  const measured = await rate(clients, turns, (client, n) => yard.turn(sessionOf(client, n), "hello"));
  const cpu = (cpuMs(yard.gateway.pid) - cpuBefore) / turns;
  return [
    { name: `turns per second, ${clients} clients`, unit: "/s", measured, must: 300, aim: 1_000, floor, note: `${turns} turns, ${clients * SESSIONS_PER_CLIENT} sessions; floor: model calls per second made straight` },
    { name: `CPU per turn, ${clients} clients`, unit: "ms", measured: cpu, must: 6, aim: 2, floor: null, note: "all threads of the gateway" },
  ];
}

function sessionOf(client: number, n: number): string {
  return personSession(client * SESSIONS_PER_CLIENT + (n % SESSIONS_PER_CLIENT));
}

/** Each client does one thing after another until all are done. @returns things per second. */
async function rate(clients: number, count: number, act: (client: number, n: number) => Promise<unknown>): Promise<number> {
  const each = Math.ceil(count / clients);
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let n = 0; n < each; n++) await act(client, n);
    }),
  );
  return (each * clients * 1000) / (performance.now() - startedAt);
}
