/** `yard acp`: this gateway as an agent of editors, over standard input and output; below it, coding agents of others. */
import type { Command } from "commander";
import type { StatusAnswer } from "../../api/wire.ts";
import { DEFAULT_AGENT } from "../../model/session.ts";
import type { Cli } from "../command.ts";
import { serveEditor } from "../editor/serve.ts";
import { faultOf } from "../failure.ts";
import { addHarnessCommands } from "../harness-commands.ts";

interface AcpOptions {
  readonly agent: string;
  readonly up?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  const acp = parent
    .command("acp")
    .description("serve the running gateway to an editor as an agent, over standard input and output (Agent Client Protocol)")
    .option("--agent <id>", "the agent that new sessions belong to", DEFAULT_AGENT)
    .option("--up", "run the gateway too when none runs, for as long as the editor is there")
    .action(async ({ agent, up }: AcpOptions) => {
      const own = up === true && !(await isThere(cli)) ? await (await import("../../start.ts")).startGateway({ home: cli.home, json: false }) : null;
      try {
        await serveEditor(cli.terminal, await cli.connect(), agent);
      } finally {
        await own?.stop();
      }
    });
  addHarnessCommands(acp, cli);
}

async function isThere(cli: Cli): Promise<boolean> {
  try {
    await (await cli.connect()).get<StatusAnswer>("/api/status");
    return true;
  } catch (thrown) {
    if (faultOf(thrown).code === "GATEWAY_NOT_THERE") return false;
    throw thrown;
  }
}
