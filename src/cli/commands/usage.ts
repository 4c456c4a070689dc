/** `yard usage`: what was used, and what it cost. */
import { InvalidArgumentError, Option, type Command } from "commander";
import type { ApiUsage, UsageAnswer } from "../../api/wire.ts";
import { asJson, wholeNumberArgument, type Cli } from "../command.ts";
import { money, sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";

const ROWS_MAX = 10_000;

interface UsageOptions {
  readonly by: string;
  readonly since?: string;
  readonly limit: number;
  readonly json?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("usage").description("show tokens, model calls and cost"))
    .addOption(new Option("--by <group>", "what to group by").choices(["model", "session", "flow", "person", "day"]).default("model"))
    .option("--since <day>", "the first day that counts, as in 2026-11-30 (UTC)", dayArgument)
    .option("--limit <rows>", "the most groups", wholeNumberArgument({ min: 1, max: ROWS_MAX }), 100)
    .action(async ({ json, ...query }: UsageOptions) => {
      const answer = await (await cli.connect()).get<UsageAnswer>("/api/usage", { ...query });
      if (json) return sayJson(cli.terminal, answer);
      const rows = [...answer.rows.map(({ name, usage }) => rowOf(name, usage)), ...(answer.rows.length > 1 ? [rowOf("total", answer.total)] : [])];
      sayTable(cli.terminal, [answer.by, "calls", "input", "cache read", "cache write", "output", "reasoning", "cost"], rows, "nothing was used");
      if (answer.more) say(cli.terminal, "there are more; ask for them with --limit");
      const { unpriced = 0 } = answer.total;
      if (unpriced > 0) say(cli.terminal, `\n${unpriced} calls of models without a known price are not in the cost; set models.prices`);
      say(cli.terminal, `\nestimates by the prices of ${answer.pricesDate} and models.prices`);
    });
}

function rowOf(name: string, usage: ApiUsage): readonly string[] {
  return [name, ...[usage.calls, usage.input, usage.cacheRead, usage.cacheWrite, usage.output, usage.reasoning].map(String), money(usage)];
}

function dayArgument(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) throw new InvalidArgumentError("It must be a day such as 2026-11-30.");
  return text;
}
