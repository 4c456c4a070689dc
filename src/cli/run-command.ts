/** Runs one command line from words to exit code. Everything it needs comes in, so that tests can run it. */
import { CommanderError } from "commander";
import { stateDirOf } from "../config/state-dir.ts";
import { Fault } from "../model/faults.ts";
import { findGateway } from "./client.ts";
import type { Cli } from "./command.ts";
import { EXIT, exitCodeOf, faultOf, type ExitCode } from "./failure.ts";
import { buildProgram } from "./program.ts";

export async function runCommand(words: readonly string[], given: Pick<Cli, "terminal" | "environment" | "clock" | "program">): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.done;
  const home = stateDirOf(given.environment);
  const cli: Cli = {
    ...given,
    home,
    connect: () => findGateway({ home, environment: given.environment, clock: given.clock }),
    fail: () => {
      exitCode = EXIT.failed;
    },
  };
  try {
    const program = await buildProgram(cli, words[0]);
    if (words.length === 0) program.outputHelp();
    else await program.parseAsync([...words], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return EXIT.done; // help that was asked for
    const fault = faultOf(thrown instanceof CommanderError ? misused(thrown) : thrown);
    given.terminal.errors.write(words.includes("--json") ? `${JSON.stringify(fault)}\n` : `yard: ${fault.code}: ${fault.message}\n`);
    return exitCodeOf(fault);
  }
}

function misused(error: CommanderError): Fault {
  const problem = error.code === "commander.help" ? "say which of its commands you mean; --help lists them" : error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ");
  return new Fault("WRONG_USE", { problem }, { cause: error });
}
