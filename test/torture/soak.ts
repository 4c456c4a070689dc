/**
 * A gateway that is used for a long time: does anything grow?
 *
 *     node test/torture/soak.ts --minutes 10 --sessions 50 --seed 1
 *
 * People talk in their sessions, start children and commands; jobs fire; clients connect and leave. After a
 * warm-up of a quarter of the time, memory, descriptors, timers and processes must be flat, the event loop
 * quick and the log file of the database bounded; every moment of a job must have its one row. Prints a
 * table; exit code 1 when a bound is broken.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { seededRandom } from "../../src/base/ids.ts";
import type { ApiEvent, ApiJob, ApiJobRun, JobRunList, LanesAnswer } from "../../src/api/wire.ts";
import { Gateway, bounded, standinConfig } from "../support/gateway.ts";
import { watchMachine } from "../support/machine-load.ts";
import { spawnStandin } from "../support/model-standin/spawn.ts";
import { pause } from "./ordeal.ts";

const SAMPLE_EVERY_MS = 1_000;
const WARM_UP_PART = 0.25;
const CLIENTS = 10;
const JOBS = 10;
const JOB_EVERY_MS = 2_000;
const REPLY_MAX_MS = 60_000;
const REST_MAX_MS = 60_000;
/** Growth from the first to the last third after the warm-up. */
const HEAP_GROWTH_MB_MAX = 16;
const RESIDENT_GROWTH_MB_MAX = 48;
const TIMERS_GROWTH_MAX = 40;
const DESCRIPTORS_GROWTH_MAX = 40;
const PROCESSES_GROWTH_MAX = 2;
const LOOP_P99_MS_MAX = 50;
const WAL_MB_MAX = 64;
/** A machine that gives this part of the time to others cannot judge the event loop. */
const HELD_UP_MAX = 0.3;

export interface SoakOptions {
  readonly minutes: number;
  readonly sessions: number;
  readonly seed: number;
}

interface Sample {
  readonly residentMb: number;
  readonly heapMb: number;
  readonly timers: number;
  readonly descriptors: number;
  readonly processes: number;
  readonly loopP99Ms: number;
  readonly walMb: number;
}

export interface SoakReport {
  readonly replies: number;
  /** Of jobs, also those that were skipped because the one before was not over. */
  readonly runs: number;
  readonly samples: readonly Sample[];
  readonly heldUp: number;
  /** What grew or was too slow; empty = nothing. */
  readonly broken: readonly string[];
}

export async function soak({ minutes, sessions, seed }: SoakOptions): Promise<SoakReport> {
  const home = mkdtempSync(join(tmpdir(), "yard-soak-"));
  const standin = await spawnStandin(["--strict"]);
  const probe = join(home, "probe");
  const config = standinConfig(standin.url, { "agents.defaults.maxConcurrent": sessions, "agents.defaults.subagents.maxConcurrent": sessions, "agents.defaults.subagents.archiveAfterMinutes": 1 });
  const gateway = new Gateway({ home, config, env: { NODE_OPTIONS: `--import=${fileURLToPath(new URL("./probe.ts", import.meta.url))}`, PROBE_FILE: probe } });
  const lostTime = watchMachine();
  const over = new AbortController();
  const samples: Sample[] = [];
  try {
    await gateway.start();
    const untilMs = performance.now() + minutes * 60_000;
    const jobs = await makeJobs(gateway);
    const talk = new Talk(gateway, sessions, seed, over.signal);
    const done = talk.run();
    while (performance.now() < untilMs) {
      await pause(SAMPLE_EVERY_MS);
      const sample = sampleOf(gateway, probe);
      if (sample !== null) samples.push(sample);
    }
    over.abort();
    await done;
    const heldUp = lostTime().heldUp;
    const paused = await Promise.all(jobs.map(({ jobId }) => gateway.api<ApiJob>("PATCH", `/api/jobs/${jobId}`, { enabled: false })));
    const rest = await atRest(gateway);
    const runs = await Promise.all(paused.map((job) => allRuns(gateway, job)));
    const broken = [...talk.broken, ...rest, ...paused.flatMap((job, n) => momentsMissed(job, runs[n]!)), ...judge(samples, heldUp)];
    return { replies: talk.replies, runs: runs.flat().length, samples, heldUp, broken };
  } finally {
    over.abort();
    await gateway.close();
    await standin.close();
    rmSync(home, { recursive: true, force: true });
  }
}

/** People and clients, until they are told to stop. */
class Talk {
  readonly #gateway: Gateway;
  readonly #sessions: number;
  readonly #random: () => number;
  readonly #over: AbortSignal;
  #stopFollowing: () => void = () => {};
  /** An answer may be heard before its message's acknowledgement is read; whoever comes first makes the entry. */
  readonly #answers = new Map<string, PromiseWithResolvers<true>>();
  readonly broken: string[] = [];
  replies = 0;

