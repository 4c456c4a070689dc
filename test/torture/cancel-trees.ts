/**
 * Trees whose leaves run commands that ignore SIGTERM and fork others into groups of their own, and
 * that are cancelled in the middle.
 *
 *     node test/torture/cancel-trees.ts --width 4 --depth 3 [--kill]      kill: the gateway too, right after the cancel
 *
 * After ten seconds no process of it may be left, nothing of the tree may change any more, and the
 * cancel must have named what had succeeded before.
 */
import { parseArgs } from "node:util";
import type { ApiTask, CancelResult, FlowDetail, FlowList } from "../../src/api/wire.ts";
import { Gateway, standinConfig } from "../support/gateway.ts";
import { spawnStandin } from "../support/model-standin/spawn.ts";
import { endMarked, marked, STUBBORN } from "../support/processes.ts";

/** What the contract allows. */
const GONE_AFTER_MAX_MS = 10_000;
const GROWN_AFTER_MAX_MS = 120_000;
/** How long late results have to show up. */
const LATE_MS = 3_000;
/** Of the leaves of one parent, the first of so many has its result at once. */
const QUICK_OF = 4;

export interface CancelTreesReport {
  readonly children: number;
  readonly processes: number;
  /** From the cancel; with `kill` the new start is part of it. */
  readonly goneAfterMs: number;
  /** Of the new start, with `kill`. */
  readonly startMs: number | null;
  readonly succeededBefore: number;
  readonly broken: readonly string[];
}

export async function cancelTree({ width, depth, kill }: { width: number; depth: number; kill: boolean }): Promise<CancelTreesReport> {
  const mark = `cancel-trees-${process.pid}-${Date.now()}`;
  const model = await spawnStandin();
  const leaves = width ** depth;
  const gateway = new Gateway({
    config: standinConfig(model.url, { "agents.defaults.subagents.maxSpawnDepth": depth, "agents.defaults.subagents.maxConcurrent": leaves, "agents.defaults.subagents.maxChildrenPerAgent": width, "agents.defaults.subagents.gatherMs": 0 }),
  });
  try {
    await gateway.start();
    await gateway.send(`! call ${spawns(1)} then call sessions_yield {}`);
    const stubborn = 2 * width ** (depth - 1) * (width - Math.ceil(width / QUICK_OF));
    await until(() => marked(mark).length >= stubborn, GROWN_AFTER_MAX_MS);
    const { flowId } = (await gateway.api<FlowList>("GET", "/api/flows")).flows[0]!;
    const before = await flow(flowId);
    const processes = marked(mark).length;
    const cancelled = await gateway.api<CancelResult>("POST", `/api/flows/${flowId}/cancel`, {});
    const at = performance.now();
    if (kill) {
      await gateway.kill9();
      await gateway.start();
    }
    const isGone = await until(() => marked(mark).length === 0, GONE_AFTER_MAX_MS).then(() => true, () => false);
    const goneAfterMs = Math.round(performance.now() - at);
    const after = await flow(flowId);
    await new Promise((resolve) => setTimeout(resolve, LATE_MS));
    const later = await flow(flowId);
    const succeeded = (one: FlowDetail): string[] => one.tasks.filter(({ state }) => state === "succeeded").map(({ taskId }) => taskId);
    const broken = [
      ...(isGone ? [] : [`${marked(mark).length} processes are left`]),
      ...(JSON.stringify(stateOf(after)) === JSON.stringify(stateOf(later)) ? [] : ["the tree changed after it was cancelled"]),
      ...(later.active === 0 && later.state === "cancelled" ? [] : [`the tree is ${later.state} with ${later.active} active`]),
      ...(JSON.stringify(succeeded(later)) === JSON.stringify(cancelled.finished) ? [] : ["the cancel did not name what had succeeded"]),
      ...(succeeded(before).every((id) => cancelled.finished!.includes(id)) ? [] : ["what had succeeded before is not named"]),
      ...(cancelled.tasks.length + cancelled.finished!.length === later.total ? [] : ["not every child is named"]),
    ];
    return { children: later.total, processes, goneAfterMs, startMs: kill ? Math.round(gateway.startMs) : null, succeededBefore: cancelled.finished!.length, broken };
  } finally {
    endMarked(mark);
    await gateway.close();
    await model.close();
  }

  function spawns(level: number): string {
    const one = (n: number): string => {
      const task = level < depth ? `! call ${spawns(level + 1)} then call sessions_yield {}` : n % QUICK_OF === 0 ? "! say found" : `! call exec ${JSON.stringify({ command: `: ${mark}; ${STUBBORN}` })} then say never`;
      return `sessions_spawn ${JSON.stringify({ task, label: `${level}.${n}` })}`;
    };
    return Array.from({ length: width }, (_, n) => one(n)).join(" & ");
  }

  function flow(id: string): Promise<FlowDetail> {
    return gateway.api("GET", `/api/flows/${id}`);
  }
}

function stateOf({ tasks }: FlowDetail): readonly Pick<ApiTask, "taskId" | "state" | "result">[] {
  return tasks.map(({ taskId, state, result }) => ({ taskId, state, ...(result === undefined ? {} : { result }) }));
}

async function until(isTrue: () => boolean, maxMs: number): Promise<void> {
  for (const since = performance.now(); !isTrue(); await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (performance.now() - since > maxMs) throw new Error(`not within ${maxMs} ms`);
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { width: { type: "string", default: "4" }, depth: { type: "string", default: "3" }, kill: { type: "boolean", default: false } } });
  const report = await cancelTree({ width: Number(values.width), depth: Number(values.depth), kill: values.kill });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
