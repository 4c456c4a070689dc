/**
 * "How long does customer 7 wait?", answered by the scheduler itself under a clock that jumps.
 *
 * The same request gives the same report, on any machine. Nothing leaves the process: no model, no
 * network, no disk.
 */
import { readRequest } from "./options.ts";
import { columnOf, type Column, type Report } from "./report.ts";
import { run, type Run } from "./run.ts";

export { reportText } from "./report-text.ts";
export type { Report } from "./report.ts";
export { timelineSvg } from "./timeline.ts";

/**
 * @param given  values by option name (see options.ts), and `compare`: a list of texts such as
 *               `"max-concurrent=8"` that each add a column.
 * @throws {Fault} BAD_REQUEST  `where` names the option.
 * @cost about 1 ms of this thread a turn; it breathes between moments of the simulated time.
 */
export async function simulate(given: Readonly<Record<string, unknown>>): Promise<Report> {
  const columns: Column[] = [];
  for (const variant of readRequest(given)) {
    const runs: Run[] = [];
    for (let n = 0; n < variant.plan.runs; n++) runs.push(await run(variant.plan, variant.plan.seed + n));
    columns.push(columnOf(variant, runs));
  }
  return { columns };
}
