/**
 * Owned processes: started here, found again by their mark, ended with everything they started.
 *
 * A process starts as the leader of its own session and group, with `YARD_MARK=<mark>` in its
 * environment, which its children inherit. A tree is every process that holds the mark, is in the
 * leader's group or session, or descends from one of these; so a grandchild that called setsid,
 * or wiped its environment, is still found.
 *
 *     start ──▶ running ──leader exits, or endMarked──▶ ending: SIGTERM, then SIGKILL, until none is left ──▶ ended
 *
 * Always true:
 *   - a tree lives no longer than its leader, but for a moment in which it may end by itself
 *   - no process is signalled by its number alone: its start time is read again right before
 *   - this process and its ancestors are never signalled
 *   - an ending takes at most 10 s and then names the survivors
 *
 * Marks are `<installation>.<owner>.<random>`; `sweep(installation)` ends what a killed gateway
 * left behind. Without /proc (other systems) only the leader's group is known, and there is no sweep.
 *
 * Refuses: to inherit this process's environment. Cannot find: a process that wiped its environment,
 * left the session and lost its parent before anybody looked; only a sandbox stops that one.
 */
import { spawn, type ChildProcessByStdio, type SpawnOptions } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { assert } from "./assert.ts";
import { sleep, type Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { MARK_VARIABLE, outputFilesOf, readProcesses, startTicksOf, type SeenProcess } from "./process-table.ts";

/** The longest an ending may take, milliseconds. */
const END_MAX_MS = 10_000;
/** The longest a tree is given between SIGTERM and SIGKILL, milliseconds. */
const GRACE_MAX_MS = 8000;
/** What a leader left behind may take this long to end by itself, milliseconds. */
const SETTLE_MS = 200;
/** Time from SIGTERM to SIGKILL for what was left behind, milliseconds. */
const LEFT_BEHIND_GRACE_MS = 2000;
/** Time from SIGTERM to SIGKILL for what a killed gateway left, milliseconds. */
const SWEEP_GRACE_MS = 500;
/** First and longest pause between two looks, milliseconds. */
const LOOK_FIRST_MS = 5;
const LOOK_PAUSE_MAX_MS = 100;

/** Which process: its number, when it started (clock ticks since boot), and which boot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: string;
  readonly bootId: string;
  readonly marker: string;
}

export interface StartRequest {
  /** Unique among all running trees. */
  readonly mark: string;
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: "pipe" | "ignore";
}

export interface OwnedTree {
  readonly mark: string;
  readonly child: ChildProcessByStdio<Writable | null, Readable, Readable>;
  /** Resolves when the leader has exited and its tree is gone, or was given up. Never rejects. */
  readonly ended: Promise<TreeEnd>;
}

export interface TreeEnd {
  /** Exit code of the leader; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Processes that went on after a leader that exited by itself, and had to be ended. */
  readonly leftBehind: number;
  /** Numbers of the processes that could not be ended. */
  readonly survivors: readonly number[];
}

export interface ProcessTree {
  /**
   * Starts a process of its own group and session.
   * @throws {Error} with `code` (ENOENT, EACCES, E2BIG...) when it cannot start.
   */
  start(request: StartRequest): Promise<OwnedTree>;
  /**
   * Ends every process with this mark: SIGTERM, after `graceMs` (at most 8000) SIGKILL.
   * @returns the processes that are still there after 10 s; normally none.
   * @cost one look at /proc per round, about 0.1 ms per process of the machine, off this thread.
   */
  endMarked(mark: string, options: { readonly graceMs: number }): Promise<readonly number[]>;
  /** Ends all trees that were started here. @returns survivors, as {@link endMarked}. */
  endAll(): Promise<readonly number[]>;
  /** For the start after a crash: ends every process whose mark begins with `<installation>.` and that was not started here. */
  sweep(installation: string): Promise<{ readonly ended: number; readonly survivors: readonly number[] }>;
  /**
   * The files that are the standard output or error of a process whose mark begins with `<installation>.`, as
   * `<device>:<inode>`. Empty without /proc.
   */
  outputFiles(installation: string): Promise<ReadonlySet<string>>;
}

interface Deps {
  readonly clock: Clock;
  readonly log: Log;
  /** Called when a process has started; keep it on disk. */
  record(process: ProcessIdentity): Promise<void> | void;
  /** Called when nothing with this mark is left. */
  forget(mark: string): Promise<void> | void;
  /** Where the table of processes is; for tests. */
  readonly procDir?: string;
}

/** A leader that was started here, until its tree is gone. */
interface Leader {
  readonly mark: string;
  readonly pid: number;
  readonly startTicks: string;
}

