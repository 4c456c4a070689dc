/** `yard top`: pools, lanes and children, afresh every second, until Ctrl-C or the gateway goes away. */
import type { Command } from "commander";
import type { LanesAnswer, TaskList } from "../../api/wire.ts";
import { sleep } from "../../base/clock.ts";
import { asJson, wholeNumberArgument, type Cli } from "../command.ts";
import { duration, sayTable, tokens } from "../table.ts";
import { say, sayJson } from "../terminal.ts";
import { sayLanes } from "./lanes.ts";

const SECONDS_MAX = 3600;
const TASKS_SHOWN_MAX = 30;
const ACTIVE = "queued,running,waiting";
/** The cursor at the top left, and nothing below it. */
const AFRESH = "\u001b[H\u001b[2J";

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("top").description("watch what runs and what waits, until Ctrl-C; without a terminal it is shown once"))
    .option("--interval <seconds>", "how often it is shown afresh", wholeNumberArgument({ min: 1, max: SECONDS_MAX }), 1)
    .option("--once", "show it once")
    .action(async ({ json, interval, once }: { json?: boolean; interval: number; once?: boolean }) => {
      const gateway = await cli.connect();
      const isOnce = once === true || json === true || cli.terminal.output.isTTY !== true;
      for (;;) {
        const [lanes, { tasks }] = await Promise.all([gateway.get<LanesAnswer>("/api/lanes"), gateway.get<TaskList>("/api/tasks", { state: ACTIVE, limit: TASKS_SHOWN_MAX })]);
        if (json) return sayJson(cli.terminal, { lanes, tasks });
        const now = cli.clock.now();
        if (!isOnce) cli.terminal.output.write(AFRESH);
        sayLanes(cli.terminal, lanes, now);
        say(cli.terminal, "");
        const rows = tasks.map((task) => [task.label, task.state, duration(now - (task.startedAt ?? task.queuedAt)), tokens(task.usage), task.taskId]);
        sayTable(cli.terminal, ["child", "state", "for", "tokens", "task"], rows, "no children are at work");
        if (isOnce) return;
        await sleep(cli.clock, interval * 1000);
      }
    });
}
