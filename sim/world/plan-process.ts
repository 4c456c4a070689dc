/** Workspaces, merges and plans of one gateway process: the production classes, wired as `main.ts` does it, over the git of the world. */
import type { Clock } from "../../src/base/clock.ts";
import type { RandomBytes } from "../../src/base/ids.ts";
import type { Log } from "../../src/base/log.ts";
import type { Settings } from "../../src/base/setting.ts";
import type { Fault } from "../../src/model/faults.ts";
import type { Tool } from "../../src/model/tool.ts";
import { MergeQueue } from "../../src/merges/queue.ts";
import { ConflictAgents } from "../../src/plans/conflict-agents.ts";
import { PlanRunner } from "../../src/plans/plan-runner.ts";
import { planTools } from "../../src/plans/plan-tools.ts";
import { readPlan } from "../../src/plans/read-plan.ts";
import { SIGNAL_FILE } from "../../src/plans/task-prompt.ts";
import type { Store } from "../../src/store/store.ts";
import type { Trees } from "../../src/trees/trees.ts";
import { AgentNews } from "../../src/workspaces/agent-news.ts";
import { claimWidenTool } from "../../src/workspaces/claim-tools.ts";
import type { Git } from "../../src/workspaces/git.ts";
import { Worktrees } from "../../src/workspaces/worktrees.ts";
import { GitClient, WORKTREES, type FakeGit } from "./fake-git.ts";
import type { Dice } from "./dice.ts";
import type { Timeline } from "./timeline.ts";

export interface PlanProcessDeps {
  readonly git: FakeGit;
  readonly timeline: Timeline;
  readonly clock: Clock & { readonly isRunning: boolean };
  readonly dice: Dice;
  readonly store: Store;
  readonly settings: Settings;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly trees: () => Trees;
  readonly refusal: () => Fault | null;
}

export class PlanProcess {
  readonly tools: readonly Tool[];
  readonly merges: MergeQueue;
  readonly #client: GitClient;
  readonly #worktrees: Worktrees;
  readonly #deps: PlanProcessDeps;
  #plans: PlanRunner | null = null;

  constructor(deps: PlanProcessDeps) {
    this.#deps = deps;
    const { store, settings, clock, random, log } = deps;
    const client = new GitClient(deps);
    this.#client = client;
    this.#worktrees = new Worktrees({ store, git: client.git as unknown as Git, repositoryAt: () => client.repository(), files: client.files, settings, clock, random, log, runLine: client.runLine, root: WORKTREES });
    const news = new AgentNews();
    this.merges = new MergeQueue({ store, worktrees: this.#worktrees, settings, clock, random, log, help: () => new ConflictAgents({ store, trees: deps.trees(), workspaces: this.#worktrees, settings }), reads: ({ dir }) => news.reads(dir), news: ({ dir, advice }) => news.tell(dir, advice) });
    this.tools = [...planTools({ plans: () => this.plans, store }), claimWidenTool(this.#worktrees, (one, claims) => this.plans.mayWiden(one, claims))];
  }

  /** The trees come after the tools, and the plans after the trees. */
  get plans(): PlanRunner {
    const { git, trees, store, settings, clock, random, log, refusal } = this.#deps;
    return (this.#plans ??= new PlanRunner({
      store,
      trees: trees(),
      workspaces: this.#worktrees,
      merges: this.merges,
      folder: {
        async takeSignal(dir) {
          const text = git.folders.get(dir)?.get(SIGNAL_FILE) ?? null;
          git.folders.get(dir)?.delete(SIGNAL_FILE);
          return text;
        },
        copyAgain: async () => {},
      },
      readPlan: async (file, text) => readPlan(file, text),
      settings,
      clock,
      random,
      log,
      refusal,
    }));
  }

  /** Before the turns, as `main.ts` does it. */
  async start(): Promise<void> {
    await this.#worktrees.start();
    await this.merges.start();
  }

  async stop(): Promise<void> {
    await this.plans.stop();
  }

  /** After the turns. */
  async letGo(): Promise<void> {
    await this.merges.stop();
    await this.#worktrees.stop();
  }

  /** It lost its place: nothing that it asks of git is begun any more. */
  cut(): void {
    this.#client.cut();
  }
}
