/** Plans on the bench: the production classes over a store and a git in memory, with agents that a test plays. */
import { seededRandom, type PlanId } from "../../src/base/ids.ts";
import { silentLog } from "../../src/base/log.ts";
import type { PlanRun } from "../../src/model/plan-run.ts";
import type { StartedTurn } from "../../src/model/turn.ts";
import type { PlanRunner } from "../../src/plans/plan-runner.ts";
import { openInMemory } from "../../src/store/sqlite/bench.test-support.ts";
import { MAIN, StoreBench } from "../../src/store/store-bench.test-support.ts";
import type { Store } from "../../src/store/store.ts";
import type { Trees } from "../../src/trees/trees.ts";
import { Dice } from "./dice.ts";
import { FakeGit, REPOSITORY, type GitNews } from "./fake-git.ts";
import { PlanProcess } from "./plan-process.ts";
import { ProcessClock, Timeline } from "./timeline.ts";
import { WorldSettings } from "./world-settings.ts";

const SETTLED_MS = 300_000;

/** A verb of the store before it is asked; what it throws the caller gets instead of an answer. */
export type BeforeVerb = (verb: string, input: never) => void;

export class PlanBench {
  readonly bench = new StoreBench(openInMemory());
  readonly timeline = new Timeline(new Dice("plan bench"));
  readonly news: GitNews[] = [];
  readonly git = new FakeGit(this.timeline, (news) => this.news.push(news));
  readonly settings = new WorldSettings();
  /** Instead of the trees' own answer to a spawn. */
  refuseSpawn: (() => never) | null = null;
  beforeVerb: BeforeVerb = () => {};
  #process: PlanProcess;
  #clock: ProcessClock;
  #starts = 0;

  constructor() {
    this.git.isHealed = true;
    this.#clock = new ProcessClock(this.timeline);
    this.#process = this.#make();
  }

  get plans(): PlanRunner {
    return this.#process.plans;
  }

  get merges() {
    return this.#process.merges;
  }

  async start(): Promise<void> {
    await this.settle(this.#process.start().then(() => this.plans.start()));
  }

  /** The process dies, and another one starts. */
  async crash(): Promise<void> {
    this.#clock.kill();
    this.#clock = new ProcessClock(this.timeline);
    this.#process = this.#make();
    await this.start();
  }

  run(plan: object, mode: "parallel" | null = null): Promise<PlanRun> {
    return this.settle(this.plans.run({ file: "p0.json", text: JSON.stringify({ title: "Plan", onto: "main", ...plan }), repository: REPOSITORY, session: MAIN, mode, watched: true, idempotencyKey: null }));
  }

  /** Agents that were started since this was asked last. */
  async agents(): Promise<readonly StartedTurn[]> {
    await this.settle();
    return this.bench.started();
  }

  /** An agent leaves these files in its worktree, and its task ends. */
  async does(agent: StartedTurn, files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, text] of Object.entries(files)) this.git.filesIn(agent.sessionInfo.cwd!).set(path, text);
    await this.bench.done(agent);
    await this.settle();
  }

  /** What landed on the branch, as `<task>`, in order. */
  get landed(): readonly string[] {
    return this.news.flatMap((one) => (one.kind === "ref" ? one.landed.map(({ task }) => task) : []));
  }

  async task(plan: PlanId, id: string) {
    return (await this.bench.store.planRun(plan))!.tasks.find((task) => task.id === id)!;
  }

  /** Lets some minutes go by, or until an answer is there. */
  async settle<T = void>(answer?: Promise<T>): Promise<T> {
    let isThere = false;
    answer?.then(() => (isThere = true), () => (isThere = true));
    const untilMs = this.timeline.nowMs + SETTLED_MS;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isThere || !this.timeline.step(untilMs)) break;
    }
    return answer as Promise<T>;
  }

  #make(): PlanProcess {
    const { store } = this.bench;
    const clock = this.#clock;
    const asked = new Proxy(store, {
      get: (target, name) => {
        const verb = Reflect.get(target, name, target) as unknown;
        if (typeof verb !== "function") return verb;
        if (name === "onEvents" || name === "onStopped" || name === "onDisk") return verb.bind(target);
        return async (input: never): Promise<unknown> => {
          if (!clock.isRunning) return new Promise(() => {});
          this.beforeVerb(String(name), input);
          return verb.call(target, input);
        };
      },
    }) as Store;
    const trees = {
      spawn: async (spawn: Parameters<Trees["spawn"]>[0]) => {
        this.refuseSpawn?.();
        return asked.admitSpawn({ spawn, limits: { depthMax: 3, childrenMax: 8, tree: {} } });
      },
      cancelTask: (task: Parameters<Trees["cancelTask"]>[0], by: string) => asked.cancelTask({ task, by }),
      waitFor: () => new Promise(() => {}),
    } as unknown as Trees;
    return new PlanProcess({ git: this.git, timeline: this.timeline, clock, dice: new Dice("plan bench", this.#starts), store: asked, settings: this.settings, random: seededRandom(++this.#starts), log: silentLog, trees: () => trees, refusal: () => null });
  }
}
