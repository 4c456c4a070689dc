/** `yard token`: the secret that the page and other programs log in with. */
import type { Command } from "commander";
import { openConfig, tokenFrom } from "../../config/config.ts";
import { readGatewayFile } from "../../config/gateway-file.ts";
import { openStateDir, readOrMakeToken } from "../../config/state-dir.ts";
import type { Cli } from "../command.ts";
import { say } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  parent
    .command("token")
    .description("print the token that the page and other programs log in with")
    .option("--rotate", "make a new one; the old one is refused from then on")
    .action(async ({ rotate }: { rotate?: boolean }) => {
      say(cli.terminal, rotate ? await rotated(cli) : await current(cli));
    });
}

async function current(cli: Cli): Promise<string> {
  const named = tokenFrom(cli.environment);
  if (named !== null) return named;
  await openStateDir(cli.home);
  return await readOrMakeToken(cli.home);
}

async function rotated(cli: Cli): Promise<string> {
  const token = await (await openConfig({ home: cli.home, environment: cli.environment })).rotateToken();
  const running = await readGatewayFile(cli.home);
  if (running !== null) process.kill(running.pid, "SIGHUP"); // it reads its files again
  return token;
}
