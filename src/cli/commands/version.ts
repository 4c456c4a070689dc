/** `yard version` */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { asJson, type Cli } from "../command.ts";
import { say, sayJson } from "../terminal.ts";

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("version").description("print the version")).action(async ({ json }: { json?: boolean }) => {
    const version = await programVersion();
    if (json) sayJson(cli.terminal, { version });
    else say(cli.terminal, version);
  });
}

/** From package.json, three folders up both from the sources and from what is published. */
export async function programVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("../../../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}
