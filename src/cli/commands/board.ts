/** `yard board`: the children as cards, in columns by their state. */
import type { Command } from "commander";
import type { Board, BoardCard } from "../../api/wire.ts";
import { asJson, sessionArgument, wholeNumberArgument, type Cli } from "../command.ts";
import { date, duration, money, sayTable, tokens } from "../table.ts";
import { colour, say, sayJson } from "../terminal.ts";

const CARDS = 10;

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("board").description("the task board: what waits, runs, is done and has failed"))
    .option("--parent <session>", "only children of this session", sessionArgument)
    .option("--flow <flow>", "only tasks of this tree")
    .option("--batch <batch>", "only tasks that were asked for together")
    .option("--label <label>", "only those with this label")
    .option("--q <text>", "only those with this in their label, id or session")
    .option("--limit <n>", "cards per column", wholeNumberArgument({ min: 1, max: 200 }), CARDS)
    .action(async ({ json, ...query }: { json?: boolean } & Readonly<Record<string, string | number>>) => {
      const board = await (await cli.connect()).get<Board>("/api/board", query);
      if (json) return sayJson(cli.terminal, board);
      for (const { name, total, isMore, cards } of board.columns) {
        if (total === 0) continue;
        say(cli.terminal, colour(cli.terminal, "dim", `── ${name} (${total}${isMore ? "+" : ""})`));
        sayTable(cli.terminal, ["label", "asked", "for", "tokens", "cost", "task", "result"], cards.map((card) => rowOf(card, board.at)), "");
        say(cli.terminal, "");
      }
      if (board.columns.every(({ total }) => total === 0)) say(cli.terminal, "no tasks");
    });
}

function rowOf(card: BoardCard, now: number): readonly string[] {
  const outcome = card.stuck !== undefined ? `STUCK (${card.stuck.task} of ${card.stuck.planId}): ${card.stuck.reason}` : card.fault === undefined ? (card.result ?? "") : `${card.fault.code}: ${card.fault.message}`;
  return [card.label, date(card.queuedAt), duration((card.endedAt ?? now) - card.queuedAt), tokens(card.usage), money(card.usage), card.taskId, outcome];
}
