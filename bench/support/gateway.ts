/**
 * The gateway as people run it: a process of its own, started by its launcher, on a home of its own.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HttpClient } from "./http-client.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/yard.mjs", import.meta.url));
/** How much of what a gateway said is shown when it does not start. */
const COMPLAINT_CHARACTERS_MAX = 2_000;
/** Clients that post share this many connections. */
const CONNECTIONS_MAX = 64;

export interface GatewayOptions {
  /** Settings by flat key. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** A home that is kept; without it one is made and removed again. */
  readonly home?: string;
  /** Options of Node itself. */
  readonly nodeOptions?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Gateway {
  readonly url: string;
  readonly pid: number;
  readonly home: string;
  /** From the start of the process until it said that it is ready. */
  readonly readyMs: number;
  readonly http: HttpClient;
  /** p99 of how late the event loop was since the last call, milliseconds. */
  loopDelayP99Ms(): Promise<number>;
  /** Ends it as a person would, and waits until it is gone. */
  stop(): Promise<void>;
  /** Kills it at once, and keeps its home. */
  kill(): Promise<void>;
}

/** A new empty folder that only this user can read. */
export function makeHome(): string {
  return mkdtempSync(join(tmpdir(), "yard-bench-"));
}

export function removeHome(home: string): void {
  rmSync(home, { recursive: true, force: true });
}

export async function startGateway({ settings, home: givenHome, nodeOptions = [], environment = {} }: GatewayOptions = {}): Promise<Gateway> {
  const home = givenHome ?? makeHome();
  if (settings !== undefined) writeFileSync(join(home, "yardmaster.json5"), JSON.stringify(settings, null, 2), { mode: 0o600 });
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...nodeOptions, LAUNCHER, "up", "--port", "0", "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { HOME: home, YARD_HOME: home, ...environment },
  });
  // A bench that fails leaves nothing running.
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  const { url, tokenFile } = await firstLine(child).catch((cause: unknown) => {
    if (givenHome === undefined) removeHome(home);
    throw cause;
  });
  const readyMs = performance.now() - startedAt;
  const http = new HttpClient(url, { token: readFileSync(tokenFile, "utf8").trim(), connectionsMax: CONNECTIONS_MAX });

  async function end(signal: NodeJS.Signals): Promise<void> {
    http.close();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  return {
    url,
    pid: child.pid!,
    home,
    readyMs,
    http,
    async loopDelayP99Ms() {
      const { text } = await http.request("GET", "/metrics");
      const found = /^yard_event_loop_delay_seconds\{quantile="0\.99"\} (\S+)$/m.exec(text);
      if (found === null) throw new Error("the gateway does not tell the delay of its event loop");
      return Number(found[1]) * 1000;
    },
    async stop() {
      await end("SIGTERM");
      if (givenHome === undefined) removeHome(home);
    },
    kill: () => end("SIGKILL"),
  };
}

function firstLine(child: ChildProcess): Promise<{ url: string; tokenFile: string }> {
  return new Promise((resolve, reject) => {
    let said = "";
    let complaint = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const end = said.indexOf("\n");
      if (end !== -1) resolve(JSON.parse(said.slice(0, end)) as { url: string; tokenFile: string });
    });
    child.stderr!.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-COMPLAINT_CHARACTERS_MAX)));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the gateway ended with ${code} before it was ready:\n${complaint}`)));
  });
}
