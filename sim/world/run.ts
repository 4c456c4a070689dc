/**
 * Runs simulated worlds from the command line.
 *
 *     node sim/world/run.ts --seeds 5000 [--from N] [--seconds 600] [--processes 2] [--plans]     many worlds, or those of them that have plans; a failing one is made smaller
 *     node sim/world/run.ts --seed 123 [--actions 0,4,17] [--closely] [--trace]     one world again
 *
 * Exit code 1 when anything was violated.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/base/clock.ts";
import { hasPlans } from "./plans.ts";
import { shrink } from "./shrink.ts";
import { Tables } from "./tables.ts";
import { runWorld } from "./world.ts";

const PROGRESS_EVERY_MS = 10_000;
const MS_PER_DAY = 86_400_000;

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    seconds: { type: "string" },
    processes: { type: "string", default: "1" },
    seed: { type: "string" },
    actions: { type: "string" },
    closely: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    plans: { type: "boolean", default: false },
  },
});

process.exitCode = values.seed !== undefined ? await runOne(Number(values.seed)) : Number(values.processes) > 1 ? await shareOut(Number(values.processes)) : await runMany();

async function runOne(seed: number): Promise<number> {
  const keep = values.actions === undefined ? null : new Set(values.actions.split(",").filter((word) => word !== "").map(Number));
  const outcome = await runWorld({ seed, keep, closely: values.closely, ...(values.trace ? { onTrace: (line: string) => process.stdout.write(line) } : {}) });
  for (const violation of outcome.violations) process.stdout.write(`${violation}\n`);
  process.stdout.write(`seed ${seed}: ${outcome.violations.length} violations, ${days(outcome.virtualMs)} simulated, ${JSON.stringify(outcome.counts)}, trace ${outcome.trace.slice(0, 16)}\n`);
  return outcome.violations.length > 0 ? 1 : 0;
}

/** Each process runs a part of the seeds and tells of it itself. */
async function shareOut(processes: number): Promise<number> {
  const each = Math.ceil(Number(values.seeds ?? 1_000) / processes);
  const parts = Array.from({ length: processes }, (_, n) => {
    const range = ["--seeds", String(each), "--from", String(Number(values.from) + n * each), ...(values.seconds === undefined ? [] : ["--seconds", values.seconds]), ...(values.plans ? ["--plans"] : [])];
    return once(spawn(process.execPath, [fileURLToPath(import.meta.url), ...range], { stdio: ["ignore", "inherit", "inherit"] }), "close");
  });
  const codes = (await Promise.all(parts)).map(([code]) => Number(code ?? 1));
  return Math.max(...codes);
}

async function runMany(): Promise<number> {
  const tables = new Tables();
  const from = Number(values.from);
  const count = Number(values.seeds ?? 1_000);
  const startedMs = systemClock.monotonic();
  const untilMs = values.seconds === undefined ? Infinity : startedMs + Number(values.seconds) * 1_000;
  const sums = { worlds: 0, virtualMs: 0, turns: 0, children: 0, processes: 0, batches: 0, events: 0 };
  let failed = 0;
  let toldMs = startedMs;
  let seed = from;
  for (; seed < from + count && systemClock.monotonic() < untilMs; seed++) {
    if (values.plans && !hasPlans(seed)) continue;
    const { violations, virtualMs, counts } = await runWorld({ seed, tables });
    sums.worlds++;
    sums.virtualMs += virtualMs;
    for (const name of ["turns", "children", "processes", "batches", "events"] as const) sums[name] += counts[name];
    if (violations.length > 0) {
      failed++;
      await tellFailure(seed, violations);
    }
    if (systemClock.monotonic() - toldMs > PROGRESS_EVERY_MS) {
      toldMs = systemClock.monotonic();
      process.stdout.write(`${summary()}\n`);
    }
    // Signals and timers of the real process get their moment.
    await new Promise((resolve) => setImmediate(resolve));
  }
  tables.close();
  process.stdout.write(`${summary()}\nseeds ${from} to ${seed - 1}\n`);
  return failed > 0 ? 1 : 0;

  function summary(): string {
    const seconds = (systemClock.monotonic() - startedMs) / 1_000;
    return `${sums.worlds} worlds in ${seconds.toFixed(0)} s (${(sums.worlds / seconds).toFixed(1)}/s), ${days(sums.virtualMs)} simulated, ${sums.processes} processes, ${sums.turns} turns, ${sums.children} children, ${sums.batches} batches, ${sums.events} events, ${failed} failed`;
  }
}

async function tellFailure(seed: number, violations: readonly string[]): Promise<void> {
  const actions = await shrink({ seed });
  process.stdout.write(`seed ${seed}: ${violations[0]}\n  node sim/world/run.ts --seed ${seed} --actions ${actions.join(",") || '""'}\n`);
}

function days(ms: number): string {
  return `${(ms / MS_PER_DAY).toFixed(2)} days`;
}