  constructor(gateway: Gateway, sessions: number, seed: number, over: AbortSignal) {
    this.#gateway = gateway;
    this.#sessions = sessions;
    this.#over = over;
    const bytes = seededRandom(seed);
    this.#random = () => (bytes(1)[0] ?? 0) / 256;
  }

  async run(): Promise<void> {
    const following = this.#follow();
    await Promise.all([...Array.from({ length: this.#sessions }, (_none, n) => this.#person(n)), ...Array.from({ length: CLIENTS }, () => this.#client())]);
    this.#stopFollowing();
    await following;
  }

  async #follow(): Promise<void> {
    const events = this.#gateway.events(null, "now");
    const stopped = new Promise<null>((resolve) => {
      this.#stopFollowing = () => resolve(null);
    });
    for (;;) {
      const next = await Promise.race([events.next(), stopped]);
      if (next === null || next.done === true) break;
      this.#heard(next.value);
    }
    void events.return(undefined).catch(() => {});
  }

  #heard(event: ApiEvent): void {
    if (event.type !== "reply") return;
    for (const id of event.data["replyTo"] as string[]) this.#answerTo(id).resolve(true);
  }

  #answerTo(messageId: string): PromiseWithResolvers<true> {
    const answer = this.#answers.get(messageId) ?? Promise.withResolvers<true>();
    this.#answers.set(messageId, answer);
    return answer;
  }

  async #person(n: number): Promise<void> {
    const session = `agent:main:api:direct:person${n}`;
    for (let count = 0; !this.#over.aborted; count++) {
      const { messageId } = await this.#gateway.send(this.#script(`${n}.${count}`), { session });
      const late = `${session} waited more than ${REPLY_MAX_MS / 1000} s for an answer`;
      try {
        await bounded(REPLY_MAX_MS, late, this.#answerTo(messageId).promise);
        this.replies++;
      } catch {
        this.broken.push(late);
      }
      this.#answers.delete(messageId);
      await pause(this.#random() * 1_000);
    }
  }

  #script(name: string): string {
    const chance = this.#random();
    const waitMs = Math.round(this.#random() * 500);
    if (chance < 0.1) return `! call sessions_spawn ${JSON.stringify({ task: `! wait ${waitMs}ms then say child of ${name}`, label: `${name}-<i>`, cleanup: "delete" })} x 2 then call sessions_yield {"waitFor":"all"} then say answer ${name}`;
    if (chance < 0.13) return `! call exec {"command":"true"} then say answer ${name}`;
    return `! wait ${waitMs}ms then write 400`;
  }

  /** Comes, listens for a while and goes without a word. */
  async #client(): Promise<void> {
    while (!this.#over.aborted) {
      const socket = new WebSocket(`${this.#gateway.url.replace("http", "ws")}/api/socket`, { headers: { authorization: `Bearer ${this.#gateway.token}` } });
      socket.on("error", () => {});
      socket.on("open", () => socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: { after: "now" } })));
      await pause(this.#random() * 2_000);
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.terminate();
      await closed;
    }
  }
}

/** One in two starts a child. */
async function makeJobs(gateway: Gateway): Promise<readonly ApiJob[]> {
  const message = (n: number): string => (n % 2 === 0 ? "! say done" : `! call sessions_spawn {"task":"! say child of a job","label":"job-<i>","cleanup":"delete"} then call sessions_yield {"waitFor":"all"} then say done`);
  const add = (n: number): Promise<ApiJob> => gateway.api("POST", "/api/jobs", { name: `soak-${n}`, schedule: { kind: "every", everyMs: JOB_EVERY_MS }, payload: { kind: "agentTurn", message: message(n) }, delivery: { mode: "none" } });
  return Promise.all(Array.from({ length: JOBS }, (_none, n) => add(n)));
}

