/** Gates: what must be there after a phase of a plan before the next one begins. */
import type { Clock } from "../base/clock.ts";
import type { PlanId } from "../base/ids.ts";
import type { Settings } from "../base/setting.ts";
import type { PlanRun } from "../model/plan-run.ts";
import type { Cost } from "../model/verdict.ts";
import type { Store } from "../store/store.ts";
import type { Workspaces } from "../workspaces/workspaces.ts";
import { tell } from "./notices.ts";
import { testOf } from "./settings.ts";
import type { PlanStatus } from "./status.ts";

const COMMIT_WAITED_FOR = "a commit ";

export interface GatesDeps {
  readonly store: Pick<Store, "movePlan" | "notice">;
  readonly workspaces: Pick<Workspaces, "list" | "create" | "test" | "remove" | "commits">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly status: (plan: PlanId) => Promise<PlanStatus>;
}

export class Gates {
  readonly #deps: GatesDeps;

  constructor(deps: GatesDeps) {
    this.#deps = deps;
  }

  /**
   * Goes on to the next phase, or to the end, when all that the gate asks for is there. Waits for it otherwise.
   * @returns whether what it waits for may come without anybody telling.
   */
  async open(run: PlanRun, signal: AbortSignal): Promise<boolean> {
    const { store, workspaces, settings, clock } = this.#deps;
    const { gate, name } = run.plan.phases[run.phase]!;
    const wait = async (waitsFor: string, isSeen = false): Promise<boolean> => {
      if (await store.movePlan({ plan: run.planId, from: "running", to: "waiting", change: { waitsFor }, event: { type: "plan.waiting", data: { waitsFor, phase: name } } })) {
        await tell(store, run, `The plan "${run.plan.title}" waits after ${name}: ${waitsFor}. To go on: yard plan approve ${run.planId}`);
      }
      return isSeen;
    };
    const approval = run.gates.find(({ phase }) => phase === run.phase);
    const label = `${run.planId}/gate-${run.phase}`;
    let tests = null;
    if (gate.commit !== null && !(await this.#hasCommit(run, gate.commit))) return wait(`${COMMIT_WAITED_FOR}"${gate.commit}" on ${run.onto}`, true);
    if (gate.tests !== null) {
      const left = (await workspaces.list({ repository: run.repository, states: ["ready"] })).find((each) => each.label === label);
      const workspace = left ?? (await workspaces.create({ repository: run.repository, base: run.onto, label, session: run.session, copy: run.plan.copy, ...(run.plan.setup === null ? {} : { setup: run.plan.setup }) }, signal));
      tests = await workspaces.test(workspace.id, testOf(gate.tests, settings), signal);
      await workspaces.remove(workspace.id);
      if (tests.exitCode !== 0) return wait(`green tests: "${gate.tests}" ended with ${tests.exitCode ?? "a time-out"}`);
    }
    if (gate.approval && approval === undefined) return wait("the approval of a person");
    const gates = [...run.gates.filter(({ phase }) => phase !== run.phase), { phase: run.phase, tests, approvedBy: approval?.approvedBy ?? null, at: clock.now() }];
    const next = run.plan.phases.findIndex((_phase, index) => index > run.phase && run.plan.tasks.some(({ phase }) => phase === index));
    if (next >= 0) {
      await store.movePlan({ plan: run.planId, from: "running", to: "running", change: { phase: next, gates }, event: { type: "plan.phase", data: { phase: run.plan.phases[next]!.name, after: name } } });
      return false;
    }
    const { estimate, actual } = await this.#deps.status(run.planId);
    if (await store.movePlan({ plan: run.planId, from: "running", to: "done", change: { gates }, event: { type: "plan.ended", data: { estimate: { ...estimate }, actual: { ...actual } } } })) {
      const figures = ({ minutes, requests, tokens }: Cost): string => `${minutes} minutes, ${requests} requests, ${tokens} tokens`;
      await tell(store, run, `The plan "${run.plan.title}" is done: ${run.tasks.length} tasks merged into ${run.onto}. All phases complete. It took ${figures(actual)}; expected were ${figures(estimate)}.`);
    }
    return false;
  }

  /** A gate that waits for a commit opens by itself when somebody makes it. @returns null when it waits for something else. */
  async openForCommit(run: PlanRun): Promise<boolean | null> {
    const { commit } = run.plan.phases[run.phase]!.gate;
    if (commit === null || !run.waitsFor!.startsWith(COMMIT_WAITED_FOR)) return null;
    return (await this.#hasCommit(run, commit)) && this.#deps.store.movePlan({ plan: run.planId, from: "waiting", to: "running" });
  }

  async #hasCommit(run: PlanRun, beginning: string): Promise<boolean> {
    const onto = await this.#deps.workspaces.commits(run.repository, run.onto, { from: run.base });
    const subjects = [...onto.map(({ subject }) => subject), ...run.tasks.flatMap((task) => task.evidence?.commits ?? [])];
    return subjects.some((subject) => subject.startsWith(beginning));
  }
}
