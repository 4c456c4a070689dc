/**
 * How much processor time the host of a virtual machine kept from it, which makes every absolute
 * figure worse without any fault of the program. Zero where the system does not say.
 */
import { readFileSync } from "node:fs";

export interface ProcessorTime {
  readonly worked: number;
  readonly stolen: number;
}

/** Clock ticks since the machine started, over all cores. */
export function processorTime(): ProcessorTime {
  try {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = /^cpu\s+(.+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]?.split(/\s+/).map(Number) ?? [];
    return { worked: user + nice + system + irq + softirq, stolen };
  } catch {
    return { worked: 0, stolen: 0 };
  }
}

/** The part of the wanted time that was not given, 0..1. */
export function stolenPart(before: ProcessorTime, after: ProcessorTime): number {
  const stolen = after.stolen - before.stolen;
  const wanted = after.worked - before.worked + stolen;
  return wanted <= 0 ? 0 : stolen / wanted;
}
