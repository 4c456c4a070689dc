/**
 * How close to a provider's limit do fifty agents come, and does it ever refuse more than it must?
 *
 * Real minutes against the stand-in, which allows so many requests a minute: `node bench/governor.ts
 * [requests a minute] [agents]`. The gateway knows no limit; it learns it from the first refusal.
 *
 * Last result (two busy cores, 2026-11-21): 50 of 50 succeeded in 200 s, 15 in the fullest minute,
 * 99.8 % of the limit; the 35 refusals are those of the first burst.
 */
import { startStandin } from "../test/support/model-standin/standin.ts";
import { Gateway } from "../test/support/gateway.ts";

const perMinute = Number(process.argv[2] ?? 15);
const agents = Number(process.argv[3] ?? 50);
const MINUTE_MS = 60_000;

const standin = await startStandin({ requestsPerMinute: perMinute });
const gateway = new Gateway({
  config: {
    "models.providers": { p: { api: "openai-completions", baseUrl: `${standin.url}/v1`, apiKey: "k", models: ["m"] } },
    "agents.defaults.model": "p/m",
    "agents.defaults.subagents.maxConcurrent": agents,
  },
});
try {
  await gateway.start();
  const began = performance.now();
  const spawned = await Promise.all(Array.from({ length: agents }, (_, n) => gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: `child ${n}`, label: `child-${n}` })));
  const atMostMs = (agents / perMinute + 2) * MINUTE_MS;
  const states: Record<string, number> = {};
  for (const { taskId } of spawned) {
    await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: atMostMs });
    const { state } = await gateway.api<{ state: string }>("GET", `/api/tasks/${taskId}`);
    states[state] = (states[state] ?? 0) + 1;
  }
  const seconds = (performance.now() - began) / 1000;
  const answered = standin.log().filter(({ status }) => status === 200).map(({ arrivedAt }) => arrivedAt);
  const most = Math.max(...answered.map((from) => answered.filter((at) => at >= from && at < from + MINUTE_MS).length));
  console.log(JSON.stringify({ perMinute, agents, states, seconds: Math.round(seconds), refused: standin.log().length - answered.length, mostInAMinute: most, ofTheLimit: Number((agents / Math.max(1, seconds / 60) / perMinute).toFixed(3)) }));
} finally {
  await gateway.close();
  await standin.close();
}
