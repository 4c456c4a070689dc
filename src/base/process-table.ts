/**
 * The processes of this machine, as /proc shows them, with the mark that some carry.
 *
 * A zombie is left out: it runs nothing any more. Read off this thread, because the files of a
 * process that is stuck can make the reader wait; only {@link startTicksOf} reads at once.
 */
import { readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";

/** The variable that holds a process's mark; children inherit it. */
export const MARK_VARIABLE = "YARD_MARK";

/** How many processes are read at the same moment. */
const READS_AT_ONCE = 16;

export interface SeenProcess {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly startTicks: string;
  readonly mark: string | null;
}

/** @throws {Error} with `code` when the table cannot be read, e.g. EMFILE. */
export async function readProcesses(procDir: string): Promise<readonly SeenProcess[]> {
  const pids = (await readdir(procDir)).filter((name) => /^\d+$/.test(name));
  const table: SeenProcess[] = [];
  let next = 0;
  const reader = async (): Promise<void> => {
    for (let pid = pids[next++]; pid !== undefined; pid = pids[next++]) {
      const seen = await readProcess(procDir, Number(pid));
      if (seen !== null) table.push(seen);
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
  return table;
}

/** Null for what is gone: also a zombie, which runs nothing and only waits for its parent. */
async function readProcess(procDir: string, pid: number): Promise<SeenProcess | null> {
  const stat = parseStat(await readFile(`${procDir}/${pid}/stat`, "latin1").catch(emptyWhenGone));
  if (stat === null || stat.state === "Z" || stat.state === "X") return null;
  const isKernelThread = stat.pgid === 0;
  const environ = isKernelThread ? "" : await readFile(`${procDir}/${pid}/environ`, "latin1").catch(emptyWhenGone);
  return { pid, ...stat, mark: markIn(environ) };
}

/** The plain files that are standard output or error of some processes, as `<device>:<inode>`; what is gone meanwhile is left out. */
export async function outputFilesOf(procDir: string, processes: readonly SeenProcess[]): Promise<ReadonlySet<string>> {
  const files = new Set<string>();
  for (const { pid } of processes) {
    for (const descriptor of [1, 2]) {
      const target = await stat(`${procDir}/${pid}/fd/${descriptor}`).catch(() => null);
      if (target?.isFile()) files.add(`${target.dev}:${target.ino}`);
    }
  }
  return files;
}

/** Another person's process cannot be read either, and is none of ours. */
function emptyWhenGone(error: NodeJS.ErrnoException): string {
  if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(error.code ?? "")) return "";
  throw error;
}

function markIn(environ: string): string | null {
  const key = `\0${MARK_VARIABLE}=`;
  const at = `\0${environ}`.indexOf(key);
  if (at < 0) return null;
  const begin = at + key.length - 1;
  const end = environ.indexOf("\0", begin);
  return environ.slice(begin, end < 0 ? undefined : end);
}

/** The name in brackets may hold anything, so fields count from the last bracket. */
function parseStat(line: string): { state: string; ppid: number; pgid: number; sid: number; startTicks: string } | null {
  const [state, ppid, pgid, sid, ...rest] = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const startTicks = rest[15];
  if (state === undefined || startTicks === undefined) return null;
  return { state, ppid: Number(ppid), pgid: Number(pgid), sid: Number(sid), startTicks };
}

/** When a process started, in clock ticks since boot; null when it is gone. Read at once, so that nothing can happen between this and a signal. */
export function startTicksOf(procDir: string, pid: number): string | null {
  try {
    return parseStat(readFileSync(`${procDir}/${pid}/stat`, "latin1"))?.startTicks ?? null;
  } catch {
    return null;
  }
}