/** Whose processes are looked for. */
interface Wanted {
  readonly mark: (mark: string) => boolean;
  readonly leaders: readonly Leader[];
}

/** Something to signal: one process, or where there is no /proc a group. */
interface Target {
  readonly pid: number;
  /** Differs when the number was given to another process. */
  readonly identity: string;
  signal(name: "SIGTERM" | "SIGKILL"): void;
}

interface Ending {
  readonly ended: number;
  readonly survivors: readonly number[];
}

export function makeProcessTree(deps: Deps): ProcessTree {
  const { clock, log } = deps;
  const procDir = deps.procDir ?? "/proc";
  const hasProc = existsSync(`${procDir}/self/stat`);
  const leaders = new Map<string, Leader>();
  const endings = new Map<string, Promise<Ending>>();
  const readTable = shared(() => readProcesses(procDir));
  const look = hasProc ? lookInProc : lookAtGroups;
  let bootId: string | undefined;

  return { start, endMarked, endAll, sweep, outputFiles };

  async function start(request: StartRequest): Promise<OwnedTree> {
    const { mark, argv, cwd, env, stdin } = request;
    assert(!leaders.has(mark), "every process tree has a mark of its own");
    const options: SpawnOptions = { cwd, env: { ...env, [MARK_VARIABLE]: mark }, detached: true, stdio: [stdin, "pipe", "pipe"] };
    const child = spawn(argv[0], argv.slice(1), options) as OwnedTree["child"];
    const pid = child.pid;
    if (pid === undefined) throw await new Promise((resolve) => child.once("error", resolve));
    child.on("error", (error) => log.warn("process.error", { mark, error }));

    const leader: Leader = { mark, pid, startTicks: (hasProc && startTicksOf(procDir, pid)) || "" };
    leaders.set(mark, leader);
    bootId ??= hasProc ? readFileSync(`${procDir}/sys/kernel/random/boot_id`, "utf8").trim() : "";
    tell("process.record", () => deps.record({ pid, startTicks: leader.startTicks, bootId: bootId!, marker: mark }));

    const ended = new Promise<TreeEnd>((resolve) => {
      child.once("exit", (code, signal) => {
        const wasAsked = endings.has(mark);
        void endTree(leader, { settleMs: SETTLE_MS, graceMs: LEFT_BEHIND_GRACE_MS }).then((ending) => {
          leaders.delete(mark);
          if (ending.survivors.length === 0) tell("process.forget", () => deps.forget(mark));
          resolve({ code, signal, leftBehind: wasAsked ? 0 : ending.ended, survivors: ending.survivors });
        });
      });
    });
    return { mark, child, ended };
  }

  async function endMarked(mark: string, { graceMs }: { readonly graceMs: number }): Promise<readonly number[]> {
    const leader = leaders.get(mark);
    if (leader !== undefined) return (await endTree(leader, { settleMs: 0, graceMs })).survivors;
    return (await end({ mark: (found) => found === mark, leaders: [] }, { settleMs: 0, graceMs })).survivors;
  }

  async function endAll(): Promise<readonly number[]> {
    const all = [...leaders.values()];
    const results = await Promise.all(all.map((leader) => endTree(leader, { settleMs: 0, graceMs: LEFT_BEHIND_GRACE_MS })));
    return results.flatMap(({ survivors }) => survivors);
  }

  function sweep(installation: string): Promise<Ending> {
    const prefix = `${installation}.`;
    const isLeftover = (mark: string): boolean => mark.startsWith(prefix) && !leaders.has(mark);
    return end({ mark: isLeftover, leaders: [] }, { settleMs: 0, graceMs: SWEEP_GRACE_MS });
  }

  async function outputFiles(installation: string): Promise<ReadonlySet<string>> {
    if (!hasProc) return new Set();
    const ours = (await readTable()).filter(({ mark }) => mark?.startsWith(`${installation}.`));
    return outputFilesOf(procDir, ours);
  }

  /** When the leader exits because its tree is being ended, the ending that runs goes on; no second one begins. */
  function endTree(leader: Leader, times: { settleMs: number; graceMs: number }): Promise<Ending> {
    const running = endings.get(leader.mark);
    if (running !== undefined && times.settleMs > 0) return running;
    const ending = end({ mark: (found) => found === leader.mark, leaders: [leader] }, times).finally(() => {
      if (endings.get(leader.mark) === ending) endings.delete(leader.mark);
    });
    endings.set(leader.mark, ending);
    return ending;
  }

  async function end(wanted: Wanted, { settleMs, graceMs }: { settleMs: number; graceMs: number }): Promise<Ending> {
    const startedAt = clock.monotonic();
    const killAfterMs = settleMs + Math.min(Math.max(0, graceMs), GRACE_MAX_MS);
    const asked = new Set<string>();
    for (let pauseMs = LOOK_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, LOOK_PAUSE_MAX_MS)) {
      const found = await look(wanted).catch((error: unknown) => {
        log.warn("process.table-unreadable", { error });
        return lookAtGroups(wanted);
      });
      if (found.length === 0) return { ended: asked.size, survivors: [] };
      const sinceMs = clock.monotonic() - startedAt;
      if (sinceMs >= END_MAX_MS) {
        const survivors = found.map(({ pid }) => pid);
        log.error("process.survivors", { survivors });
        return { ended: asked.size, survivors };
      }
      for (const target of found) {
        if (sinceMs < settleMs) continue;
        const fresh = !asked.has(target.identity);
        asked.add(target.identity);
        if (sinceMs >= killAfterMs) target.signal("SIGKILL");
        else if (fresh) target.signal("SIGTERM");
      }
      await sleep(clock, pauseMs);
    }
  }

  async function lookInProc(wanted: Wanted): Promise<readonly Target[]> {
    const table = await readTable();
    const untouchable = ancestorsOf(process.pid, table);
    const own = new Set<number>();
    for (const { pid, pgid } of table) if (untouchable.has(pid)) own.add(pgid);
    return membersOf(wanted, table, untouchable).map((seen) => ({
      pid: seen.pid,
      identity: `${seen.pid}:${seen.startTicks}`,
      signal(name) {
        if (startTicksOf(procDir, seen.pid) !== seen.startTicks) return;
        // The whole group in one stroke: its members cannot fork past it.
        if (name === "SIGKILL" && !own.has(seen.pgid)) send(-seen.pgid, name);
        send(seen.pid, name);
      },
    }));
  }

  /** Where there is no /proc: a group's number is not given away while the group has members. */
  async function lookAtGroups({ leaders: wanted }: Wanted): Promise<readonly Target[]> {
    const alive = wanted.filter(({ pid }) => send(-pid, 0));
    return alive.map(({ pid, mark }) => ({ pid, identity: mark, signal: (name) => void send(-pid, name) }));
  }

  function send(pid: number, name: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(pid, name);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ESRCH") return false;
      log.warn("process.signal-refused", { pid, name, code });
      return true;
    }
  }

  function tell(what: string, call: () => Promise<void> | void): void {
    void (async () => call())().catch((error: unknown) => log.error(`${what}-failed`, { error }));
  }
}

