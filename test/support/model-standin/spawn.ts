/** The stand-in as a child process, and a small client for its control routes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { LogRecord, StandinConfig, Stats } from "./standin.ts";

export interface SpawnedStandin {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  log(after?: number): Promise<LogRecord[]>;
  stats(): Promise<Stats>;
  configure(change: Partial<StandinConfig>): Promise<void>;
  reset(): Promise<void>;
  /** Ends the process and waits until it is gone. */
  close(): Promise<void>;
}

/** Starts the stand-in with command line arguments such as `["--total", "1s"]`. */
export async function spawnStandin(args: readonly string[] = []): Promise<SpawnedStandin> {
  const main = fileURLToPath(new URL("./main.ts", import.meta.url));
  const child = spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, STANDIN_FOLLOWS_STDIN: "1" } });
  const exited = once(child, "exit");
  let line = "";
  for await (const chunk of child.stdout) {
    line += String(chunk);
    if (line.includes("\n")) break;
  }
  if (!line.includes("\n")) throw new Error("the model stand-in ended before it was ready");
  const { port, pid } = JSON.parse(line) as { port: number; pid: number };
  const url = `http://127.0.0.1:${port}`;

  async function ask(path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(url + path, body === undefined ? {} : { method: "POST", body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  return {
    url,
    port,
    pid,
    log: (after = 0) => ask(`/_log?after=${after}`) as Promise<LogRecord[]>,
    stats: () => ask("/_stats") as Promise<Stats>,
    configure: async (change) => void (await ask("/_config", change)),
    reset: async () => void (await ask("/_reset", {})),
    async close() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
