/**
 * A simulated world: the gateway's own code, from the front door to SQLite, in one seeded order of
 * everything that can happen to it. Models answer or do not, disks fill, clocks are set, processes
 * die between any two moments and start again from what is on disk.
 *
 * First everything may go wrong (safety), then all is healed and everything must come to an end
 * within a bound of virtual time (liveness). No real time passes and no file is touched; the same
 * seed gives the same trace, to the byte.
 */
import { createHash } from "node:crypto";
import type { SessionKey, TaskId, FlowId, TurnId } from "../../src/base/ids.ts";
import { silentLog, type Log } from "../../src/base/log.ts";
import { mainSlots, sideSlots, subagentSlots } from "../../src/lanes/settings.ts";
import type { CallAsked, CallGrant } from "../../src/model/budget.ts";
import type { Rules } from "../../src/model/claim.ts";
import type { YardEvent } from "../../src/model/event.ts";
import { Fault } from "../../src/model/faults.ts";
import type { PoolName } from "../../src/model/lane.ts";
import { DEFAULT_AGENT, directSession, mainSession } from "../../src/model/session.ts";
import type { NewSpawn } from "../../src/model/task.ts";
import type { TurnRef } from "../../src/model/turn.ts";
import type { BatchAnswer, VerbCall } from "../../src/store/sqlite/batch.ts";
import { INVARIANTS } from "../../src/store/sqlite/integrity.ts";
import { Kernel } from "../../src/store/sqlite/kernel.ts";
import { VERBS } from "../../src/store/sqlite/verbs.ts";
import type { Recovered } from "../../src/store/store.ts";
import { circuitFailures, circuitOpenSeconds } from "../../src/trees/settings.ts";
import { Askers } from "./askers.ts";
import { ask, pickBy, type Targets } from "./ask.ts";
import { Dice, hashOf } from "./dice.ts";
import { Disk, type DiskFault } from "./faulty-disk.ts";
import { GatewayProcess } from "./gateway-process.ts";
import { HarnessPeople } from "./harness-people.ts";
import { Leave } from "./harness.ts";
import { JobPeople } from "./job-people.ts";
import { judge, LIVENESS_MS } from "./judgement.ts";
import { WorldModel } from "./model.ts";
import { CHANNEL, Reader, Senders, type PeopleDeps } from "./people.ts";
import { planOf, type Action, type WorldPlan } from "./plan.ts";
import { hasPlans, planIdsSeed, PlanWorld } from "./plans.ts";
import { Receiver } from "./receiver.ts";
import type { Sabotage } from "./sabotages.ts";
import { applySpending, Spending, spendingPlan } from "./spending.ts";
import { Tables } from "./tables.ts";
import { Timeline } from "./timeline.ts";
import { Ledger, worldTools } from "./tools.ts";
import { WorldSettings, applyPlan } from "./world-settings.ts";

/** After the last thing has ended, readers get this long to hear of it. */
const LAST_NEWS_MS = 30_000;
/** Jobs go on this long after the faults were healed, and must be in time by then; then they are paused, virtual milliseconds. */
const JOBS_GO_ON_MS = 360_000;
/** Things that happen in one world at most; more is a loop. */
const STEPS_MAX = 200_000;
/** Batches between two looks at the tables. */
const LOOK_EVERY_BATCHES = 64;
/** A process that could not start is started again after this, milliseconds. */
const START_AGAIN_MS = 1_000;
/** A start that is cut off dies after so many batches at most: within its recovery, or right after it. */
const BATCHES_OF_CUT_START_MAX = 3;
/** A turn whose call was let through is not told to wait any more this long afterwards, however often the disk failed, milliseconds. */
const UNPARKED_MS_MAX = 60_000;
/** Processes that woke late are ended this long after the healing, milliseconds. */
const LATE_PROCESS_MS = 30_000;
const MS_PER_HOUR = 3_600_000;

