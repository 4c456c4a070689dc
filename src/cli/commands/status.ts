/** `yard status` */
import type { Command } from "commander";
import type { StatusAnswer } from "../../api/wire.ts";
import { asJson, type Cli } from "../command.ts";
import { duration, sayFields } from "../table.ts";
import { sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("status").description("show the gateway that runs")).action(async ({ json }: { json?: boolean }) => {
    const gateway = await cli.connect();
    const status = await gateway.get<StatusAnswer>("/api/status");
    if (json) return sayJson(cli.terminal, status);
    sayFields(cli.terminal, [
      ["address", gateway.url],
      ["version", status.version],
      ["process", status.pid],
      ["generation", status.generation],
      ["up for", duration(cli.clock.now() - status.startedAt)],
      ["state", status.draining ? "takes no new work: it is shutting down, or in safe mode" : "ready"],
      ["model", modelText(status)],
      ["agents", status.agents.join(", ")],
    ]);
  });
}

export function isRehearsal(status: Pick<StatusAnswer, "model">): boolean {
  return status.model === null || status.model.startsWith("rehearsal/");
}

export function modelText(status: Pick<StatusAnswer, "model">): string {
  return isRehearsal(status) ? "none is set up; the built-in rehearsal agent serves (offline, no language model)" : status.model!;
}
