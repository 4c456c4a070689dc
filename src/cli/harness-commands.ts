/** `yard acp agents` and `yard acp doctor`: coding agents of others, as this machine has them. */
import type { Command } from "commander";
import type { HarnessHealth, HarnessList } from "../api/wire.ts";
import { asJson, type Cli } from "./command.ts";
import { sayTable } from "./table.ts";
import { plain, say, sayJson } from "./terminal.ts";

export function addHarnessCommands(acp: Command, cli: Cli): void {
  asJson(acp.command("agents").description("list those that can be named, and whether they are here")).action(async ({ json }: { json?: boolean }) => {
    const answer = await (await cli.connect()).get<HarnessList>("/api/acp/agents");
    if (json) return sayJson(cli.terminal, answer);
    const rows = answer.agents.map((one) => [one.agent, one.available ? "here" : "missing", one.version ?? "", one.available ? one.login : "", `${one.memoryMb} MB`, one.program ?? one.command]);
    sayTable(cli.terminal, ["agent", "", "version", "login", "memory", "command"], rows, "no coding agents are known");
  });

  asJson(acp.command("doctor").description("say whether coding agents can work here, and what to do")).action(async ({ json }: { json?: boolean }) => {
    const health = await (await cli.connect()).get<HarnessHealth>("/api/acp/doctor");
    if (!health.healthy) cli.fail();
    if (json) return sayJson(cli.terminal, health);
    say(cli.terminal, `healthy: ${health.healthy ? "yes" : "no"}`);
    for (const { code, text, steps } of health.problems) {
      say(cli.terminal, plain(`${code}: ${text}`));
      for (const step of steps) say(cli.terminal, plain(`  - ${step}`));
    }
    const here = health.agents.filter(({ available }) => available);
    if (here.length > 0) say(cli.terminal, "");
    for (const one of here) say(cli.terminal, plain(`${one.agent}${one.version === null ? "" : ` ${one.version}`}: ${one.program}, login ${one.login}${one.login === "found" ? ` (${one.loginText})` : ""}, about ${one.memoryMb} MB`));
    say(cli.terminal, plain(`\npermissions: ${health.permissionMode}\nsandbox: ${health.sandbox.text}\nmemory: ${health.memory.availableMb} MB free, ${health.memory.reserveMb} MB kept back, ${health.memory.waiting.length} starts wait for it`));
  });
}
