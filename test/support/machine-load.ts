/**
 * How much the machine kept a test from the processor: time stolen by the host of a virtual machine,
 * and time in which something was ready but had to wait. For tests that compare durations.
 */
import { readFileSync } from "node:fs";

interface Moment {
  readonly at: number;
  readonly worked: number;
  readonly stolen: number;
  readonly heldUpMs: number;
}

function now(): Moment {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = numbersOf("/proc/stat", /^cpu\s+(.+)$/m);
  const [heldUpUs = 0] = numbersOf("/proc/pressure/cpu", /^some .*total=(\d+)/m);
  return { at: performance.now(), worked: user + nice + system + irq + softirq, stolen, heldUpMs: heldUpUs / 1000 };
}

function numbersOf(file: string, line: RegExp): number[] {
  try {
    return line.exec(readFileSync(file, "utf8"))?.[1]?.split(/\s+/).map(Number) ?? [];
  } catch {
    return []; // Not this system: then nothing is known, and nothing is excused.
  }
}

/** Starts watching. @returns a function that tells the part of the time that was lost since, 0..1. */
export function watchMachine(): () => number {
  const before = now();
  return () => {
    const after = now();
    const stolen = after.stolen - before.stolen;
    const wanted = after.worked - before.worked + stolen;
    const heldUp = (after.heldUpMs - before.heldUpMs) / Math.max(1, after.at - before.at);
    return Math.min(1, Math.max(wanted <= 0 ? 0 : stolen / wanted, heldUp));
  };
}
