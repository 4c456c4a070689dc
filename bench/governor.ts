/**
 * Fifty agents on one account: does anything fail, does the provider ever get more than it allows,
 * how much of its limit is used, how long do people wait, and does anybody come back in step?
 *
 * Real minutes against the stand-in, judged by the stand-in's log alone:
 *
 *     node bench/governor.ts [--agents 50] [--limits known|learned|blind] [--quick]
 *
 * The provider allows 15 requests a minute, then 60, then answers 529 to everything for three minutes
 * without a word of when it ends, then goes on. Each agent makes three calls; a person asks four times
 * a minute. With `learned` the gateway is told nothing but what the provider's headers say; with `blind`
 * the provider says nothing either, and only its refusals teach.
 *
 * A place is a minute divided by the rate that is in force, as far as the gateway knows it. A person's wait is counted from the question, or from
 * the end of the wall that it met: nobody can be answered before. Places of people who asked before, and the one in
 * seven that the background gets when many people wait, are not counted. The first minute counts too.
 *
 * Last result (two cores under a load of 17, 2026-11-29, at 8fb086f); people's longest waits, in places:
 *   known    50 of 50 in 559 s, no 429; 98.5 % of 15 a minute, 97.9 % of 60; people 0.75, 0.67, at the wall 0.18, after it 1.35;
 *            155 tries at the wall; variation of retry delays 6.2
 *   learned  50 of 50 in 562 s, 36 refused in the first burst and none later; 98.8 % and 97.5 %; people 1.18, 0.40, 1.30, 0.03;
 *            157 tries; variation 2.2
 *   blind    50 of 50 in 726 s, 45 refused; a raised limit is found slowly (39 % of 60); people 1.59, 0.99, 1.08, one 2.89 after
 *            the wall; 76 tries; variation 1.6
 */
import { parseArgs } from "node:util";
import { startStandin, type LogRecord } from "../test/support/model-standin/standin.ts";
import type { LanesAnswer } from "../src/api/wire.ts";
import { Gateway } from "../test/support/gateway.ts";

const { values } = parseArgs({ options: { agents: { type: "string", default: "50" }, limits: { type: "string", default: "learned" }, quick: { type: "boolean", default: false } } });
const agents = Number(values.agents);
const isKnown = values.limits === "known";
const isBlind = values.limits === "blind";
const MINUTE_MS = 60_000;
const SLOW = 15;
const FAST = 60;
const SLOW_MS = (values.quick ? 2 : 4) * MINUTE_MS;
/** At the fast rate until so many calls of agents are left for the time after the wall. */
const LEFT_FOR_AFTER = Math.ceil(agents / 2);
const WALL_MS = (values.quick ? 1 : 3) * MINUTE_MS;
const QUESTION_EVERY_MS = 15_000;
const ALL_MS_MAX = 30 * MINUTE_MS;
const taskOf = (n: number): string => `agent ${n}\n! call list {"path":"."} then call list {"path":"."} then say done`;
const CALLS = 3 * agents;

const standin = await startStandin({ requestsPerMinute: SLOW, firstByteMs: 200, totalMs: 1_000 });
const provider = (perMinute: number): object => ({ p: { api: isBlind ? "google-generative-ai" : "openai-completions", baseUrl: `${standin.url}/${isBlind ? "v1beta" : "v1"}`, apiKey: "k", models: ["m"], ...(isKnown ? { limits: { requestsPerMinute: perMinute } } : {}) } });
const gateway = new Gateway({ config: { "models.providers": provider(SLOW), "agents.defaults.model": "p/m", "agents.defaults.subagents.maxConcurrent": agents, "messages.messageWaitMs": 0 } });
const now = (): number => performance.timeOrigin + performance.now();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
interface Asked {
  readonly at: number;
  readonly text: string;
  /** The limit that the gateway knew of then: nobody can know at once that it was raised. */
  readonly knownPerMinute: number | null;
  /** null, or what came instead of an answer. */
  readonly answered: Promise<string | null>;
}

const ofAgents = (record: LogRecord): boolean => record.script !== null && record.script.includes("list");
const answered = (): readonly LogRecord[] => standin.log().filter(({ status }) => status === 200);

