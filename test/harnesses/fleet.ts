/**
 * Fifty agents on two accounts, and two of them are real coding agents: does anything fail?
 *
 * Claude Code and OpenCode, as they are on npm, work offline as children beside 48 native ones. All call
 * models through the gateway: the coding agents through its proxy, with a token of their own session's.
 * Real minutes against stand-ins, judged by the stand-ins' logs alone:
 *
 *     node test/harnesses/fleet.ts [--agents 50]
 *
 * Each provider allows 15 requests a minute, then 60, then answers 529 to everything for three minutes.
 * Last result (two cores that seven others used as well, 2026-11-29): 52 of 52 succeeded in 421 s, the
 * coding agents with four calls each; the two that were spawned into the wall waited it out in 227 s.
 *
 * Installs the coding agents first, unless they are there (`YARD_HARNESSES` names the folder).
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { entryFor, install } from "./programs.ts";
import { startStandin, type Standin } from "../support/model-standin/standin.ts";
import { Gateway } from "../support/gateway.ts";

const { values } = parseArgs({ options: { agents: { type: "string", default: "50" } } });
const natives = Number(values.agents) - 2;
const MINUTE_MS = 60_000;
const SLOW = 15;
const FAST = 60;
const SLOW_MS = 3 * MINUTE_MS;
const WALL_MS = 3 * MINUTE_MS;
const ALL_MS_MAX = 30 * MINUTE_MS;
const LATENCY = { firstByteMs: 200, totalMs: 1_000 };
/** The one model that both kinds of agents ask for. */
const CLAUDE_MODEL = "claude-sonnet-5-5";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const [claude, opencode] = [await install("claude"), await install("opencode")];
const scratch = realpathSync(mkdtempSync(join(tmpdir(), "fleet-")));
const [cwd, home] = [join(scratch, "work"), join(scratch, "home")];
for (const folder of [cwd, home]) mkdirSync(folder);
writeFileSync(join(cwd, "hello.txt"), "the treasure is under the oak");
const standins: readonly Standin[] = await Promise.all([startStandin({ requestsPerMinute: SLOW, ...LATENCY }), startStandin({ requestsPerMinute: SLOW, ...LATENCY })]);
const [anthropic, openai] = standins as [Standin, Standin];
const gateway = new Gateway({
  config: {
    "models.providers": {
      a: { api: "anthropic-messages", baseUrl: `${anthropic.url}/v1`, apiKey: "the-real-key-of-a", models: [CLAUDE_MODEL] },
      o: { api: "openai-completions", baseUrl: `${openai.url}/v1`, apiKey: "the-real-key-of-o", models: ["standin"] },
    },
    "agents.defaults.model": "o/standin",
    "agents.defaults.subagents.maxConcurrent": natives,
    "acp.memoryReserveMb": 0,
    "messages.messageWaitMs": 0,
  },
});