export interface WorldOptions {
  readonly seed: number;
  /** The numbers of the actions that happen; null = all. */
  readonly keep?: ReadonlySet<number> | null;
  readonly sabotage?: Sabotage | null;
  /** Looks at the tables after every batch: slow, and says when it first went wrong. */
  readonly closely?: boolean;
  readonly onTrace?: (line: string) => void;
  /** Lent by whoever runs many worlds, and empty again afterwards; without them a world makes its own. Not for a sabotage that changes the schema. */
  readonly tables?: Tables;
}

export interface Outcome {
  readonly seed: number;
  /** Empty = nothing was wrong. The run ends with the first step that was. */
  readonly violations: readonly string[];
  /** SHA-256 of everything that happened, in order. */
  readonly trace: string;
  readonly virtualMs: number;
  readonly counts: Readonly<Record<"steps" | "batches" | "processes" | "modelCalls" | "events" | "turns" | "children" | "tampered", number>>;
}

export async function runWorld(options: WorldOptions): Promise<Outcome> {
  const world = new World(options);
  try {
    return await world.run();
  } finally {
    world.close();
  }
}

class World {
  readonly #options: WorldOptions;
  readonly #plan: WorldPlan;
  readonly #timeline: Timeline;
  readonly #settings = new WorldSettings();
  readonly #tables: Tables;
  readonly #observer: Kernel;
  readonly #disk: Disk;
  readonly #model: WorldModel;
  readonly #ledger: Ledger;
  readonly #spending: Spending;
  readonly #receiver: Receiver;
  readonly #leave: Leave;
  readonly #plans: PlanWorld | null;
  readonly #askers: Askers;
  readonly #senders: Senders;
  readonly #jobPeople: JobPeople;
  readonly #harnessPeople: HarnessPeople;
  readonly #everyone: Reader;
  readonly #readers: readonly Reader[];
  readonly #sessions: readonly SessionKey[];
  readonly #trace = createHash("sha256");
  readonly #violations: string[] = [];
  readonly #tasks: TaskId[] = [];
  readonly #flows: FlowId[] = [];
  readonly #childSessions: SessionKey[] = [];
  readonly #removed = new Set<string>();
  readonly #spawnedBy = new Map<string, string>();
  /** Processes that were paused, and whether another one has taken their place by now. */
  readonly #late = new Map<GatewayProcess, { superseded: boolean }>();
  #pools: { from: number; sizes: Record<PoolName, number> }[] = [];
  #gateway: GatewayProcess | null = null;
  #processes = 0;
  #batches = 0;
  #lookedAfter = 0;
  #wasOpenAfter = -1;
  #steps = 0;
  #crashAfterBatches: number | null = null;
  /** Starts that will be cut off after a few batches. */
  #crashesLeft = 0;
  #downMs = 0;
  #awayMs = 0;
  #diskFaults: DiskFault[] = [];
  #diskFullUntil = 0;
  #slow = { untilMs: 0, workMs: 0 };