function ancestorsOf(pid: number, table: readonly SeenProcess[]): ReadonlySet<number> {
  const parents = new Map(table.map((seen) => [seen.pid, seen.ppid]));
  const chain = new Set<number>();
  for (let at: number | undefined = pid; at !== undefined && !chain.has(at); at = parents.get(at)) chain.add(at);
  return chain;
}

function membersOf(wanted: Wanted, table: readonly SeenProcess[], untouchable: ReadonlySet<number>): readonly SeenProcess[] {
  const children = Map.groupBy(table, ({ ppid }) => ppid);
  const byPid = new Map(table.map((seen) => [seen.pid, seen]));
  // A number that now belongs to another process proves that the leader's session is gone.
  const sessions = new Set(wanted.leaders.filter(({ pid, startTicks }) => (byPid.get(pid)?.startTicks ?? startTicks) === startTicks).map(({ pid }) => pid));
  const members = new Map<number, SeenProcess>();
  const open = table.filter((seen) => sessions.has(seen.sid) || sessions.has(seen.pgid) || (seen.mark !== null && wanted.mark(seen.mark)));
  for (let seen = open.pop(); seen !== undefined; seen = open.pop()) {
    if (members.has(seen.pid) || untouchable.has(seen.pid)) continue;
    members.set(seen.pid, seen);
    open.push(...(children.get(seen.pid) ?? []));
  }
  // Parents first: a shell that sees only its child die would go on with the next command.
  return [...members.values()].sort((a, b) => Number(a.startTicks) - Number(b.startTicks) || a.pid - b.pid);
}

/** Lets callers share one run; never one that began before they asked. */
function shared<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  let next: Promise<T> | null = null;
  const begin = (): Promise<T> => {
    const mine = run().finally(() => {
      if (running === mine) running = null;
    });
    return (running = mine);
  };
  return () => {
    if (running === null) return begin();
    const after = (): Promise<T> => {
      next = null;
      return begin();
    };
    return (next ??= running.then(after, after));
  };
}
