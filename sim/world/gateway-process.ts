/**
 * One gateway process of a world: the production front door, scheduler, turns, trees and store
 * verbs, from its start to its end, by whatever end.
 */
import { unreachable } from "../../src/base/assert.ts";
import { seededRandom } from "../../src/base/ids.ts";
import type { Log } from "../../src/base/log.ts";
import type { CallTerms } from "../../src/model/budget.ts";
import type { ModelClient } from "../../src/model/chat.ts";
import type { Tool } from "../../src/model/tool.ts";
import { Courier, type PostRequest } from "../../src/trees/courier.ts";
import { wireConversations } from "../../src/conversations.ts";
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import type { Store } from "../../src/store/store.ts";
import type { FakeGit } from "./fake-git.ts";
import { PlanProcess } from "./plan-process.ts";
import type { Dice } from "./dice.ts";
import { worldHarness, worldHarnesses, type WorldHarnessDeps } from "./harness.ts";
import { storeOver, type StoreLine, type StoreLineDeps } from "./store-line.ts";
import { ProcessClock, type Timeline } from "./timeline.ts";
import type { WorldSettings } from "./world-settings.ts";

/** How long running turns get at a stop that is asked for, milliseconds. */
const DRAIN_MS = 5_000;
/** There is no such folder: worlds have no files. */
const WORKSPACE = "/nonexistent/workspace";
/** Receivers of worlds do not look at signatures. */
const SECRET = "a secret of no use";

export interface ProcessDeps {
  readonly timeline: Timeline;
  readonly settings: WorldSettings;
  readonly log: Log;
  readonly kernel: (random: ReturnType<typeof seededRandom>) => Kernel;
  /** A number that no other process of the world has. */
  readonly randomSeed: number;
  /** Whether there are jobs; without them nobody looks for any. */
  readonly hasJobs: boolean;
  /** Null: there are no coding agents. */
  readonly harness: Pick<WorldHarnessDeps, "seed" | "leave" | "worked"> | null;
  /** Null: there is no git, and nobody has plans. */
  readonly plans?: { readonly git: FakeGit; readonly dice: Dice; readonly randomSeed: number } | null;
  readonly line: Omit<StoreLineDeps, "kernel" | "clock">;
  readonly model: (clock: ProcessClock) => ModelClient & { defaultModel(): string; terms(model: string): CallTerms };
  readonly tools: (clock: ProcessClock) => readonly Tool[];
  /** How results reach web addresses; without it nothing may be posted. */
  readonly post?: (clock: ProcessClock) => PostRequest;
}

export class GatewayProcess {
  readonly clock: ProcessClock;
  readonly store: Store;
  readonly #line: StoreLine;
  readonly #hasJobs: boolean;
  readonly #parts: ReturnType<typeof wireConversations>;
  readonly courier: Courier;
  readonly #plans: PlanProcess | null;
  /** True from the moment at which it takes messages. */
  isReady = false;

  constructor(deps: ProcessDeps) {
    this.clock = new ProcessClock(deps.timeline);
    this.#hasJobs = deps.hasJobs;
    this.#line = storeOver({ ...deps.line, kernel: deps.kernel(seededRandom(deps.randomSeed)), clock: this.clock });
    this.store = this.#line.store;
    this.#plans = deps.plans == null ? null : new PlanProcess({ ...deps.plans, timeline: deps.timeline, clock: this.clock, store: this.store, settings: deps.settings, random: seededRandom(deps.plans.randomSeed), log: deps.log, trees: () => this.grove, refusal: () => this.frontDoor.refusal });
    this.#parts = wireConversations({
      settings: deps.settings,
      store: this.store,
      clock: this.clock,
      log: deps.log,
      models: deps.model(this.clock),
      workspace: WORKSPACE,
      builtIn: [...deps.tools(this.clock), ...(this.#plans?.tools ?? [])],
      ...(deps.plans == null ? {} : { projects: (session) => this.#plans!.plans.toldTo(session) }),
      commands: { endSession: async () => {}, endTurn: async () => {} },
      acp: deps.harness === null ? null : worldHarness({ ...deps.harness, clock: this.clock, log: deps.log, settings: deps.settings, store: this.store, random: seededRandom(deps.randomSeed + 1) }),
      // People of a world do not speak to coding agents by commands.
      harnesses: deps.harness === null ? null : { catalogue: worldHarnesses(deps.settings), harnesses: {} as never, report: () => unreachable("nobody asks" as never), doctor: () => unreachable("nobody asks" as never) },
    });
    this.courier = new Courier({ store: this.store, settings: deps.settings, clock: this.clock, random: seededRandom(deps.randomSeed + 1), log: deps.log, ownSecret: () => SECRET, ...(deps.post === undefined ? {} : { post: deps.post(this.clock) }) });
    this.store.onEvents((events) => {
      if (events.some((event) => event.type === "task.ended" && event.data["delivery"] === "webhook")) this.courier.kick();
    });
  }

  get frontDoor() {
    return this.#parts.frontDoor;
  }

  get grove() {
    return this.#parts.grove;
  }

  get plans() {
    return this.#plans?.plans ?? null;
  }

  get merges() {
    return this.#plans?.merges ?? null;
  }

  get timekeeper() {
    return this.#parts.timekeeper;
  }

  /** The start as `main.ts` does it: rules, recovery, then work, then messages. */
  async start(): Promise<void> {
    await this.store.setRules(this.#parts.rules());
    if (this.#plans !== null) await this.#plans.start();
    const recovered = await this.store.recover(this.#parts.recoveryRules());
    for (const turn of recovered.turns) this.#parts.runner.start(turn);
    this.#parts.scheduler.start();
    if (this.#plans !== null) await this.#plans.plans.start();
    if (this.#hasJobs) await this.#parts.timekeeper.start();
    await this.courier.start();
    this.#parts.upkeep.start();
    this.isReady = true;
  }

  /** Gone in the middle of whatever it did. */
  kill(): void {
    this.isReady = false;
    this.clock.kill();
  }

  /** It stands still; another takes its place. When it wakes it goes on as if nothing had been. */
  pause(): void {
    this.isReady = false;
    this.#parts.scheduler.drain();
    this.#parts.upkeep.stop();
    this.#parts.acknowledger.stop();
    this.#line.supersede();
    this.#plans?.cut();
    this.clock.pause();
  }

  /** The stop as `main.ts` does it; resolves when the process may end. */
  async drain(): Promise<void> {
    this.#parts.frontDoor.drain();
    this.#parts.scheduler.drain();
    const bound = new AbortController();
    const disarm = this.clock.after(DRAIN_MS, () => bound.abort());
    await this.#parts.runner.idle(bound.signal);
    disarm();
    if (this.#hasJobs) await this.#parts.timekeeper.stop();
    void this.courier.stop();
    this.#parts.upkeep.stop();
    this.#parts.acknowledger.stop();
    this.isReady = false;
    if (this.#plans !== null) await this.#plans.stop();
    await this.#parts.runner.letGo();
    if (this.#plans !== null) await this.#plans.letGo();
  }
}
