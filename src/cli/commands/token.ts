/** `yard token`: the secret that the page and other programs log in with, and those for one part of the gateway. */
import type { Command } from "commander";
import type { ApiAccessToken, TokenList, TokenMade } from "../../api/wire.ts";
import { openConfig, tokenFrom } from "../../config/config.ts";
import { readGatewayFile, readGatewayToken } from "../../config/gateway-file.ts";
import { openStateDir, readOrMakeToken } from "../../config/state-dir.ts";
import { Fault } from "../../model/faults.ts";
import { webhookSecretFrom } from "../../model/webhook-secret.ts";
import { inPath, sessionArgument, wholeNumberArgument, type Cli } from "../command.ts";
import { sayTable } from "../table.ts";
import { say, sayJson } from "../terminal.ts";

const SECONDS_MAX = 366 * 86_400;

interface TokenOptions {
  readonly rotate?: boolean;
  readonly webhook?: boolean;
  readonly scope?: string;
  readonly label?: string;
  readonly session?: string;
  readonly forSeconds?: number;
  readonly list?: boolean;
  readonly revoke?: string;
  readonly json?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  parent
    .command("token")
    .description("print the token that the page and other programs log in with, or handle tokens for one part of the gateway")
    .option("--rotate", "make a new one; the old one is refused from then on")
    .option("--webhook", "print the secret that posted results are signed with, when deliveries.webhook.secret is not set")
    .option("--scope <part>", "make a token that opens only this: proxy = model calls through /proxy/*, mcp = the session tools at /mcp")
    .option("--label <text>", "with --scope: what it is for")
    .option("--session <key>", "with --scope: the session that its usage counts for; it ends with it")
    .option("--for-seconds <n>", "with --scope: how long it lives", wholeNumberArgument({ min: 1, max: SECONDS_MAX }))
    .option("--list", "list the tokens that were made with --scope")
    .option("--revoke <id>", "take one of them back")
    .option("--json", "with --scope, --list, --revoke: print the gateway's answer")
    .action(async (options: TokenOptions) => {
      const kinds = [options.rotate ?? options.webhook, options.scope, options.list, options.revoke].filter((each) => each !== undefined);
      if (kinds.length > 1) throw new Fault("WRONG_USE", { problem: "name one of --rotate or --webhook, --scope, --list and --revoke" });
      if (options.scope !== undefined) return mint(cli, options);
      if (options.list) return list(cli, options);
      if (options.revoke !== undefined) return revoke(cli, options.revoke, options);
      const token = options.rotate ? await rotated(cli) : await current(cli);
      say(cli.terminal, options.webhook ? webhookSecretFrom(token) : token);
    });
}

async function mint(cli: Cli, { scope, label, session, forSeconds, json }: TokenOptions): Promise<void> {
  const wish = { scope, ...(label === undefined ? {} : { label }), ...(session === undefined ? {} : { session: sessionArgument(session) }), ...(forSeconds === undefined ? {} : { forSeconds }) };
  const made = await (await cli.connect()).post<TokenMade>("/api/tokens", wish);
  if (json) sayJson(cli.terminal, made);
  else say(cli.terminal, made.secret);
}

async function list(cli: Cli, { json }: TokenOptions): Promise<void> {
  const answer = await (await cli.connect()).get<TokenList>("/api/tokens");
  if (json) return sayJson(cli.terminal, answer);
  const rows = answer.tokens.map((token) => [token.id, token.scope, stateOf(token, cli.clock.now()), `${token.usage.calls}`, `${token.usage.input + token.usage.output}`, token.label ?? token.session ?? ""]);
  sayTable(cli.terminal, ["token", "scope", "state", "calls", "tokens", "for"], rows, 'no tokens yet; make one with "yard token --scope proxy"');
}

async function revoke(cli: Cli, id: string, { json }: TokenOptions): Promise<void> {
  const token = await (await cli.connect()).delete<ApiAccessToken>(`/api/tokens/${inPath(id)}`);
  if (json) sayJson(cli.terminal, token);
  else say(cli.terminal, `${id} is refused from now on.`);
}

function stateOf({ revokedAt, expiresAt }: ApiAccessToken, nowMs: number): string {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= nowMs ? "over" : "good";
}

async function current(cli: Cli): Promise<string> {
  const named = tokenFrom(cli.environment);
  if (named !== null) return named;
  await openStateDir(cli.home);
  const running = (await readGatewayFile(cli.home)) === null ? undefined : await readGatewayToken(cli.home);
  if (running !== undefined) return running;
  return await readOrMakeToken(cli.home);
}

async function rotated(cli: Cli): Promise<string> {
  const token = await (await openConfig({ home: cli.home, environment: cli.environment })).rotateToken();
  const running = await readGatewayFile(cli.home);
  if (running !== null) process.kill(running.pid, "SIGHUP"); // it reads its files again
  return token;
}
