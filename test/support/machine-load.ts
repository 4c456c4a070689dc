/**
 * How much the machine kept a test from the processor: time stolen by the host of a virtual machine,
 * and time in which something was ready but had to wait. For tests that compare durations, and for the bench.
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

export interface LostTime {
  /** The part of the wanted processor time that the host of a virtual machine kept, 0..1. */
  readonly stolen: number;
  /** The part of the time in which something was ready but had to wait, 0..1. */
  readonly heldUp: number;
}

/** Starts watching. @returns a function that tells what was lost since. */
export function watchMachine(): () => LostTime {
  const before = now();
  return () => {
    const after = now();
    const stolen = after.stolen - before.stolen;
    const wanted = after.worked - before.worked + stolen;
    return {
      stolen: wanted <= 0 ? 0 : stolen / wanted,
      heldUp: Math.min(1, (after.heldUpMs - before.heldUpMs) / Math.max(1, after.at - before.at)),
    };
  };
}

/** More than this of the time, and how long something took says little of the program. */
const STOLEN_MAX = 0.1;
const HELD_UP_MAX = 0.3;

/** True when the machine had too much else to do for a duration to be held against the program. */
export function wasTooBusy({ stolen, heldUp }: LostTime): boolean {
  return stolen > STOLEN_MAX || heldUp > HELD_UP_MAX;
}
