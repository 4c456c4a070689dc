/** `yard mcp`: the session tools for programs that start their tool servers themselves; and the tool servers that agents use. */
import type { Command } from "commander";
import type { ToolServerList } from "../../api/wire.ts";
import { asJson, sessionArgument, type Cli } from "../command.ts";
import { bridge } from "../mcp/bridge.ts";
import { duration, sayTable } from "../table.ts";
import { sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  const mcp = parent
    .command("mcp")
    .description("serve the session tools to another program over standard input and output, by way of the running gateway")
    .option("--session <key>", "act as this session and reach what it started; the main session when absent")
    .action(async ({ session }: { session?: string }) => {
      const path = session === undefined ? "/mcp" : `/mcp?session=${encodeURIComponent(sessionArgument(session))}`;
      const gateway = await cli.connect();
      await gateway.exchange(path, { jsonrpc: "2.0", id: 0, method: "ping" }, new AbortController().signal); // says at once when nobody is there
      await bridge(cli, gateway, path);
    });

  asJson(mcp.command("servers").description("show the tool servers of mcp.servers and how they are")).action(async ({ json }: { json?: boolean }) => {
    const answer = await (await cli.connect()).get<ToolServerList>("/api/mcp/servers");
    if (json) return sayJson(cli.terminal, answer);
    const now = cli.clock.now();
    const rows = answer.servers.map(({ id, state, since, tools, reach, problem, retryAt }) => [
      id,
      state,
      duration(now - since),
      String(tools.length),
      `${reach.via === "stdio" ? reach.command.join(" ") : reach.url}${problem === null ? "" : `: ${problem}; tried again in ${duration((retryAt ?? now) - now)}`}`,
    ]);
    sayTable(cli.terminal, ["server", "state", "for", "tools", "runs"], rows, "no tool servers; set one up under mcp.servers");
  });
}
