/**
 * Fuzzes for as long as asked: `node test/fuzz/run.ts --runs 2000000 --seed 1 [--target name]...`
 * and one input again: `node test/fuzz/run.ts --target name --replay SEED:PATH`.
 *
 * Runs are shared out by each target's share. One line per target; exits with 1 when anything failed.
 */
import { parseArgs } from "node:util";
import { drive, replay } from "./drive.ts";
import { TARGETS } from "./targets.ts";
import { startWatchdog } from "./watchdog.ts";

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    target: { type: "string", multiple: true, default: [] },
    replay: { type: "string" },
  },
});

const unknown = options.target.find((name) => !TARGETS.some((target) => target.name === name));
if (unknown !== undefined) {
  process.stderr.write(`no target ${unknown}; there are: ${TARGETS.map(({ name }) => name).join(", ")}\n`);
  process.exit(2);
}
const wanted = TARGETS.filter(({ name }) => options.target.length === 0 || options.target.includes(name));

if (options.replay === undefined) await fuzz();
else await again(options.replay);

async function fuzz(): Promise<void> {
  const shares = wanted.reduce((sum, { share }) => sum + share, 0);
  const watchdog = startWatchdog();
  let runs = 0;
  let failures = 0;
  const startedAt = performance.now();
  for (const target of wanted) {
    const report = await drive(target, {
      runs: Math.ceil((Number(options.runs) * target.share) / shares),
      seed: Number(options.seed),
      onBatch: (seed) => watchdog.watch(target.name, seed),
      onRun: () => watchdog.beat(),
    });
    runs += report.runs;
    failures += report.failures.length;
    const rate = Math.round(report.runs / (report.ms / 1000));
    const { slowest } = report;
    print(`${report.failures.length === 0 ? "ok  " : "FAIL"}  ${target.name.padEnd(22)} ${String(report.runs).padStart(8)} runs  ${String(rate).padStart(7)}/s  slowest ${slowest.ms.toFixed(1)} ms for ${slowest.bytes} bytes  heap peak +${megabytes(report.peakBytes)}, left +${megabytes(report.leftBytes)} MB`);
    for (const failure of report.failures) {
      print(`      ${failure.problem}\n      input: ${failure.input}`);
      if (failure.replay !== "") print(`      again: node test/fuzz/run.ts --target ${target.name} --replay ${failure.replay}`);
    }
  }
  watchdog.stop();
  print(`${runs} inputs in ${Math.round((performance.now() - startedAt) / 1000)} s, seed ${options.seed}, ${failures} failures`);
  process.exitCode = failures === 0 ? 0 : 1;
}

async function again(at: string): Promise<void> {
  if (wanted.length !== 1) {
    process.stderr.write("name the one target: --target NAME --replay SEED:PATH\n");
    process.exit(2);
  }
  const { input, problem, stack } = await replay(wanted[0]!, at);
  print(problem === null ? "it holds" : `input: ${input}\n${stack}`);
  process.exitCode = problem === null ? 0 : 1;
}

function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
