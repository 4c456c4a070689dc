/** `yard chat` */
import type { Command } from "commander";
import { DEFAULT_AGENT, mainSession } from "../../model/session.ts";
import { sessionArgument, type Cli } from "../command.ts";
import { runChat } from "../run-chat.ts";
import { colour, isInteractive, say } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  parent
    .command("chat")
    .description("talk in this terminal; /help lists what can be done there, Ctrl-C leaves")
    .option("--session <session>", "a session's key, or an agent's name", sessionArgument, mainSession(DEFAULT_AGENT))
    .action(async ({ session }: { session: string }) => {
      const gateway = await cli.connect();
      if (isInteractive(cli.terminal)) say(cli.terminal, colour(cli.terminal, "dim", `${session}; /help lists what can be done here, Ctrl-C leaves`));
      await runChat(cli, gateway, session);
    });
}
