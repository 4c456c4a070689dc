/** `yard token`: the secret that the page and other programs log in with. */
import type { Command } from "commander";
import { openConfig, tokenFrom } from "../../config/config.ts";
import { readGatewayFile } from "../../config/gateway-file.ts";
import { openStateDir, readOrMakeToken } from "../../config/state-dir.ts";
import { webhookSecretFrom } from "../../model/webhook-secret.ts";
import type { Cli } from "../command.ts";
import { say } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  parent
    .command("token")
    .description("print the token that the page and other programs log in with")
    .option("--rotate", "make a new one; the old one is refused from then on")
    .option("--webhook", "print the secret that posted results are signed with, when deliveries.webhook.secret is not set")
    .action(async ({ rotate, webhook }: { rotate?: boolean; webhook?: boolean }) => {
      const token = rotate ? await rotated(cli) : await current(cli);
      say(cli.terminal, webhook ? webhookSecretFrom(token) : token);
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
