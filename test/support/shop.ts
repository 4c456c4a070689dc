/** A repository and a gateway that runs plans on it; the agents follow scripts that stand in the plan. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ApiPlan, ApiPlanTask, PlanDetail } from "../../src/api/wire.ts";
import { bounded, startGateway, standinConfig, type Gateway } from "./gateway.ts";
import { startModel } from "./model.ts";
import { git, makeRepository } from "./workspaces.ts";

/** Runs every *.test.mjs of the repository. */
export const TESTS = `for file in $(find . -name '*.test.mjs' -not -path './node_modules/*'); do ${process.execPath} "$file" || exit 1; done`;
const DEADLINE_MS = 150_000;

export interface Shop {
  readonly gateway: Gateway;
  readonly repository: string;
  run(plan: string, more?: Readonly<Record<string, unknown>>): Promise<string>;
  /** The run once `fits`. @throws {Error} with its rows when that does not come. */
  until(planId: string, fits: (run: PlanDetail) => boolean): Promise<PlanDetail>;
}

export async function openShop(t: TestContext, files: Readonly<Record<string, string>>, config: Readonly<Record<string, unknown>> = {}): Promise<Shop> {
  const model = await startModel(t);
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "yard-plan-")));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  const repository = makeRepository(join(dir, "shop"), files);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "workspaces.freeBytesMin": 0, ...config }) });
  return {
    gateway,
    repository,
    run: async (plan, more = {}) => (await gateway.api<ApiPlan>("POST", "/api/plans", { text: plan, repository, ...more })).planId,
    async until(planId, fits) {
      const first = await gateway.api<PlanDetail>("GET", `/api/plans/${planId}`);
      if (fits(first)) return first;
      const look = async (): Promise<PlanDetail> => {
        for await (const event of gateway.events(null, 0)) {
          if (event.data["planId"] !== planId) continue;
          const now = await gateway.api<PlanDetail>("GET", `/api/plans/${planId}`);
          if (fits(now)) return now;
          if (now.state === "stuck" || now.state === "cancelled") throw new Error(`the plan is ${now.state}: ${JSON.stringify(now.rows.map(({ id, state, problem, missing }) => ({ id, state, problem, missing })), null, 1)}`);
        }
        throw new Error("the events ended");
      };
      return bounded(DEADLINE_MS, `the plan did not come so far: ${gateway.log().slice(-2000)}`, look());
    },
  };
}

/** A line of a plan by which an agent writes files and says that it is done. */
export function writes(files: Readonly<Record<string, string>>, signal: Readonly<Record<string, unknown>> = { signal: "done", steps: "all" }): string {
  const calls = Object.entries(files).map(([path, content]) => `call write ${JSON.stringify({ path, content })}`);
  return `! ${[...calls, `call task_signal ${JSON.stringify(signal)}`].join(" then ")} then say finished`;
}

/** A command that waits until another agent has begun too, so that both begin on the same commit. */
export function meet(name: string, other: string): string {
  return `touch ../began-${name}; until [ -e ../began-${other} ]; do sleep 0.1; done`;
}

export const isDone = ({ state }: PlanDetail): boolean => state === "done";
export const row = (run: PlanDetail, id: string): ApiPlanTask => run.rows.find((each) => each.id === id)!;
export const subjects = (repository: string): readonly string[] => git(repository, "log", "--format=%s", "main").split("\n");

/** What an agent calls to commit, with the subject behind it. */
export const COMMIT = "git -c user.name=Builder -c user.email=builder@example.org commit -qm";
