/** `yard lanes`: who runs, who waits, and for what. */
import type { Command } from "commander";
import type { LanesAnswer } from "../../api/wire.ts";
import { asJson, type Cli } from "../command.ts";
import { duration, sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("lanes").description("show what runs, what waits and for how long")).action(async ({ json }: { json?: boolean }) => {
    const answer = await (await cli.connect()).get<LanesAnswer>("/api/lanes");
    if (json) return sayJson(cli.terminal, answer);
    const pools = answer.pools.map(({ name, used, size, waiting }) => [name, `${used} of ${size}`, String(waiting)]);
    sayTable(cli.terminal, ["pool", "used", "waiting"], pools, "no pools");
    say(cli.terminal, "");
    const now = cli.clock.now();
    const rows = answer.lanes.flatMap((lane) => {
      const running = lane.turns.map((turn) => [lane.session, `${turn.handle} runs${turn.track === "side" ? " beside" : ""}`, duration(now - turn.startedAt), turn.about]);
      if (lane.waitingMessages === 0 && lane.why === null) return running;
      const place = lane.position === null ? "" : `, place ${lane.position + 1}, about ${duration(lane.etaMs)}`;
      return [...running, [lane.session, `waits for ${lane.why ?? "its turn"}${place}`, duration(lane.waitedMs), `${lane.waitingMessages} message${lane.waitingMessages === 1 ? "" : "s"}`]];
    });
    sayTable(cli.terminal, ["session", "state", "for", "about"], rows, "nothing runs and nothing waits");
    if (answer.draining) say(cli.terminal, "\nthe gateway is shutting down and takes no new work");
  });
}
