/** Which processes of a gateway are left, as /proc tells it. */
import { readdirSync, readFileSync } from "node:fs";
import { MARK_VARIABLE } from "../../src/base/process-table.ts";

/** Processes whose environment holds this text, e.g. the folder that a harness remembers in. */
export function processesWith(text: string): readonly { pid: number; command: string }[] {
  const found: { pid: number; command: string }[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${name}/environ`, "utf8").includes(text)) continue;
      // The program's end is told by a zombie too, which holds nothing any more.
      if (/^State:\s+Z/m.test(readFileSync(`/proc/${name}/status`, "utf8"))) continue;
      found.push({ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim() });
    } catch {
      // It ended while it was looked at.
    }
  }
  return found;
}

/** Resolves when no such process is left. @throws {Error} with what is left. */
export async function allGone(text: string, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const left = processesWith(text);
    if (left.length === 0) return;
    if (performance.now() > end) throw new Error(`still there: ${JSON.stringify(left)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ignores SIGTERM, and has a child of its own in another group that does so too. */
export const STUBBORN = `trap '' TERM; setsid sh -c "trap '' TERM; while :; do sleep 1; done" & while :; do sleep 1; done`;

/** Process ids whose command line holds the mark, or that such a process started. */
export function marked(mark: string): number[] {
  const owned = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/environ`).includes(`${MARK_VARIABLE}=`));
  const tokens = new Set(owned.filter((pid) => read(`/proc/${pid}/cmdline`).includes(mark)).map(tokenOf));
  for (const token of tokens) seenTokens.add(`${mark} ${token}`);
  return owned.filter((pid) => seenTokens.has(`${mark} ${tokenOf(pid)}`) && !/^\S+ \(.*\) Z/.test(read(`/proc/${pid}/stat`))).map(Number);
}

const seenTokens = new Set<string>();

function tokenOf(pid: string): string {
  return read(`/proc/${pid}/environ`).split("\0").find((entry) => entry.startsWith(`${MARK_VARIABLE}=`)) ?? "";
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

/** When a test fails, nothing of it may be left either. */
export function endMarked(mark: string): void {
  for (const pid of marked(mark)) process.kill(pid, "SIGKILL");
}
