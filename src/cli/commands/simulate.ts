/** `yard simulate`: how long would people wait? Needs no gateway. */
import { writeFile } from "node:fs/promises";
import { Option, type Command } from "commander";
import { flagOf, OPTIONS } from "../../../sim/options.ts";
import { Fault } from "../../model/faults.ts";
import type { Cli } from "../command.ts";
import { wrongUse } from "../failure.ts";
import { say, sayJson } from "../terminal.ts";

interface Asked {
  readonly svg?: string;
  readonly json?: boolean;
  readonly [option: string]: unknown;
}

export function register(parent: Command, cli: Cli): void {
  const command = parent
    .command("simulate")
    .description("say how long people would wait, by running the gateway's own scheduler under a clock that jumps")
    .addHelpText(
      "after",
      `
A turn does nothing here but take its time; who runs when is decided by the code that the gateway
runs. Names in brackets are the gateway's settings. --rpm models the provider's limit, not the gateway.

Examples:
  yard simulate --customers 7 --turn 5s --max-concurrent 4
  yard simulate --customers 20 --spawn 1 --child-turn 20s --rpm 15
  yard simulate --customers 55 --arrivals uniform:60s --turn lognormal:5s,0.5 --compare max-concurrent=8 --svg wait.svg`,
    );
  for (const [name, { value, doc, fallback }] of Object.entries(OPTIONS)) {
    // The fallback is shown, not given: what was not asked for must not stand in the report as asked.
    command.addOption(new Option(`--${flagOf(name)}${value === null ? "" : ` ${value}`}`, value === null ? doc : `${doc} (default ${fallback})`));
  }
  command
    .option("--compare <changes>", 'a second column with these changes, e.g. "max-concurrent=8 turn=3s"; may be given several times', (text: string, before: readonly string[] = []) => [...before, text])
    .option("--svg <file>", "write a picture of the first run: waiting light, running dark, side tracks hatched, children indented")
    .option("--json", "print every message, lane and sum")
    .action(async ({ svg, json, ...given }: Asked) => {
      const { reportText, simulate, timelineSvg } = await import("../../../sim/simulate.ts");
      const report = await simulate(given).catch(asWrongUse);
      if (svg !== undefined) await writeFile(svg, timelineSvg(report)).catch((cause: Error) => wrongUse(`--svg: ${svg} cannot be written (${cause.message})`));
      if (json) return sayJson(cli.terminal, report);
      say(cli.terminal, reportText(report));
    });
}

function asWrongUse(thrown: unknown): never {
  if (thrown instanceof Fault && thrown.code === "BAD_REQUEST") wrongUse(`--${thrown.message}`);
  throw thrown;
}
