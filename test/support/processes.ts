/** Which processes of a gateway are left, as /proc tells it. */
import { readdirSync, readFileSync } from "node:fs";

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
