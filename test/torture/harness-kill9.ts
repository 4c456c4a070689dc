/**
 * Kills the gateway or one of its harnesses with SIGKILL, again and again, and counts what is left behind.
 *
 *     node test/torture/harness-kill9.ts --kills 500 --seed 1
 *
 * Harnesses that ignore SIGTERM work with two children each, one of which has left their session; two of them for one
 * conversation, a turn beside the next. A process is
 * an orphan when it is still there 10 s after its harness was killed, or after the next gateway was ready. Prints one line, and exits with 1 on an orphan.
 */
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { LanesAnswer, SpawnAccepted } from "../../src/api/wire.ts";
import { Gateway } from "../support/gateway.ts";
import { harnessConfig } from "../support/harness.ts";
import { processesWith } from "../support/processes.ts";
import type { Step } from "../support/scripted-harness.ts";

const AT_WORK = 3;
/** Those of one conversation: one that went beside it, and the next. */
const PAIR = 2;
/** A harness with its two children. */
const PROCESSES_EACH = 3;
const GONE_WITHIN_MS = 10_000;
const STARTED_WITHIN_MS = 60_000;

export interface KillCount {
  readonly gateway: number;
  readonly harness: number;
  readonly orphans: readonly string[];
  /** The longest that anything lived on, milliseconds. */
  readonly longestMs: number;
}

export async function killAgainAndAgain({ kills, seed, onKill = () => {} }: { kills: number; seed: number; onKill?: (done: number) => void }): Promise<KillCount> {
  const random = randomFrom(seed);
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), "harness-kill9-")));
  const gateway = new Gateway({ config: harnessConfig(cwd, { load: true, stubborn: true }, { "acp.maxConcurrentSessions": AT_WORK + 1 }) });
  const count = { gateway: 0, harness: 0, orphans: [] as string[], longestMs: 0 };
  try {
    await gateway.start();
    const { commandReply } = await gateway.send(`/acp spawn scripted --cwd ${cwd}`);
    const [, conversation = ""] = /\((agent:scripted:acp:[^)]+)\)/.exec(commandReply ?? "") ?? [];
    for (let done = 0; done < kills; done++) {
      const all = await working(conversation);
      const leaders = [...new Set(all.map(({ mark }) => mark))];
      const isGateway = random() < 0.4;
      const mark = leaders[Math.floor(random() * leaders.length)]!;
      const doomed = isGateway ? all : all.filter((one) => one.mark === mark);
      if (isGateway) {
        count.gateway++;
        await gateway.kill9();
        await gateway.start();
      } else {
        count.harness++;
        kill(doomed.find(({ command }) => command.includes("scripted-harness"))!.pid);
      }
      await untilGone(doomed, `kill ${done + 1}, of ${isGateway ? "the gateway" : "a harness"}`);
      onKill(done + 1);
    }
    await gateway.stop();
    await untilGone(marked(), "the stop at the end");
    return count;
  } finally {
    await gateway.close();
    for (const { pid } of marked()) kill(pid);
    rmSync(cwd, { recursive: true, force: true });
  }

  function marked(): readonly { pid: number; command: string; mark: string; started: string }[] {
    return processesWith(cwd).flatMap((one) => {
      try {
        const mark = /(?:^|\0)YARD_MARK=([^\0]+)/.exec(readFileSync(`/proc/${one.pid}/environ`, "utf8"))?.[1];
        return mark === undefined ? [] : [{ ...one, mark, started: startOf(one.pid) }];
      } catch {
        return []; // It ended while it was looked at.
      }
    });
  }

  /** Resolves when as many harnesses as there may be are at work, each with its children. */
  async function working(conversation: string): Promise<ReturnType<typeof marked>> {
    const steps: readonly Step[] = [{ child: "setsid" }, { child: "plain" }, { say: "working" }, { wait: "ever" }];
    const besides = async (): Promise<readonly { track: string }[]> => (await gateway.api<LanesAnswer>("GET", "/api/lanes")).lanes.find(({ session }) => session === conversation)?.turns ?? [];
    for (const until = performance.now() + STARTED_WITHIN_MS; performance.now() < until; await pause(200)) {
      // One that lost its harness too often has failed, and another takes its place.
      const { tasks } = await gateway.api<{ tasks: readonly { state: string }[] }>("GET", "/api/tasks?limit=50");
      for (let open = tasks.filter(({ state }) => state === "running" || state === "queued").length; open < AT_WORK; open++) {
        await gateway.api<SpawnAccepted>("POST", "/api/spawns", { runtime: "acp", agent: "scripted", cwd, task: JSON.stringify(steps) });
      }
      const turns = await besides();
      if (turns.length === 0 || (turns.length === 1 && turns[0]!.track === "side")) await gateway.send(JSON.stringify(steps), { session: conversation });
      else if (turns.length === 1) await gateway.call("POST", `/api/sessions/${encodeURIComponent(conversation)}/promote`);
      const all = marked();
      const sizes = Map.groupBy(all, ({ mark }) => mark);
      if ([...sizes.values()].filter(({ length }) => length >= PROCESSES_EACH).length >= AT_WORK + PAIR) return all;
    }
    throw new Error(`no ${AT_WORK + PAIR} harnesses came to work: ${JSON.stringify(marked())}`);
  }

  async function untilGone(doomed: ReturnType<typeof marked>, after: string): Promise<void> {
    const at = performance.now();
    const isThere = ({ pid, started }: { pid: number; started: string }): boolean => startOf(pid) === started && !isZombie(pid);
    while (doomed.some(isThere) && performance.now() - at < GONE_WITHIN_MS) await pause(20);
    count.longestMs = Math.max(count.longestMs, Math.round(performance.now() - at));
    for (const one of doomed.filter(isThere)) count.orphans.push(`after ${after}: ${one.pid} ${one.command}`);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was gone already.
  }
}

/** When a process started, so that a number given anew is not taken for the old one; "" = there is none. */
function startOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[19]!;
  } catch {
    return "";
  }
}

function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Numbers from 0 to 1 that a seed determines. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "50" }, seed: { type: "string", default: "1" } } });
  const kills = Number(values.kills);
  const count = await killAgainAndAgain({ kills, seed: Number(values.seed), onKill: (done) => void (done % 25 === 0 && process.stderr.write(`${done} of ${kills}\n`)) });
  process.stdout.write(`seed ${values.seed}: ${count.gateway} kills of the gateway, ${count.harness} of harnesses, ${count.orphans.length} orphans; all gone within ${count.longestMs} ms at the longest\n${count.orphans.join("\n")}`);
  process.exitCode = count.orphans.length > 0 ? 1 : 0;
}