try {
  await gateway.start();
  const began = now();
  const phases: { name: string; from: number; to: number; perMinute: number }[] = [];
  let isOver = false;
  const asked: Asked[] = [];
  const asking = (async () => {
    for (let n = 0; !isOver; n++) {
      const text = `question ${n}`;
      const [lane] = (await gateway.api<LanesAnswer>("GET", "/api/lanes").catch(() => gateway.api<LanesAnswer>("GET", "/api/lanes"))).accounts;
      const { messageId } = await gateway.send(text, { session: `agent:main:web:direct:p${n}` });
      asked.push({ at: now(), text, knownPerMinute: lane?.requestsPerMinute ?? null, answered: gateway.waitReply(messageId, ALL_MS_MAX).then(() => null, String) });
      await sleep(QUESTION_EVERY_MS);
    }
  })();
  const spawned = await Promise.all(Array.from({ length: agents }, (_, n) => gateway.api<{ taskId: string }>("POST", "/api/spawns", { task: taskOf(n), label: `agent-${n}` })));
  const ends = Promise.all(spawned.map(({ taskId }) => gateway.waitEvent((event) => event.type === "task.ended" && event.taskId === taskId, { timeoutMs: ALL_MS_MAX })));

  await sleep(SLOW_MS);
  phases.push({ name: "slow", from: began, to: now(), perMinute: SLOW });
  if (isKnown) await gateway.call("PATCH", "/api/config", { "models.providers": provider(FAST) });
  standin.configure({ requestsPerMinute: FAST });
  const fastFrom = now();
  while (answered().filter(ofAgents).length < CALLS - LEFT_FOR_AFTER) await sleep(100);
  phases.push({ name: "fast", from: fastFrom, to: now(), perMinute: FAST });
  standin.configure({ faults: [{ step: "fail 529 times 1000000" }] });
  const wallFrom = now();
  await sleep(WALL_MS);
  standin.configure({ faults: [] });
  phases.push({ name: "wall", from: wallFrom, to: now(), perMinute: FAST });
  const afterFrom = now();
  await ends;
  phases.push({ name: "after", from: afterFrom, to: now(), perMinute: FAST });
  isOver = true;
  await asking;

  const states: Record<string, number> = {};
  for (const { taskId } of spawned) {
    const { state } = await gateway.api<{ state: string }>("GET", `/api/tasks/${taskId}`);
    states[state] = (states[state] ?? 0) + 1;
  }
  const log = standin.log();
  const questions = await Promise.all(asked.map(async ({ at, text, knownPerMinute, answered: came }) => ({ at, knownPerMinute, problem: await came, arrivedAt: log.find((record) => record.status === 200 && record.userTexts.some((said) => said.endsWith(text)))?.arrivedAt ?? Infinity })));
  console.log(JSON.stringify({ limits: values.limits, agents, states, questions: questions.length, unanswered: questions.flatMap(({ problem }) => problem ?? []), seconds: Math.round((now() - began) / 1000) }));
  const wall = phases.find(({ name }) => name === "wall")!;
  const placesWaited = ({ at, arrivedAt, knownPerMinute }: Pick<Asked, "at" | "knownPerMinute"> & { arrivedAt: number }): number => {
    const { perMinute } = phases.find(({ to }) => at < to)!;
    const from = at < wall.to && arrivedAt > wall.from ? wall.to : at;
    const ahead = questions.filter((other) => other.at < at && other.arrivedAt > from).length;
    return ((arrivedAt - from) * Math.min(perMinute, knownPerMinute ?? Infinity)) / MINUTE_MS - ahead - Math.floor((ahead + 1) / 6);
  };
  for (const { name, from, to, perMinute } of phases) {
    const here = log.filter(({ arrivedAt }) => arrivedAt >= from && arrivedAt < to);
    const good = here.filter(({ status }) => status === 200).map(({ arrivedAt }) => arrivedAt);
    // In the first minute the provider's bucket is full, and the limit is still being learned. After the wall people who waited go first, and are counted.
    const steadyFrom = name === "slow" ? from + MINUTE_MS : name === "after" ? from : from + 5_000;
    const steady = good.filter((at) => at >= steadyFrom);
    const waits = questions.filter(({ at }) => at >= from && at < to).map((question) => placesWaited(question));
    console.log(
      JSON.stringify({
        phase: name,
        perMinute,
        seconds: Math.round((to - from) / 1000),
        answered: good.length,
        refused: Object.fromEntries([429, 529].map((status) => [status, here.filter((record) => record.status === status).length])),
        mostInAMinute: mostIn(good, MINUTE_MS),
        ofTheLimit: steady.length < 2 ? null : round((steady.length - 1) / ((steady.at(-1)! - steady[0]!) / MINUTE_MS) / perMinute),
        personWaitsPlaces: { questions: waits.length, most: round(Math.max(0, ...waits)), mean: round(mean(waits)) },
        mostIn100Ms: mostIn(here.map(({ arrivedAt }) => arrivedAt), 100),
      }),
    );
  }
  const retries = retryDelays(log);
  console.log(JSON.stringify({ retries: retries.length, retryDelaySeconds: { mean: round(mean(retries) / 1000), variation: round(variation(retries)) } }));
} finally {
  await gateway.close();
  await standin.close();
}

/** How long after each refusal the same question came again. */
function retryDelays(log: readonly LogRecord[]): number[] {
  const refused = new Map<string, number>();
  const delays: number[] = [];
  for (const record of log) {
    const question = JSON.stringify([record.userTexts, record.turns, record.toolResults.length]);
    const before = refused.get(question);
    if (before !== undefined) delays.push(record.arrivedAt - before);
    if (record.status === 200) refused.delete(question);
    else refused.set(question, record.arrivedAt);
  }
  return delays;
}

function mostIn(times: readonly number[], ms: number): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + ms).length));
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variation(values: readonly number[]): number {
  const middle = mean(values);
  return middle === 0 ? 0 : Math.sqrt(mean(values.map((value) => (value - middle) ** 2))) / middle;
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
