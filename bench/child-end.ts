/** How soon after a child's end does its parent's model hear of it? */
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { median, p99 } from "./support/percentiles.ts";
import { personSession, withYard, type Yard } from "./support/yard.ts";

/** Long enough for the parent's first turn to be over before the child ends. */
const CHILD_MS = 150;

export const childEnd: Bench = {
  name: "child-end",
  question: "How soon after a child's end does its parent's model hear of it?",
  run(options: BenchOptions): Promise<Row[]> {
    const children = options.quick ? 15 : 100;
    return withYard(options, { "agents.defaults.subagents.gatherMs": 0 }, async (yard) => {
      const gaps: number[] = [];
      for (let n = 0; n < children; n++) gaps.push(await gapOf(yard, n));
      const floor = await straightGaps(yard, children);
      const note = `${children} children, by the stand-in's log: end of the child's answer to arrival of the parent's request, gatherMs 0; floor: two straight calls, one after the other`;
      return [
        { name: "child end to parent's model call, p50", unit: "ms", measured: median(gaps), must: 20, aim: 10, floor, note },
        { name: "child end to parent's model call, p99", unit: "ms", measured: p99(gaps), must: null, aim: null, floor, note: "" },
      ];
    });
  },
};

async function gapOf({ turn, events, standin }: Yard, n: number): Promise<number> {
  const said = `child-${n}-is-done`;
  const session = personSession(n);
  const task = JSON.stringify({ task: `! wait ${CHILD_MS}ms then say ${said}`, label: `c${n}` });
  await turn(session, `! call sessions_spawn ${task} then say started`);
  await events.reply(session);
  const log = await standin.log();
  const child = log.find((record) => record.reply === said);
  if (child?.endedAt == null) throw new Error(`no child of the stand-in's log said ${said}`);
  const parent = log.find((record) => record.arrivedAt >= child.endedAt! && record.userTexts.some((text) => text.includes(said)));
  if (parent === undefined) throw new Error(`no parent was told ${said}`);
  await standin.reset();
  return parent.arrivedAt - child.endedAt;
}

async function straightGaps({ floor, standin }: Yard, count: number): Promise<number> {
  await standin.reset();
  for (let n = 0; n <= count; n++) await floor.call();
  const log = await standin.log();
  return median(log.slice(1).map((record, n) => record.arrivedAt - log[n]!.endedAt!));
}
