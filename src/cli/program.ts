/**
 * The tree of commands. Only the file of the command that is asked for is loaded, so that simple
 * commands start quickly; help, completion and the docs load them all.
 */
import { Command } from "commander";
import { packageVersion } from "../config/version.ts";
import type { Cli, CommandModule } from "./command.ts";

/** In the order of the help page. */
export const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  up: () => import("./commands/up.ts"),
  chat: () => import("./commands/chat.ts"),
  send: () => import("./commands/send.ts"),
  spawn: () => import("./commands/spawn.ts"),
  sessions: () => import("./commands/sessions.ts"),
  tasks: () => import("./commands/tasks.ts"),
  board: () => import("./commands/board.ts"),
  jobs: () => import("./commands/jobs.ts"),
  workspaces: () => import("./commands/workspaces.ts"),
  merges: () => import("./commands/merges.ts"),
  approvals: () => import("./commands/approvals.ts"),
  acp: () => import("./commands/acp.ts"),
  plan: () => import("./commands/plan.ts"),
  lanes: () => import("./commands/lanes.ts"),
  top: () => import("./commands/top.ts"),
  usage: () => import("./commands/usage.ts"),
  simulate: () => import("./commands/simulate.ts"),
  status: () => import("./commands/status.ts"),
  config: () => import("./commands/config.ts"),
  backup: () => import("./commands/backup.ts"),
  doctor: () => import("./commands/doctor.ts"),
  logs: () => import("./commands/logs.ts"),
  token: () => import("./commands/token.ts"),
  import: () => import("./commands/import.ts"),
  mcp: () => import("./commands/mcp.ts"),
  completion: () => import("./commands/completion.ts"),
  version: () => import("./commands/version.ts"),
};

/** @param only  one command's name; every command when it is none of them. */
export async function buildProgram(cli: Cli, only?: string): Promise<Command> {
  const program = new Command("yard")
    .description("Many AI agents in parallel, and a conversation that never blocks.")
    .version(packageVersion(), "-V, --version", "print the version")
    .exitOverride()
    .configureOutput({ writeOut: (text) => cli.terminal.output.write(text), writeErr: () => {} })
    .addHelpText("after", "\nExit codes: 0 done, 1 failed, 2 wrong use, 3 no gateway there.\nThe state directory is ~/.yardmaster, or YARD_HOME.");
  const load = only === undefined ? undefined : Object.hasOwn(COMMANDS, only) ? COMMANDS[only] : undefined;
  for (const each of load === undefined ? Object.values(COMMANDS) : [load]) (await each()).register(program, cli);
  return program;
}