async function allRuns(gateway: Gateway, { jobId }: ApiJob): Promise<readonly ApiJobRun[]> {
  const runs: ApiJobRun[] = [];
  for (let after = ""; ; ) {
    const page = await gateway.api<JobRunList>("GET", `/api/jobs/${jobId}/runs?limit=100${after}`);
    runs.push(...page.runs);
    if (page.next === undefined) return runs;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}

/** From the first moment to the last there is one row for each step of the clock, and each run is over. */
function momentsMissed({ name }: ApiJob, runs: readonly ApiJobRun[]): string[] {
  const moments = runs.map(({ scheduledFor }) => scheduledFor).toSorted((a, b) => a - b);
  const wrong = moments.slice(1).flatMap((moment, n) => (moment - moments[n]! === JOB_EVERY_MS ? [] : [`${name} has a moment ${moment - moments[n]!} ms after the one before`]));
  const open = runs.filter(({ state }) => state === "running" || state === "waiting").length;
  const failed = runs.filter(({ state }) => state === "failed" || state === "missed").length;
  return [...(moments.length === 0 ? [`${name} never ran`] : []), ...wrong, ...(open > 0 ? [`${open} runs of ${name} are not over`] : []), ...(failed > 0 ? [`${failed} runs of ${name} failed or were missed`] : [])];
}

function sampleOf({ pid, home }: Gateway, probe: string): Sample | null {
  const line = existsSync(probe) ? readFileSync(probe, "utf8").trimEnd().split("\n").at(-1) : undefined;
  if (line === undefined || line === "") return null;
  const wal = join(home, "yard.sqlite-wal");
  return {
    ...(JSON.parse(line) as Pick<Sample, "heapMb" | "timers" | "loopP99Ms">),
    residentMb: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    processes: readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter((word) => word.trim() !== "").length,
    walMb: (statSync(wal, { throwIfNoEntry: false })?.size ?? 0) / 2 ** 20,
  };
}

/** After the last answer nothing is left of it. */
async function atRest(gateway: Gateway): Promise<string[]> {
  const until = performance.now() + REST_MAX_MS;
  while ((await gateway.api<LanesAnswer>("GET", "/api/lanes")).lanes.length > 0) {
    if (performance.now() > until) return ["it did not come to rest"];
    await pause(100);
  }
  const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, "utf8").trim();
  return children === "" ? [] : [`processes are left: ${children}`];
}

function judge(samples: readonly Sample[], heldUp: number): string[] {
  const warm = samples.slice(Math.ceil(samples.length * WARM_UP_PART));
  const third = Math.floor(warm.length / 3);
  if (third === 0) return ["too short to judge"];
  const [first, last] = [warm.slice(0, third), warm.slice(-third)];
  const least = (part: readonly Sample[], of: (sample: Sample) => number): number => Math.min(...part.map(of));
  const grew = (what: string, of: (sample: Sample) => number, max: number): string[] => {
    const by = least(last, of) - least(first, of);
    return by > max ? [`${what} grew by ${by.toFixed(1)} (at most ${max})`] : [];
  };
  const p99 = middle(warm.map(({ loopP99Ms }) => loopP99Ms));
  const wal = Math.max(...warm.map(({ walMb }) => walMb));
  return [
    ...grew("heap, MB,", ({ heapMb }) => heapMb, HEAP_GROWTH_MB_MAX),
    ...grew("resident memory, MB,", ({ residentMb }) => residentMb, RESIDENT_GROWTH_MB_MAX),
    ...grew("timers", ({ timers }) => timers, TIMERS_GROWTH_MAX),
    ...grew("descriptors", ({ descriptors }) => descriptors, DESCRIPTORS_GROWTH_MAX),
    ...grew("processes", ({ processes }) => processes, PROCESSES_GROWTH_MAX),
    ...(p99 > LOOP_P99_MS_MAX && heldUp < HELD_UP_MAX ? [`the event loop's p99 is ${p99.toFixed(0)} ms (at most ${LOOP_P99_MS_MAX})`] : []),
    ...(wal > WAL_MB_MAX ? [`the log file of the database had ${wal.toFixed(0)} MB (at most ${WAL_MB_MAX})`] : []),
  ];
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function table({ samples, replies, runs, heldUp, broken }: SoakReport): string {
  const parts = 10;
  const size = Math.max(1, Math.floor(samples.length / parts));
  const rows = Array.from({ length: Math.min(parts, samples.length) }, (_none, n) => {
    const part = samples.slice(n * size, (n + 1) * size);
    const most = (of: (sample: Sample) => number): string => Math.max(...part.map(of)).toFixed(0).padStart(9);
    const least = (of: (sample: Sample) => number): string => Math.min(...part.map(of)).toFixed(0).padStart(9);
    const p99 = middle(part.map(({ loopP99Ms }) => loopP99Ms)).toFixed(0).padStart(9);
    return `${String(n + 1).padStart(4)}${least((s) => s.heapMb)}${least((s) => s.residentMb)}${least((s) => s.timers)}${least((s) => s.descriptors)}${most((s) => s.processes)}${most((s) => s.walMb)}${p99}`;
  });
  return ["part  heap MB   RSS MB   timers      fds     procs   WAL MB  p99 ms", ...rows, `${replies} replies, ${runs} runs of jobs, the machine was held up ${(heldUp * 100).toFixed(0)} % of the time`, ...broken.map((line) => `BROKEN  ${line}`), ""].join("\n");
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, sessions: { type: "string", default: "50" }, seed: { type: "string", default: "1" } } });
  const report = await soak({ minutes: Number(values.minutes), sessions: Number(values.sessions), seed: Number(values.seed) });
  process.stdout.write(table(report));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
