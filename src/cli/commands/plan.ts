/** `yard plan`: check a plan file, run it, look at the run, help it on, stop it. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { Option, type Command } from "commander";
import type { ApiPlan, ApiPlanTask, PlanChecked, PlanDetail, PlanList, PlanPictures } from "../../api/wire.ts";
import { sleep } from "../../base/clock.ts";
import { Fault } from "../../model/faults.ts";
import { PLAN_BYTES_MAX } from "../../model/plan.ts";
import { asJson, asListing, inPath, type Cli, type ListOptions } from "../command.ts";
import { wrongUse } from "../failure.ts";
import { duration, sayFields, sayTable, tokens } from "../table.ts";
import { plain, say, sayJson } from "../terminal.ts";
import { sayNext } from "./sessions.ts";

const FILES = ["PLAN.md", "plan.yaml", "plan.yml"];
const WAIT_LOOK_MS = 500;

interface FileOptions {
  readonly repo?: string;
  readonly unattended?: boolean;
  readonly json?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  const plan = parent.command("plan").description("several agents on one repository, by a plan file");
  const withFile = (name: string, description: string): Command =>
    asJson(plan.command(name).description(description).argument("[file]", `the plan; ${FILES.join(" or ")} here when it is not named`))
      .option("--repo <folder>", "a folder in the repository (default: where the plan is)")
      .option("--unattended", "nobody has time to look");
  const withId = (name: string, description: string): Command => asJson(plan.command(name).description(description).argument("<plan>", "its id"));

  withFile("check", "say whether to run it sequentially or in parallel, and why")
    .option("--svg <file>", "write a picture of its graph")
    .action(async (file: string | undefined, { svg, json, ...options }: FileOptions & { svg?: string }) => {
      const checked = await (await cli.connect()).post<PlanChecked>("/api/plans/check", await readSource(file, options));
      if (svg !== undefined) await write(svg, checked.svg);
      if (json) return sayJson(cli.terminal, checked);
      say(cli.terminal, plain(checked.text));
    });

  withFile("run", "run it: agents in worktrees of their own, their work merged with tests")
    .addOption(new Option("--mode <mode>", "against the verdict").choices(["sequential", "parallel"]))
    .option("--session <session>", "the conversation that it belongs to")
    .option("--wait", "answer when it is over, or cannot go on")
    .action(async (file: string | undefined, { json, mode, session, wait, ...options }: FileOptions & { mode?: string; session?: string; wait?: boolean }) => {
      const gateway = await cli.connect();
      const source = await readSource(file, options);
      let run = await gateway.post<ApiPlan>("/api/plans", { ...source, ...(mode === undefined ? {} : { mode }), ...(session === undefined ? {} : { session }) });
      while (wait === true && run.state === "running") {
        await sleep(cli.clock, WAIT_LOOK_MS);
        run = await gateway.get<PlanDetail>(`/api/plans/${inPath(run.planId)}`);
      }
      if (wait === true && run.state !== "done") cli.fail();
      if (json) return sayJson(cli.terminal, run);
      say(cli.terminal, `${run.planId}  ${run.state}  ${run.mode}, ${run.done} of ${run.tasks} tasks done`);
      if (wait !== true) say(cli.terminal, `to see how it goes: ${cli.program} plan status ${run.planId}`);
    });

  asListing(plan.command("list").description("list the runs, the newest first")).action(async ({ json, ...query }: ListOptions) => {
    const answer = await (await cli.connect()).get<PlanList>("/api/plans", query);
    if (json) return sayJson(cli.terminal, answer);
    const now = cli.clock.now();
    sayTable(cli.terminal, ["plan", "state", "done", "stuck", "for", "title"], answer.plans.map((run) => [run.planId, run.state, `${run.done} of ${run.tasks}`, String(run.stuck), duration((run.endedAt ?? now) - run.startedAt), run.title]), "no plans");
    sayNext(cli.terminal, answer.next);
  });

  asJson(plan.command("status").description("show one run, or the newest: per task commits, tests, claim, cost, signal").argument("[plan]", "its id"))
    .option("--svg <file>", "write a picture of its branches")
    .option("--graph <file>", "write a picture of its tasks")
    .action(async (id: string | undefined, { json, svg, graph }: { json?: boolean; svg?: string; graph?: string }) => {
      const gateway = await cli.connect();
      const planId = id ?? (await gateway.get<PlanList>("/api/plans", { limit: 1 })).plans[0]?.planId;
      if (planId === undefined) throw new Fault("PLAN_NOT_FOUND", { plan: "(none was run)" });
      const path = `/api/plans/${inPath(planId)}`;
      if (svg !== undefined || graph !== undefined) {
        const pictures = await gateway.get<PlanPictures>(`${path}/picture`);
        if (svg !== undefined) await write(svg, pictures.history);
        if (graph !== undefined) await write(graph, pictures.graph);
      }
      const detail = await gateway.get<PlanDetail>(path);
      if (json) return sayJson(cli.terminal, detail);
      sayDetail(cli, detail);
    });

  withId("approve", "say yes to the gate that asks").action(async (id: string, { json }: { json?: boolean }) => sayPlan(cli, await (await cli.connect()).post<ApiPlan>(`/api/plans/${inPath(id)}/approve`), json));

  withId("resume", "after a fix: put successors to work on what is stuck")
    .option("--task <task>", "only this one")
    .option("--note <text>", "what they should know")
    .action(async (id: string, { json, task, note }: { json?: boolean; task?: string; note?: string }) =>
      sayPlan(cli, await (await cli.connect()).post<ApiPlan>(`/api/plans/${inPath(id)}/resume`, { ...(task === undefined ? {} : { task }), ...(note === undefined ? {} : { note }) }), json),
    );

  withId("cancel", "stop its agents; what they did stays under backup refs").action(async (id: string, { json }: { json?: boolean }) => sayPlan(cli, await (await cli.connect()).post<ApiPlan>(`/api/plans/${inPath(id)}/cancel`), json));
}

async function readSource(named: string | undefined, { repo, unattended }: FileOptions): Promise<Record<string, unknown>> {
  const file = resolve(named ?? (await firstThere(FILES)));
  const info = await stat(file).catch((cause: NodeJS.ErrnoException) => unreadable(file, cause.code ?? cause.message));
  if (!info.isFile()) unreadable(file, "it is no file");
  if (info.size > PLAN_BYTES_MAX) unreadable(file, `it is over ${PLAN_BYTES_MAX} bytes`);
  const text = await readFile(file, "utf8");
  return { text, file: basename(file), repository: resolve(repo ?? dirname(file)), ...(unattended === true ? { watched: false } : {}) };
}

async function firstThere(files: readonly string[]): Promise<string> {
  for (const file of files) if ((await stat(join(".", file)).catch(() => null)) !== null) return file;
  return unreadable(files[0]!, "there is none here");
}

function unreadable(file: string, reason: string): never {
  throw new Fault("PLAN_FILE_UNREADABLE", { file, reason });
}

async function write(file: string, text: string): Promise<void> {
  await writeFile(file, text).catch((cause: Error) => wrongUse(`${file} cannot be written (${cause.message})`));
}

function sayPlan(cli: Cli, run: ApiPlan, json: boolean | undefined): void {
  if (json) sayJson(cli.terminal, run);
  else say(cli.terminal, `${run.planId}  ${run.state}  ${run.done} of ${run.tasks} tasks done`);
}

function sayDetail(cli: Cli, run: PlanDetail): void {
  const { terminal } = cli;
  const costText = ({ minutes, requests, tokens: count }: PlanDetail["actual"]): string => `${minutes} minutes, ${requests} requests, ${count} tokens`;
  sayFields(terminal, [
    ["plan", run.planId],
    ["title", run.title],
    ["state", run.state],
    ["mode", run.mode],
    ["phase", run.phase],
    ["waits for", run.waitsFor],
    ["onto", run.onto],
    ["estimate", costText(run.estimate)],
    ["actual", costText(run.actual)],
  ]);
  say(terminal, "");
  sayTable(terminal, ["task", "state", "commits", "steps", "tests", "tokens", "claim", "signal", "last commit"], run.rows.map(rowOf), "no tasks");
  for (const row of run.rows) {
    if (row.problem !== null) say(terminal, plain(`\n${row.id} is stuck: ${row.problem}`));
    if (row.commits.length > 0) say(terminal, plain(`\n${row.id}\n${row.commits.map((subject) => `  - ${subject}`).join("\n")}`));
  }
}

function rowOf(row: ApiPlanTask): readonly string[] {
  const tests = row.tests === null ? "" : row.tests.exitCode === 0 ? "passing" : "failing";
  const steps = row.steps.length === 0 ? "" : `${row.steps.filter(({ ticked }) => ticked).length}/${row.steps.length}`;
  return [row.id, row.state, String(row.commits.length), steps, tests, row.usage === null ? "" : tokens(row.usage), row.claim.join(", "), row.signal === null ? "" : row.signal.kind.toUpperCase(), row.lastCommit ?? ""];
}