try {
  await gateway.start();
  const forClaude = entryFor("claude", { program: claude, modelUrl: "{proxy}/anthropic", home, key: "{token}" });
  const models = { ANTHROPIC_MODEL: CLAUDE_MODEL, ANTHROPIC_SMALL_FAST_MODEL: CLAUDE_MODEL, ANTHROPIC_DEFAULT_HAIKU_MODEL: CLAUDE_MODEL, API_TIMEOUT_MS: "900000" };
  const forOpencode = entryFor("opencode", { program: opencode, modelUrl: "{proxy}/openai", home, key: "{token}" });
  await gateway.api("PATCH", "/api/config", { "acp.agents": { claude: { ...forClaude, proxy: true, env: { ...forClaude.env, ...models } }, opencode: { ...forOpencode, proxy: true } } });

  const began = Date.now();
  const spawn = (task: object): Promise<string> => gateway.api<{ taskId: string }>("POST", "/api/spawns", task).then(({ taskId }) => taskId);
  const read = `call @read {"path": "${join(cwd, "hello.txt")}"}`;
  const tasks = await Promise.all([
    spawn({ runtime: "acp", agent: "claude", cwd, label: "claude", task: `claude\n! ${read} then ${read} then say I read: <last>` }),
    spawn({ runtime: "acp", agent: "opencode", cwd, label: "opencode", task: `opencode\n! ${read} then ${read} then say I read: <last>` }),
    ...Array.from({ length: natives }, (_, n) => spawn({ label: `native-${n}`, model: n % 2 === 0 ? `a/${CLAUDE_MODEL}` : "o/standin", task: `native ${n}\n! call list {"path":"."} then call list {"path":"."} then say done` })),
  ]);
  // A coding agent that asks is answered.
  let isOver = false;
  const answering = (async () => {
    while (!isOver) {
      const { approvals } = await gateway.api<{ approvals: { approvalId: string }[] }>("GET", "/api/approvals?state=pending");
      for (const { approvalId } of approvals) await gateway.call("POST", `/api/approvals/${approvalId}`, { answer: "once" });
      await sleep(500);
    }
  })();
  const ends = Promise.all(tasks.map((taskId) => gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: ALL_MS_MAX })));
  const phases: { name: string; from: number; to: number }[] = [];
  const phase = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const from = phases.at(-1)?.to ?? began;
    await work();
    phases.push({ name, from, to: Date.now() });
  };
  await phase("slow", () => sleep(SLOW_MS));
  for (const each of standins) each.configure({ requestsPerMinute: FAST });
  await phase("fast", async () => {
    while (standins.reduce((sum, each) => sum + each.log().filter(({ status }) => status === 200).length, 0) < 2 * natives) await sleep(100);
  });
  // Both coding agents meet the wall with a question of their own.
  tasks.push(
    await spawn({ runtime: "acp", agent: "claude", cwd, label: "claude-2", task: `claude 2\n! ${read} then say I read: <last>` }),
    await spawn({ runtime: "acp", agent: "opencode", cwd, label: "opencode-2", task: `opencode 2\n! ${read} then say I read: <last>` }),
  );
  for (const each of standins) each.configure({ faults: [{ step: "fail 529 times 1000000" }] });
  await phase("wall", () => sleep(WALL_MS));
  for (const each of standins) each.configure({ faults: [] });
  await phase("after", async () => {
    await ends;
    for (const taskId of tasks.slice(-2)) await gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: ALL_MS_MAX });
  });
  isOver = true;
  await answering;

  const rows = await Promise.all(tasks.map((taskId) => gateway.api<{ label: string; state: string; result: string; fault: unknown; startedAt: number; endedAt: number; usage: { calls: number } }>("GET", `/api/tasks/${taskId}`)));
  const count = (states: readonly string[]): Record<string, number> => Object.fromEntries([...new Set(states)].map((state) => [state, states.filter((one) => one === state).length]));
  console.log(JSON.stringify({ agents: tasks.length, seconds: Math.round((Date.now() - began) / 1000), states: count(rows.map(({ state }) => state)) }));
  for (const { label, state, result, fault, startedAt, endedAt, usage } of rows.filter((row) => row.state !== "succeeded" || /claude|opencode/.test(row.label))) console.log(JSON.stringify({ label, state, seconds: Math.round((endedAt - startedAt) / 1000), calls: usage.calls, result: (result ?? "").slice(0, 60), fault }));
  for (const [name, each] of [["a", anthropic], ["o", openai]] as const) {
    for (const { name: phaseName, from, to } of phases) {
      const here = each.log().filter(({ arrivedAt }) => arrivedAt >= from && arrivedAt < to);
      const good = here.filter(({ status }) => status === 200).map(({ arrivedAt }) => arrivedAt);
      const ofHarnesses = here.filter(({ tools }) => !tools.includes("sessions_spawn") && !tools.includes("memory")).length;
      console.log(JSON.stringify({ provider: name, phase: phaseName, seconds: Math.round((to - from) / 1000), answered: good.length, ofHarnesses, refused: count(here.filter(({ status }) => status !== 200).map(({ status }) => String(status))), mostInAMinute: Math.max(0, ...good.map((first) => good.filter((at) => at >= first && at < first + MINUTE_MS).length)) }));
    }
  }
} finally {
  await gateway.close();
  for (const each of standins) await each.close();
  rmSync(scratch, { recursive: true, force: true });
}
