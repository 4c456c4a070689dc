/** Runs one line of shell for the gateway itself, e.g. a test on a merged result: owned, timed and bounded as the commands of agents are. */
import type { Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes } from "../base/ids.ts";
import type { ProcessTree } from "../base/process-tree.ts";
import { startCommand } from "./command.ts";
import { commandEnvironment } from "./exec.ts";

interface Deps {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly processes: ProcessTree;
  /** The first part of every mark. */
  readonly installation: string;
  readonly environment: Readonly<Record<string, string>>;
}

interface Line {
  readonly command: string;
  readonly cwd: string;
  /** Added to the few variables that a command gets. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly outputMaxBytes: number;
  readonly signal?: AbortSignal;
}

export interface LineEnd {
  /** Null when it was ended from outside. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly ms: number;
  readonly output: string;
}

export function makeRunLine({ clock, random, processes, installation, environment }: Deps): (line: Line) => Promise<LineEnd> {
  const ids = new IdMaker(random);
  const passed = commandEnvironment(environment);
  return async ({ command, cwd, env, signal, ...bounds }) => {
    const id = ids.bare();
    const started = await startCommand({ clock, processes }, { mark: `${installation}.line.${id}`, argv: ["/bin/sh", "-c", command], cwd, env: { ...passed, ...env }, stdin: "ignore" }, { id, shown: command, ...bounds });
    const stop = (): void => void started.stop("stopped");
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
    const end = await started.ended;
    signal?.removeEventListener("abort", stop);
    return { exitCode: end.why === "exited" ? end.code : null, timedOut: end.why === "time is up", ms: Math.round(end.ms), output: started.takeOutput() };
  };
}