  constructor(options: WorldOptions) {
    const { seed } = options;
    this.#options = options;
    this.#plan = planOf(seed, options.keep ?? null);
    this.#timeline = new Timeline(new Dice(seed, "order"));
    this.#tables = options.tables ?? new Tables();
    options.sabotage?.prepare?.(this.#tables.database);
    this.#disk = new Disk(this.#tables, options.sabotage?.disk);
    this.#observer = new Kernel(this.#disk.connect(null), this.#timeline.clock, () => new Uint8Array(16));
    const report = (violation: string): void => this.#report(violation);
    this.#spending = new Spending(this.#observer, spendingPlan(seed));
    this.#receiver = new Receiver({ seed, observer: this.#observer, report });
    const people: PeopleDeps = { timeline: this.#timeline, dice: new Dice(seed, "people"), gateway: () => this.#gateway, report };
    this.#askers = new Askers(people);
    this.#plans = !hasPlans(seed) ? null : new PlanWorld({ seed, timeline: this.#timeline, observer: this.#observer, gateway: () => (this.#gateway?.isReady === true ? this.#gateway : null), askers: this.#askers, sessions: () => this.#sessions, hasHarnesses: this.#plan.hasHarnesses, report, note: (line) => this.#note(line) });
    this.#model = new WorldModel({
      plans: this.#plans,
      seed,
      moods: this.#plan.moods,
      spawning: this.#plan.spawning,
      crash: () => this.#crash(0),
      report,
      spending: this.#spending.plan,
      counted: (turn, usage) => this.#spending.counted(turn, usage),
      countedBeside: (inputTokensMax, usage) => {
        const problem = this.#spending.countedBeside(inputTokensMax, usage);
        if (problem !== null) this.#report(problem);
      },
      depthOf: (session) => this.#observer.count("WITH RECURSIVE up(key, depth) AS (SELECT ?, 0 UNION ALL SELECT s.parent, up.depth + 1 FROM up JOIN session s ON s.key = up.key WHERE s.parent IS NOT NULL) SELECT max(depth) FROM up", session),
    });
    this.#ledger = new Ledger(report);
    this.#leave = new Leave(report);
    this.#senders = new Senders(people);
    this.#jobPeople = new JobPeople({ timeline: this.#timeline, observer: this.#observer, askers: this.#askers, spawn: ({ task, label }) => this.#do({ kind: "spawn", parent: null, text: task, label, deadlineSeconds: null }), report });
    this.#harnessPeople = new HarnessPeople({ seed, timeline: this.#timeline, askers: this.#askers, senders: this.#senders, leave: this.#leave, parent: () => this.#sessions[0]!, report });
    this.#sessions = Array.from({ length: this.#plan.sessions }, (_, n) => (n === 0 ? mainSession(DEFAULT_AGENT) : directSession(DEFAULT_AGENT, CHANNEL, `p${n}`)));
    this.#everyone = new Reader(null, people, (event) => this.#learn(event));
    this.#readers = this.#sessions.map((session) => new Reader(session, people));
    applyPlan(this.#settings, this.#plan);
    applySpending(this.#settings, this.#spending.plan);
    options.sabotage?.settings?.(this.#settings);
  }

  async run(): Promise<Outcome> {
    const { healAtMs, actions, jobs } = this.#plan;
    if (jobs.wallStartMs !== null) this.#timeline.jumpWall(jobs.wallStartMs - this.#timeline.wallMs);
    for (const action of actions) this.#timeline.after(action.atMs, () => this.#do(action));
    for (const planned of jobs.jobs) this.#timeline.after(planned.atMs, () => this.#jobPeople.make(planned));
    this.#timeline.after(healAtMs, () => this.#heal());
    if (jobs.jobs.length > 0) this.#timeline.after(healAtMs + JOBS_GO_ON_MS, () => this.#jobPeople.end());
    this.#start();
    await this.#goOnUntil(healAtMs, () => false);
    const wasOver = await this.#goOnUntil(healAtMs + LIVENESS_MS, () => this.#isOver());
    const lastCursor = VERBS.lastCursor(this.#observer);
    await this.#goOnUntil(this.#timeline.nowMs + LAST_NEWS_MS, () => false);
    if (this.#violations.length === 0) this.#judge(wasOver, lastCursor);
    return this.#outcome();
  }

  close(): void {
    this.#gateway?.kill();
    for (const late of this.#late.keys()) late.kill();
    if (this.#options.tables === undefined) this.#tables.close();
    else this.#tables.empty();
  }

  /** @returns whether `done` came true. */
  async #goOnUntil(untilMs: number, done: () => boolean): Promise<boolean> {
    for (;;) {
      await allMicrotasks();
      if (this.#violations.length > 0) return false;
      if (done()) return true;
      if (!this.#timeline.step(untilMs)) return false;
      if (++this.#steps > STEPS_MAX) {
        this.#report(`more than ${STEPS_MAX} steps: something goes round in circles`);
        return false;
      }
    }
  }

  // ── processes ─────────────────────────────────────────────────────────────────────────────

  #start(): void {
    this.#settings.forgetListeners();
    this.#spending.forgetBeside();
    const number = ++this.#processes;
    const { seed } = this.#plan;
    const delays = new Dice(seed, "store", number);
    const tamper = this.#options.sabotage?.tamper?.(this.#tables.database) ?? null;
    const gateway: GatewayProcess = new GatewayProcess({
      timeline: this.#timeline,
      settings: this.#settings,
      log: this.#log(),
      kernel: (random) => new Kernel(this.#disk.connect(tamper), this.#timeline.clock, random),
      randomSeed: hashOf(`${seed}/ids/${number}`),
      hasJobs: this.#plan.jobs.jobs.length > 0,
      harness: this.#plan.hasHarnesses ? { seed, leave: this.#leave, worked: (session) => gateway === this.#gateway && this.#plans?.worked(session, true) } : null,
      plans: this.#plans === null ? null : { git: this.#plans.git, dice: new Dice(seed, "git", number), randomSeed: planIdsSeed(seed, number) },
      line: {
        delays: () => {
          const isSlow = this.#timeline.nowMs < this.#slow.untilMs;
          return { workMs: isSlow ? this.#slow.workMs : delays.whole(0, this.#plan.storeMsMax), answerMs: delays.whole(0, this.#plan.storeMsMax) };
        },
        beforeBatch: () => this.#disk.prepare(this.#nextDiskFault()),
        afterBatch: (calls, answer) => this.#afterBatch(gateway, calls, answer),
      },
      model: (clock) => this.#model.client(clock, () => this.#gateway?.clock === clock),
      tools: (clock) => worldTools(seed, clock, this.#ledger),
      post: (clock) => this.#receiver.post(clock, () => this.#gateway?.clock === clock),
    });
    this.#gateway = gateway;
    this.#note(`process ${number} starts`);
    gateway.start().then(
      () => gateway.clock.isRunning && this.#ready(gateway),
      (cause: unknown) => {
        if (!gateway.clock.isRunning) return;
        if (!(cause instanceof Fault)) this.#report(`the start failed by a defect: ${String(cause)}`);
        this.#crash(START_AGAIN_MS);
      },
    );
  }

  #ready(gateway: GatewayProcess): void {
    this.#note(`process ${this.#processes} is ready`);
    this.#everyone.connect(gateway);
    for (const reader of this.#readers) reader.connect(gateway);
    this.#senders.reconnect();
  }

  #crash(downMs: number): void {
    const gateway = this.#gateway;
    if (gateway === null) return;
    this.#note("crash");
    this.#gateway = null;
    this.#timeline.jumpWall(this.#awayMs);
    this.#awayMs = 0;
    this.#crashAfterBatches = this.#crashesLeft > 0 ? 1 + (this.#crashesLeft % BATCHES_OF_CUT_START_MAX) : null;
    this.#crashesLeft = Math.max(0, this.#crashesLeft - 1);
    gateway.kill();
    this.#timeline.after(downMs, () => this.#gateway === null && this.#start());
  }

  async #restart(): Promise<void> {
    const gateway = this.#gateway;
    if (gateway?.isReady !== true) return;
    await gateway.drain();
    if (this.#gateway === gateway && gateway.clock.isRunning) this.#crash(START_AGAIN_MS);
  }

  #pause(forMs: number): void {
    const gateway = this.#gateway;
    if (gateway?.isReady !== true) return;
    this.#note("pause");
    gateway.pause();
    this.#gateway = null;
    this.#late.set(gateway, { superseded: false });
    this.#timeline.after(forMs, () => gateway.clock.wake());
    this.#start();
  }

  #log(): Log {
    return {
      ...silentLog,
      error: (event, fields) => {
        if (event === "turn.not-closed") this.#report(`a turn was never closed: ${String(fields?.["cause"])}`);
      },
    };
  }

  // ── the disk ──────────────────────────────────────────────────────────────────────────────

  #nextDiskFault(): DiskFault | null {
    if (this.#timeline.nowMs < this.#diskFullUntil) return { at: "writes", error: "full" };
    return this.#diskFaults.shift() ?? null;
  }

  #afterBatch(gateway: GatewayProcess, calls: readonly VerbCall[], { answers, events }: BatchAnswer): void {
    this.#disk.prepare(null);
    this.#batches++;
    this.#note(`batch ${calls.map(({ verb }, index) => verb + ("value" in answers[index]! ? "" : "!")).join()}`);
    for (const { session, seq, type, taskId } of events) {
      this.#note(`  ${session} ${seq} ${type}`);
      if (type === "task.accepted") this.#spending.spawned(taskId!);
    }
    this.#plans?.saw(events);
    calls.forEach(({ verb, input }, index) => {
      const answer = answers[index]!;
      if ("defect" in answer) this.#report(`a defect in ${verb}: ${answer.defect}`);
      if (verb === "recover" && "value" in answer) this.#recovered(answer.value as Recovered, events);
      if (this.#late.get(gateway)?.superseded === true && "value" in answer && answer.value === true) this.#report(`a process that lost its place wrote by ${verb}`);
      if (verb === "admitSpawn" && "value" in answer) {
        const { task, created } = answer.value as { task: { taskId: string }; created: boolean };
        const { turnId } = (input as { spawn: NewSpawn }).spawn;
        if (created && turnId !== null) this.#spawnedBy.set(task.taskId, turnId);
      }
      if (verb === "reserveCall" && "value" in answer && (answer.value as CallGrant).outcome === "granted") this.#spending.granted((input as { turn: TurnRef }).turn, this.#timeline.wallMs);
      if (verb === "reserveCallBeside" && "value" in answer && (answer.value as CallGrant).outcome === "granted") {
        const { session, asked } = input as { session: SessionKey | null; asked: CallAsked };
        this.#spending.grantedBeside(session ?? "", asked, this.#timeline.wallMs);
      }
      if (verb === "setRules") this.#poolsMayBe((input as Rules).pools, events[0]?.cursor, "value" in answer);
      if (verb === "deleteSession") this.#forget(input as { key: SessionKey });
    });
    if (this.#options.closely === true || this.#batches - this.#lookedAfter >= LOOK_EVERY_BATCHES) this.#look();
    if (gateway !== this.#gateway || this.#crashAfterBatches === null) return;
    if (--this.#crashAfterBatches <= 0) this.#crash(this.#downMs);
  }

  #recovered({ turns }: Recovered, events: readonly YardEvent[]): void {
    for (const late of this.#late.values()) late.superseded = true;
    const staleMs = this.#plan.staleHours * MS_PER_HOUR;
    const lastAt = this.#lastEventBefore(events[0]?.cursor ?? Infinity);
    if (staleMs === 0 || lastAt === null || this.#timeline.wallMs - lastAt < staleMs) return;
    if (turns.length > 0) this.#report(`${turns.map(({ turnId }) => turnId).join()} went on although nobody was there for ${(this.#timeline.wallMs - lastAt) / MS_PER_HOUR} hours`);
  }

  #lastEventBefore(cursor: number): number | null {
    const [row] = this.#observer.all("SELECT at FROM event WHERE cursor < ? ORDER BY cursor DESC LIMIT 1", cursor === Infinity ? Number.MAX_SAFE_INTEGER : cursor);
    return row === undefined ? null : Number(row["at"]);
  }

  /** While it is not sure that new sizes hold, both the old and the new ones are right. */
  #poolsMayBe(sizes: Rules["pools"], cursor: number | undefined, isSure: boolean): void {
    const now = (cursor ?? VERBS.lastCursor(this.#observer) + 1) - 1;
    const before = this.#pools.at(-1)?.sizes ?? sizes;
    const either = Object.fromEntries(Object.entries(sizes).map(([pool, size]) => [pool, Math.max(size, before[pool as PoolName])])) as Record<PoolName, number>;
    this.#pools.push({ from: now, sizes: either });
    if (isSure) this.#pools.push({ from: VERBS.lastCursor(this.#observer) + 1, sizes: { ...sizes } });
  }

  #forget({ key }: { key: SessionKey }): void {
    this.#removed.add(key);
    for (const reader of [this.#everyone, ...this.#readers]) reader.forget(key);
  }

  // ── what happens ──────────────────────────────────────────────────────────────────────────

  #do(action: Action): void {
    this.#note(`action ${JSON.stringify(action)}`);
    const gateway = this.#gateway?.isReady === true ? this.#gateway : null;
    switch (action.kind) {
      case "send":
        return this.#send(this.#sessionOf(action.session), action);
      case "resend": {
        const again = pickBy(this.#senders.sent, action.which);
        if (again !== undefined) this.#senders.send(again);
        return;
      }
      case "redeliver":
        return this.#senders.sent.slice(-action.count).forEach((message) => this.#senders.send(message));
      case "wall":
        return this.#model.refuseAll(this.#timeline.nowMs + action.forMs, action.status);
      case "send-to-child": {
        const session = pickBy(this.#childSessions, action.which);
        if (session !== undefined) this.#send(session, { ...action, mode: null });
        return;
      }
      case "talk":
        return gateway === null ? undefined : void this.#harnessPeople.talk(gateway, action.say);
      case "slots":
        return this.#settings.set({ main: mainSlots, side: sideSlots, subagent: subagentSlots }[action.pool], action.size);
      case "budget":
        return this.#spending.change(this.#settings, action.which, action.times);
      case "spawn-all":
        return this.#askers.untilDone(action.kind, (process) => ask(process, action, this.#targets())!);
      case "wall-jump":
        return this.#timeline.jumpWall(action.byMs);
      case "disk":
        return void this.#diskFaults.push(...action.faults);
      case "disk-full":
        this.#diskFullUntil = this.#timeline.nowMs + action.forMs;
        return;
      case "slow-disk":
        this.#slow = { untilMs: this.#timeline.nowMs + action.forMs, workMs: action.workMs };
        return;
      case "crash":
        this.#crashesLeft = action.again;
        this.#awayMs = action.awayMs;
        if (action.afterBatches === null) return this.#crash(action.downMs);
        this.#crashAfterBatches = action.afterBatches;
        this.#downMs = action.downMs;
        return;
      case "pause":
        return this.#pause(action.forMs);
      case "plan":
        return this.#plans?.do(action.ask);
      case "restart":
        return void this.#restart();
      case "reader-away":
        return this.#readers[action.session % this.#readers.length]!.leave(action.forMs);
      default:
        this.#askers.once(action.kind, (process) => ask(process, action, this.#targets()));
    }
  }

  #send(session: SessionKey, { text, sourceId, mode }: { text: string; sourceId: string; mode: Extract<Action, { kind: "send" }>["mode"] }): void {
    this.#senders.send({ session, text, sourceId, mode });
  }

  #targets(): Targets {
    return { sessions: this.#sessions, tasks: this.#tasks, flows: this.#flows, deliveries: () => this.#receiver.again(), hasHarnesses: this.#plan.hasHarnesses };
  }

  #sessionOf(n: number): SessionKey {
    return this.#sessions[n % this.#sessions.length]!;
  }

  #learn(event: YardEvent): void {
    if (event.type === "tool.started") this.#model.sawToolCall(String(event.data["callId"]));
    if (event.type === "approval.requested" && event.session === event.data["session"]) this.#harnessPeople.answer(event, this.#processes);
    if (event.type !== "task.accepted" || event.taskId === undefined) return;
    this.#tasks.push(event.taskId);
    this.#childSessions.push(event.data["session"] as SessionKey);
    const flow = event.data["flowId"] as FlowId;
    if (!this.#flows.includes(flow)) this.#flows.push(flow);
  }

  #heal(): void {
    this.#note("healed");
    this.#model.healed = true;
    this.#receiver.healed = true;
    this.#plans?.heal();
    this.#leave.isHealed = true;
    this.#diskFaults = [];
    this.#diskFullUntil = 0;
    this.#slow = { untilMs: 0, workMs: 0 };
    this.#crashAfterBatches = null;
    this.#crashesLeft = 0;
    this.#awayMs = 0;
    this.#timeline.after(LATE_PROCESS_MS, () => this.#late.forEach((_, process) => process.kill()));
  }

  // ── judging ───────────────────────────────────────────────────────────────────────────────

  #report(violation: string): void {
    this.#note(`violation ${violation}`);
    this.#violations.push(violation);
  }

  #note(line: string): void {
    const text = `${this.#timeline.nowMs} ${line}\n`;
    this.#trace.update(text);
    this.#options.onTrace?.(text);
  }

  /** What must be true of the tables at every moment. */
  #look(): void {
    this.#lookedAfter = this.#batches;
    for (const { name, sql } of INVARIANTS) for (const { what } of this.#observer.all(sql)) this.#report(`tables: ${name}: ${what}`);
    this.#lookAtParked();
  }

  /** Who does not wait for its provider any more has its slot and its deadline back. */
  #lookAtParked(): void {
    if (this.#gateway?.isReady !== true) return;
    const soundSince = Math.max(this.#diskFullUntil, this.#slow.untilMs);
    for (const { turn_id: turn } of this.#observer.all("SELECT turn_id FROM parked WHERE reason <> 'harness'")) {
      const since = this.#model.goesOnSince(turn as TurnId);
      if (since !== null && this.#timeline.nowMs - Math.max(since, soundSince) > UNPARKED_MS_MAX) this.#report(`${String(turn)} is parked, and went on ${this.#timeline.nowMs - since} ms ago`);
    }
  }

  /** People have more to say, or are about to. */
  #isToCome(): boolean {
    return this.#plan.actions.some(({ atMs }) => atMs > this.#timeline.nowMs) || this.#harnessPeople.areTalkingTo(this.#gateway);
  }

  #isOver(): boolean {
    if (this.#gateway?.isReady !== true || this.#senders.waiting > 0 || this.#batches === this.#wasOpenAfter || this.#isToCome()) return false;
    this.#wasOpenAfter = this.#batches;
    if (this.#plan.jobs.jobs.length > 0) {
      if (this.#timeline.nowMs < this.#plan.healAtMs + JOBS_GO_ON_MS || VERBS.openRuns(this.#observer).length > 0) return false;
      if (VERBS.jobs(this.#observer, { states: ["active"], limit: 1 }).jobs.length > 0) return false;
    }
    if (this.#plans?.isOver() === false) return false;
    if (this.#observer.get("SELECT 1 FROM delivery WHERE ended_at IS NULL") !== undefined) return false;
    const totals = VERBS.totals(this.#observer);
    return ["messages_waiting", "messages_held", "messages_taken", "turns_running", "tasks_queued", "tasks_running", "tasks_waiting"].every((name) => (totals[name] ?? 0) === 0);
  }

  #judge(wasOver: boolean, lastCursor: number): void {
    const circuit = { failures: this.#settings.get(circuitFailures), openMs: this.#settings.get(circuitOpenSeconds) * 1_000 };
    const violations = judge({
      observer: this.#observer, plan: this.#plan, senders: this.#senders, everyone: this.#everyone, readers: this.#readers, spending: this.#spending, receiver: this.#receiver, plans: this.#plans,
      removed: this.#removed, spawnedBy: this.#spawnedBy, pools: this.#pools, jobsAskedAt: this.#jobPeople.askedAt, circuit, wasOver, lastCursor,
    });
    for (const violation of violations) this.#report(violation);
  }

  #outcome(): Outcome {
    const totals = VERBS.totals(this.#observer);
    return {
      seed: this.#plan.seed,
      violations: this.#violations,
      trace: this.#trace.digest("hex"),
      virtualMs: this.#timeline.nowMs,
      counts: { steps: this.#steps, batches: this.#batches, processes: this.#processes, modelCalls: this.#model.calls, events: totals["events"] ?? 0, turns: totals["turns"] ?? 0, children: totals["tasks"] ?? 0, tampered: this.#disk.tampered },
    };
  }
}

/** Resolves when no microtask is left: everything that can go on without time has gone on. */
function allMicrotasks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
