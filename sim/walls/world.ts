/**
 * A world of walls: agents and people share the accounts of a provider that allows little, refuses
 * credentials, and refuses everything for minutes, while the gateway is killed in between.
 *
 * The gateway's own code runs from its front door down to one HTTP request: turns, parking, governor,
 * table of failures, rows of allowances. Nobody may fail, and the provider must never be asked more than
 * it allows. No real time passes; the same seed gives the same trace.
 */
import { createHash } from "node:crypto";
import { seededRandom, type SessionKey, type TaskId } from "../../src/base/ids.ts";
import { sleep, type Clock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { mainSlots, subagentSlots } from "../../src/lanes/settings.ts";
import type { AllowanceBook } from "../../src/model/allowance.ts";
import type { YardEvent } from "../../src/model/event.ts";
import type { Tool } from "../../src/model/tool.ts";
import { DEFAULT_AGENT, directSession } from "../../src/model/session.ts";
import { makeProviders, type Providers } from "../../src/providers/providers.ts";
import { providers as providersSetting } from "../../src/providers/settings.ts";
import { messageWaitMs } from "../../src/sessions/settings.ts";
import { Kernel } from "../../src/store/sqlite/kernel.ts";
import { VERBS } from "../../src/store/sqlite/verbs.ts";
import { agentsList } from "../../src/turns/agents-list.ts";
import { defaultModel, progressTimeoutSeconds, turnTimeoutSeconds } from "../../src/turns/settings.ts";
import { sendOver } from "../../test/support/send-over.ts";
import { Dice, hashOf } from "../world/dice.ts";
import { Disk, type Tamper } from "../world/faulty-disk.ts";
import { GatewayProcess, type ProcessDeps } from "../world/gateway-process.ts";
import { CHANNEL, Senders } from "../world/people.ts";
import { Tables } from "../world/tables.ts";
import { Timeline, type ProcessClock } from "../world/timeline.ts";
import { WorldSettings } from "../world/world-settings.ts";
import { check, type Question } from "./checks.ts";
import { SimProvider, type Wall } from "./provider.ts";

/** Everything must have ended by then, virtual milliseconds. */
const ALL_MS_MAX = 3 * 3_600_000;
const STEPS_MAX = 200_000;
/** How long an agent's tool takes. */
const LOOK_MS = 500;
/** An agent that people ask; its model is of a provider that refuses nobody. */
const FREE_AGENT = "free";

export type Models = ReturnType<ProcessDeps["model"]>;

/** A deliberately broken gateway. */
export interface WallSabotage {
  readonly name: string;
  readonly breaks: string;
  readonly models?: (models: Models, make: () => Providers) => Models;
  readonly book?: (book: AllowanceBook, clock: ProcessClock) => AllowanceBook;
  readonly tamper?: () => Tamper;
}

export interface WallOutcome {
  readonly violations: readonly string[];
  readonly trace: string;
  readonly virtualMs: number;
  readonly counts: Readonly<Record<"requests" | "refused" | "parked" | "processes" | "tampered", number>>;
}

interface Plan {
  readonly perMinute: number | null;
  readonly isKnown: boolean;
  readonly keys: readonly string[];
  readonly badKeys: readonly string[];
  readonly walls: readonly Wall[];
  readonly agents: number;
  readonly questions: readonly { readonly atMs: number; readonly isFree: boolean }[];
  readonly crashes: readonly { readonly atMs: number; readonly downMs: number }[];
  readonly cancels: readonly { readonly atMs: number; readonly which: number }[];
  readonly mainSlots: number;
  readonly subagentSlots: number;
  readonly storeMsMax: number;
}

export function wallPlanOf(seed: number): Plan {
  const dice = new Dice(seed, "walls");
  const perMinute = dice.pick([6, 15, 15, 30, 60, 120, null]);
  const keys = Array.from({ length: dice.pick([1, 1, 2, 3]) }, (_, n) => `key-${n + 1}-of-the-world`);
  const walls: Wall[] = [];
  for (let from = dice.whole(0, 120_000), n = dice.whole(0, 2); n > 0; n--) {
    const wall: Wall = { fromMs: from, untilMs: from + dice.spread(5_000, 300_000), status: dice.pick([429, 529]), tells: dice.chance(0.5) };
    walls.push(wall);
    from = wall.untilMs + dice.whole(150_000, 400_000);
  }
  return {
    perMinute,
    isKnown: perMinute !== null && dice.chance(0.5),
    keys,
    badKeys: keys.length > 1 && dice.chance(0.5) ? [dice.pick(keys)] : [],
    walls,
    agents: dice.whole(3, 40),
    questions: Array.from({ length: dice.whole(1, 8) }, () => ({ atMs: dice.whole(0, 600_000), isFree: dice.chance(0.4) })),
    crashes: Array.from({ length: dice.pick([0, 0, 1, 1, 2]) }, () => ({ atMs: dice.whole(1_000, 500_000), downMs: dice.spread(10, 30_000) })),
    cancels: Array.from({ length: dice.whole(0, 3) }, () => ({ atMs: dice.whole(1_000, 300_000), which: dice.whole(0, 1_000) })),
    mainSlots: dice.whole(1, 4),
    subagentSlots: dice.pick([2, 8, 50]),
    storeMsMax: dice.pick([0, 2, 20]),
  };
}

export async function runWalls({ seed, sabotage = null, onTrace }: { seed: number; sabotage?: WallSabotage | null; onTrace?: (line: string) => void }): Promise<WallOutcome> {
  const world = new WallWorld(seed, sabotage, onTrace);
  try {
    return await world.run();
  } finally {
    world.close();
  }
}

class WallWorld {
  readonly #seed: number;
  readonly #plan: Plan;
  readonly #sabotage: WallSabotage | null;
  readonly #onTrace: ((line: string) => void) | undefined;
  readonly #timeline: Timeline;
  readonly #settings = new WorldSettings();
  readonly #tables = new Tables();
  readonly #disk: Disk;
  readonly #observer: Kernel;
  readonly #provider: SimProvider;
  readonly #free: SimProvider;
  readonly #senders: Senders;
  readonly #trace = createHash("sha256");
  readonly #violations: string[] = [];
  readonly #tasks: { taskId: TaskId; name: string; cancelledAt: number | null }[] = [];
  readonly #questions: { name: string; at: number; isFree: boolean; answeredAt: number | null }[] = [];
  readonly #crashes: { at: number; backAt: number }[] = [];
  #gateway: GatewayProcess | null = null;
  #processes = 0;
  #parked = 0;

  constructor(seed: number, sabotage: WallSabotage | null, onTrace: ((line: string) => void) | undefined) {
    this.#seed = seed;
    this.#sabotage = sabotage;
    this.#onTrace = onTrace;
    this.#plan = wallPlanOf(seed);
    const { perMinute, isKnown, keys, badKeys, walls } = this.#plan;
    this.#timeline = new Timeline(new Dice(seed, "order"));
    this.#disk = new Disk(this.#tables);
    this.#observer = new Kernel(this.#disk.connect(null), this.#timeline.clock, () => new Uint8Array(16));
    this.#provider = new SimProvider({ perMinute, badKeys, walls, latencyMsMax: 3_000 }, this.#timeline, new Dice(seed, "provider"));
    this.#free = new SimProvider({ perMinute: null, badKeys: [], walls: [], latencyMsMax: 3_000 }, this.#timeline, new Dice(seed, "free provider"));
    this.#senders = new Senders({ timeline: this.#timeline, dice: new Dice(seed, "people"), gateway: () => this.#gateway, report: (violation) => void this.#violations.push(violation) });
    const limits = isKnown ? { limits: { requestsPerMinute: perMinute } } : {};
    const setup = { api: "openai-completions", baseUrl: "http://127.0.0.1:9/v1", models: ["m"] };
    this.#settings.set(providersSetting, providersSetting.parse({ p: { ...setup, apiKeys: keys, ...limits }, free: { ...setup, apiKey: "free-key" } }));
    this.#settings.set(defaultModel, "p/m");
    this.#settings.set(agentsList, agentsList.parse([{ id: FREE_AGENT, model: "free/m" }]));
    this.#settings.set(mainSlots, this.#plan.mainSlots);
    this.#settings.set(subagentSlots, this.#plan.subagentSlots);
    this.#settings.set(messageWaitMs, 0);
    // Far shorter than walls are: they must rest while a turn is parked.
    this.#settings.set(progressTimeoutSeconds, 60);
    this.#settings.set(turnTimeoutSeconds, 120);
  }

  async run(): Promise<WallOutcome> {
    const { crashes, cancels, questions, agents } = this.#plan;
    this.#start(() => {
      for (let n = 0; n < agents; n++) this.#spawn(n);
    });
    for (const { atMs, downMs } of crashes) this.#timeline.after(atMs, () => this.#crash(downMs));
    for (const { atMs, which } of cancels) this.#timeline.after(atMs, () => this.#cancel(which));
    questions.forEach(({ atMs, isFree }, n) => this.#timeline.after(atMs, () => this.#ask(n, isFree)));
    let steps = 0;
    let isOver = false;
    while (this.#violations.length === 0 && steps < STEPS_MAX) {
      await everythingWithoutTime();
      isOver = this.#isOver();
      if (isOver || !this.#timeline.step(ALL_MS_MAX)) break;
      steps++;
    }
    if (this.#violations.length === 0) this.#violations.push(...this.#judge(isOver));
    return this.#outcome();
  }

  close(): void {
    this.#gateway?.kill();
    this.#tables.close();
  }

  // ── processes ─────────────────────────────────────────────────────────────────────────────

  #start(then: () => void): void {
    this.#settings.forgetListeners();
    const number = ++this.#processes;
    const delays = new Dice(this.#seed, "store", number);
    const tamper = this.#sabotage?.tamper?.() ?? null;
    let made: Providers | null = null;
    const book: AllowanceBook = {
      takeAllowance: (ask) => gateway.store.takeAllowance(ask),
      adjustAllowance: (change) => gateway.store.adjustAllowance(change),
      allowances: () => gateway.store.allowances(),
    };
    const make = (clock: ProcessClock): Providers =>
      makeProviders({
        settings: this.#settings,
        clock,
        random: seededRandom(hashOf(`${this.#seed}/providers/${number}`)),
        log: silentLog,
        environment: () => undefined,
        rehearsal: { call: () => Promise.reject(new Error("not asked")) },
        send: sendOver(this.#fetch(clock)),
        book: this.#sabotage?.book?.(book, clock) ?? book,
      });
    const gateway: GatewayProcess = new GatewayProcess({
      timeline: this.#timeline,
      settings: this.#settings,
      log: silentLog,
      kernel: (random) => new Kernel(this.#disk.connect(tamper), this.#timeline.clock, random),
      randomSeed: hashOf(`${this.#seed}/ids/${number}`),
      line: {
        delays: () => ({ workMs: delays.whole(0, this.#plan.storeMsMax), answerMs: delays.whole(0, this.#plan.storeMsMax) }),
        beforeBatch: () => {},
        afterBatch: (_calls, { events }) => this.#saw(events),
      },
      model: (clock) => {
        made = make(clock);
        return this.#sabotage?.models?.(made, () => make(clock)) ?? made;
      },
      tools: (clock) => [lookTool(clock)],
      hasJobs: false,
      harness: null,
    });
    this.#gateway = gateway;
    this.#note(`process ${number} starts`);
    void made!
      .start()
      .then(() => gateway.start())
      .then(() => {
        if (!gateway.clock.isRunning) return;
        this.#senders.reconnect();
        then();
      });
  }

  #fetch(clock: ProcessClock): typeof fetch {
    const bounded = this.#provider.fetchFor(clock);
    const free = this.#free.fetchFor(clock);
    return (input, init) => (new Headers(init?.headers).get("authorization") === "Bearer free-key" ? free : bounded)(input, init);
  }

  #crash(downMs: number): void {
    const gateway = this.#gateway;
    if (gateway === null) return;
    this.#note("crash");
    this.#gateway = null;
    gateway.kill();
    const crash = { at: this.#timeline.nowMs, backAt: this.#timeline.nowMs + downMs };
    this.#crashes.push(crash);
    this.#timeline.after(downMs, () => this.#start(() => void (crash.backAt = this.#timeline.nowMs)));
  }

  // ── what happens ──────────────────────────────────────────────────────────────────────────

  #spawn(n: number): void {
    const name = `agent ${n}`;
    this.#gateway!.grove.spawn({ task: name, label: name, parent: null, turnId: null, agent: DEFAULT_AGENT, kind: "subagent", model: null, context: "isolated", cwd: null, deadlineSeconds: 200, delivery: "board", cleanup: "keep", claims: [], idempotencyKey: name }).then(
      ({ task }) => void this.#tasks.push({ taskId: task.taskId, name, cancelledAt: null }),
      (cause: unknown) => void this.#violations.push(`${name} was refused: ${String(cause)}`),
    );
  }

  #cancel(which: number): void {
    const task = this.#tasks[which % Math.max(1, this.#tasks.length)];
    const gateway = this.#gateway;
    if (task === undefined || gateway?.isReady !== true) return;
    void gateway.grove.cancelTask(task.taskId, "a person").then(
      () => void (task.cancelledAt ??= this.#timeline.nowMs),
      () => {},
    );
  }

  #ask(n: number, isFree: boolean): void {
    const name = `question ${n}`;
    this.#questions.push({ name, at: this.#timeline.nowMs, isFree, answeredAt: null });
    const session: SessionKey = directSession(isFree ? FREE_AGENT : DEFAULT_AGENT, CHANNEL, `p${n}`);
    this.#senders.send({ session, text: name, sourceId: name, mode: null });
  }

  #saw(events: readonly YardEvent[]): void {
    for (const { session, type, data } of events) {
      this.#note(`${session} ${type}`);
      if (type === "turn.parked") this.#parked++;
      const question = type === "reply" ? this.#questions.find(({ name }) => data["text"] === `answer to ${name}`) : undefined;
      if (question !== undefined) question.answeredAt ??= this.#timeline.nowMs;
    }
  }

  // ── judging ───────────────────────────────────────────────────────────────────────────────

  #isOver(): boolean {
    if (this.#gateway?.isReady !== true || this.#senders.waiting > 0 || this.#questions.length < this.#plan.questions.length || this.#tasks.length < this.#plan.agents) return false;
    const totals = VERBS.totals(this.#observer);
    return ["messages_waiting", "messages_taken", "turns_running", "tasks_queued", "tasks_running", "tasks_waiting"].every((name) => (totals[name] ?? 0) === 0);
  }

  #judge(isOver: boolean): string[] {
    const rows = new Map(VERBS.tasks(this.#observer, { limit: 1_000 }).tasks.map((task) => [task.taskId, task]));
    return check({
      log: this.#provider.log,
      walls: this.#plan.walls,
      perMinute: this.#plan.perMinute,
      isKnown: this.#plan.isKnown,
      accounts: this.#plan.keys.length - this.#plan.badKeys.length,
      crashes: this.#crashes,
      tasks: this.#tasks.map(({ taskId, name, cancelledAt }) => ({ name, cancelledAt, state: rows.get(taskId)!.state, fault: rows.get(taskId)!.fault?.code ?? null })),
      questions: this.#questions as readonly Question[],
      isOver,
    });
  }

  #note(line: string): void {
    const text = `${this.#timeline.nowMs} ${line}\n`;
    this.#trace.update(text);
    this.#onTrace?.(text);
  }

  #outcome(): WallOutcome {
    for (const seen of this.#provider.log) this.#trace.update(JSON.stringify(seen));
    return {
      violations: this.#violations,
      trace: this.#trace.digest("hex"),
      virtualMs: this.#timeline.nowMs,
      counts: { requests: this.#provider.log.length, refused: this.#provider.log.filter(({ status }) => status !== 200).length, parked: this.#parked, processes: this.#processes, tampered: this.#disk.tampered },
    };
  }
}

function lookTool(clock: Clock): Tool {
  return {
    name: "look",
    description: "look",
    inputSchema: { type: "object" },
    effect: "pure",
    parallel: true,
    async run(_input, { signal }) {
      await sleep(clock, LOOK_MS, signal);
      return { text: "seen" };
    },
  };
}

/** Streams of answers go on in further rounds of the loop; none of them takes virtual time. */
async function everythingWithoutTime(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve));
}
