/** `yard logs`: the gateway's log file, its end and with `--follow` what comes after. */
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { sleep } from "../../base/clock.ts";
import { wholeNumberArgument, type Cli } from "../command.ts";
import { wrongUse } from "../failure.ts";

const FOLLOW_EVERY_MS = 300;
/** Of a large log only this much of its end is read. */
const TAIL_BYTES_MAX = 4_000_000;

export function register(parent: Command, cli: Cli): void {
  parent
    .command("logs")
    .description("print the gateway's log")
    .option("-n, --lines <n>", "how many of the last lines", wholeNumberArgument({ min: 0, max: 100_000 }), 100)
    .option("-f, --follow", "go on with what is written from now on")
    .action(async ({ lines, follow }: { lines: number; follow?: boolean }) => {
      const file = join(cli.home, "logs", "gateway.log");
      const size = await sizeOf(file);
      if (size === null) wrongUse(`there is no log at ${file}; "yard up" on a terminal writes one, "yard up --json" logs to standard error`);
      const tail = await readFrom(file, Math.max(0, size - TAIL_BYTES_MAX), size);
      const kept = lines === 0 ? "" : tail.split("\n").slice(-lines - 1).join("\n");
      cli.terminal.output.write(kept);
      if (follow) await followFile(cli, file, size);
    });
}

async function followFile(cli: Cli, file: string, from: number): Promise<never> {
  let at = from;
  for (;;) {
    await sleep(cli.clock, FOLLOW_EVERY_MS);
    const size = (await sizeOf(file)) ?? 0;
    if (size < at) at = 0; // a new file was begun
    if (size > at) cli.terminal.output.write(await readFrom(file, at, size));
    at = size;
  }
}

async function sizeOf(file: string): Promise<number | null> {
  return await stat(file).then(({ size }) => size, () => null);
}

async function readFrom(file: string, start: number, end: number): Promise<string> {
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(end - start), 0, end - start, start);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await handle.close();
  }
}
