/** How much memory the machine has left, as the system tells it. */
import { readFileSync } from "node:fs";
import { freemem } from "node:os";

const KB_PER_MB = 1024;

/** Megabytes that can be taken without pushing others out: MemAvailable where there is /proc, else what is free. */
export function availableMemoryMb(file = "/proc/meminfo"): number {
  try {
    const kb = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync(file, "utf8"))?.[1];
    if (kb !== undefined) return Math.floor(Number(kb) / KB_PER_MB);
  } catch {
    // Another system than Linux.
  }
  return Math.floor(freemem() / KB_PER_MB / KB_PER_MB);
}
