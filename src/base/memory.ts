/** How much memory the machine has left, as the system tells it, and how this process goes about its own. */
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

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

/** When a start is over and memory is put in order, milliseconds after it. */
export const SETTLE_AFTER_MS = 500;

/**
 * Gives back what loading the program left behind in this thread; V8 would keep it for as long as
 * little happens. The pages go back to the system some 8 s later.
 * @cost collections of the thread's heap, about 40 ms.
 */
export function giveBackMemory(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;
  collect({ type: "major", execution: "sync", flavor: "last-resort" });
}

/** Both halves of young memory. Half of it costs every turn a tenth more time, twice as much stays resident. */
const YOUNG_BYTES = 8 * 1024 * 1024;
/** As many small objects as are made for it at most, and between two looks at the size. */
const FILLERS_MAX = 400_000;
const FILLERS_PER_LOOK = 1_000;

/**
 * From now on young memory has its size and old memory is cleaned early: half the resident size for a
 * few per cent of time. For when a long-lived program is loaded: loading wants a larger young heap, and
 * compiled code that was cached under other flags, Node's own included, is compiled anew.
 */
export function holdMemoryDown(): void {
  giveBackMemory();
  setFlagsFromString("--heap-growing-percent=60");
  // V8 takes no size once it runs: young memory doubles when enough of it is still in use.
  const inUse: object[] = [];
  while (inUse.length < FILLERS_MAX && (inUse.length % FILLERS_PER_LOOK !== 0 || youngBytes() < YOUNG_BYTES)) inUse.push({ filler: inUse.length });
  setFlagsFromString("--semi-space-growth-factor=1");
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")!.space_size;
}
