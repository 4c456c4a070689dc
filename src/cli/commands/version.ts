/** `yard version` */
import type { Command } from "commander";
import { packageVersion } from "../../config/version.ts";
import { asJson, type Cli } from "../command.ts";
import { say, sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("version").description("print the version")).action(({ json }: { json?: boolean }) => {
    const version = packageVersion();
    if (json) sayJson(cli.terminal, { version });
    else say(cli.terminal, version);
  });
}
