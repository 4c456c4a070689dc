/**
 * Runs the benches: `node bench/run.ts [name...] [--quick] [--profile FOLDER]`.
 *
 * Without names it runs all, and writes RESULTS.md unless they were quick. Exit code 1 when
 * anything is worse than it must be.
 */
import { parseArgs } from "node:util";
import { childEnd } from "./child-end.ts";
import { childrenAtOnce } from "./children-at-once.ts";
import { eventLoop } from "./event-loop.ts";
import { growth } from "./growth.ts";
import { idleMemory } from "./idle-memory.ts";
import { jobs } from "./jobs.ts";
import { quickQuestion } from "./quick-question.ts";
import { recovery } from "./recovery.ts";
import { sessionsAtOnce } from "./sessions-at-once.ts";
import { spawn } from "./spawn.ts";
import { start } from "./start.ts";
import { meetsMust, type Bench, type Row } from "./support/bench.ts";
import { lineOf, writeResults } from "./support/results.ts";
import { watchMachine, type LostTime } from "../test/support/machine-load.ts";
import { turnTime } from "./turn-time.ts";
import { turnsPerSecond } from "./turns-per-second.ts";

const BENCHES: readonly Bench[] = [start, idleMemory, turnTime, turnsPerSecond, sessionsAtOnce, spawn, childEnd, childrenAtOnce, quickQuestion, recovery, eventLoop, growth, jobs];
/** Less stolen processor time than this is noise. */
const STOLEN_PART_MIN = 0.03;
/** A bench that takes longer hangs. */
const BENCH_MS_MAX = 300_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, profile: { type: "string" }, help: { type: "boolean", default: false } },
});

if (values.help) {
  console.log("node bench/run.ts [name...] [--quick] [--profile FOLDER]\n");
  for (const { name, question } of BENCHES) console.log(`${name.padEnd(18)} ${question}`);
} else {
  // An ordinary exit takes the gateways along; a signal alone would leave them.
  process.once("SIGINT", () => process.exit(1)).once("SIGTERM", () => process.exit(1));
  const rows: Row[] = [];
  let failed = false;
  for (const bench of chosen()) {
    try {
      const lostSince = watchMachine();
      const found = noted(await inTime(bench), lostSince);
      for (const row of found) console.log(lineOf(row));
      rows.push(...found);
    } catch (cause) {
      failed = true;
      console.error(`${bench.name} failed:`, cause);
    }
  }
  if (positionals.length === 0 && !values.quick && values.profile === undefined && !failed) writeResults(rows);
  process.exit(!failed && rows.every(meetsMust) ? 0 : 1);
}

/** Says with each figure how much of the processor the machine did not get while it was measured. */
function noted(rows: readonly Row[], lostSince: () => LostTime): Row[] {
  const { stolen } = lostSince();
  if (stolen < STOLEN_PART_MIN) return [...rows];
  const note = `the host kept ${Math.round(stolen * 100)} % of the processor time`;
  return rows.map((row) => ({ ...row, note: row.note === "" ? note : `${row.note}; ${note}` }));
}

/** Runs one bench; one that hangs ends everything, because its processes would spoil the figures of the next. */
async function inTime(bench: Bench): Promise<Row[]> {
  const hangs = setTimeout(() => {
    console.error(`${bench.name} did not end within ${BENCH_MS_MAX / 1000} s`);
    process.exit(1);
  }, BENCH_MS_MAX);
  try {
    return await bench.run({ quick: values.quick, profileInto: values.profile ?? null });
  } finally {
    clearTimeout(hangs);
  }
}

function chosen(): readonly Bench[] {
  const unknown = positionals.find((name) => BENCHES.every((bench) => bench.name !== name));
  if (unknown === undefined) return positionals.length === 0 ? BENCHES : BENCHES.filter((bench) => positionals.includes(bench.name));
  console.error(`there is no bench ${unknown}; there are: ${BENCHES.map((bench) => bench.name).join(", ")}`);
  process.exit(2);
}
