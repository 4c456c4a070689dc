/** The command line: runs one command in this process and gives its exit code to the shell. */
import { basename, relative } from "node:path";
import { systemClock } from "../base/clock.ts";
import { processEnvironment } from "../config/environment.ts";
import { runCommand } from "./run-command.ts";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0); // whoever read our output has seen enough, e.g. `yard logs | head`
});

const script = process.argv[1] ?? "yard";

process.exitCode = await runCommand(process.argv.slice(2), {
  terminal: { input: process.stdin, output: process.stdout, errors: process.stderr },
  environment: processEnvironment(),
  clock: systemClock,
  program: basename(script) === "yard.mjs" ? `node ${relative(process.cwd(), script)}` : "yard",
});
