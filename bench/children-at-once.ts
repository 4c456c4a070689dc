/** What does it cost when a thousand children of one parent end in the same second? */
import type { History, SpawnAccepted } from "../src/api/wire.ts";
import type { Bench, BenchOptions, Row } from "./support/bench.ts";
import { memoryOf } from "./support/process-usage.ts";
import { personSession, withYard, type Yard } from "./support/yard.ts";

/** How long spawning may take before the first child ends. */
const SPAWN_MS_PER_CHILD = 25;
const SPAWNED_TOGETHER = 20;
const END_MAX_MS = 120_000;

export const childrenAtOnce: Bench = {
  name: "children-at-once",
  question: "What does it cost when a thousand children of one parent end in the same second?",
  run(options: BenchOptions): Promise<Row[]> {
    const children = options.quick ? 200 : 1_000;
    const settings = { "agents.defaults.subagents.maxConcurrent": children, "agents.defaults.subagents.maxChildrenPerAgent": children };
    return withYard(options, settings, async (yard) => {
      const { gateway } = yard;
      const parent = personSession(0);
      await yard.turn(parent, "hello");
      const endsAt = Date.now() + children * SPAWN_MS_PER_CHILD;
      const ids = await spawnAll(yard, parent, children, endsAt);
      const spareMs = endsAt - Date.now();
      await gateway.loopDelayP99Ms();
      const before = memoryOf(gateway.pid);
      const digests = await digestsOf(yard, parent, ids);
      const delay = await gateway.loopDelayP99Ms();
      const after = memoryOf(gateway.pid);
      const tookMs = Date.now() - endsAt;
      const note = `${children} children, spawned ${(spareMs / 1000).toFixed(1)} s before they ended; each result in the parent's transcript exactly once, in ${digests} digests of one turn each`;
      return [
        { name: `${children} children end at once: event loop delay, p99`, unit: "ms", measured: delay, must: 50, aim: 20, floor: null, note },
        { name: `${children} children end at once: until the parent has all results`, unit: "ms", measured: tookMs, must: null, aim: null, floor: null, note: "from the moment at which all of them end; gatherMs included" },
        { name: `${children} children end at once: memory grown`, unit: "MB", measured: Math.max(0, after.rssMb - before.rssMb), must: null, aim: null, floor: null, note: `RSS ${before.rssMb.toFixed(0)} -> ${after.rssMb.toFixed(0)} MB` },
      ];
    });
  },
};

async function spawnAll({ gateway }: Yard, parent: string, children: number, endsAt: number): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let n = 0; n < children; n += SPAWNED_TOGETHER) {
    const some = Array.from({ length: Math.min(SPAWNED_TOGETHER, children - n) }, (_, index) => {
      const task = `! wait ${Math.max(0, endsAt - Date.now())}ms then say result ${n + index}`;
      return gateway.http.json<SpawnAccepted>("POST", "/api/spawns", { task, parent, label: `c${n + index}` });
    });
    ids.push(...(await Promise.all(some)).map(({ taskId }) => taskId));
  }
  return ids;
}

/** Waits for all results. @returns in how many digests they came. @throws when one came twice. */
async function digestsOf({ gateway, events }: Yard, parent: string, ids: readonly string[]): Promise<number> {
  const untilMs = Date.now() + END_MAX_MS;
  for (;;) {
    await events.reply(parent);
    const { entries } = await gateway.http.json<History>("GET", `/api/sessions/${encodeURIComponent(parent)}/history?limit=500`);
    const digests = entries.filter(({ provenance }) => provenance === "child");
    const told = new Map<string, number>();
    for (const { text } of digests) for (const [, id] of text.matchAll(/^\d+\. .*\((task_[a-z0-9]+)\)/gm)) told.set(id!, (told.get(id!) ?? 0) + 1);
    if ([...told.values()].some((times) => times > 1)) throw new Error("a result came twice");
    if (ids.every((id) => told.has(id))) return digests.length;
    if (Date.now() > untilMs) throw new Error(`${ids.length - told.size} results never came`);
  }
}
