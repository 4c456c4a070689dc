/** What the kernel says a process has used: CPU over all its threads, and memory. Linux only. */
import { readFileSync } from "node:fs";

/** The kernel counts CPU in hundredths of a second. */
const TICK_MS = 10;
const KIB_PER_MB = 1024;

/** CPU time of a process since it began, user and system, milliseconds. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export interface Memory {
  readonly rssMb: number;
  /** Pages shared with other processes count in part: what would be free if this process went. */
  readonly pssMb: number;
  /** The most that RSS ever was. */
  readonly peakRssMb: number;
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  return { rssMb: kib(status, "VmRSS") / KIB_PER_MB, pssMb: kib(rollup, "Pss") / KIB_PER_MB, peakRssMb: kib(status, "VmHWM") / KIB_PER_MB };
}

function kib(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text);
  if (found === null) throw new Error(`the kernel does not tell ${name}`);
  return Number(found[1]);
}
