/** `yard tasks`: the records of spawned children, and `yard tasks flow`: the trees that they form. */
import type { Command } from "commander";
import type { ApiDelivery, ApiReportGroup, ApiTask, CancelResult, DeliveryList, FlowDetail, FlowList, FlowTask, History, MessageAccepted, ReportAnswer, TaskDetail, TaskList } from "../../api/wire.ts";
import { asJson, asListing, inPath, sessionArgument, wholeNumberArgument, type Cli, type ListOptions } from "../command.ts";
import { budgetLeft, date, duration, money, sayFields, sayGroups, sayTable, tokens } from "../table.ts";
import { plain, say, sayJson } from "../terminal.ts";
import { sayCancelled, sayHistory, sayNext } from "./sessions.ts";

export function register(parent: Command, cli: Cli): void {
  const tasks = parent.command("tasks").description("the children that were spawned");
  const withId = (name: string, description: string): Command => asJson(tasks.command(name).description(description).argument("<task>", "its id or its label"));
  const pathOf = (id: string): string => `/api/tasks/${inPath(id)}`;

  asListing(tasks.command("list").description("list them, the newest first"))
    .option("--parent <session>", "only children of this session", sessionArgument)
    .option("--flow <flow>", "only those of this tree")
    .option("--state <states>", "only those in these states, e.g. queued,running")
    .option("--batch <batch>", "only those that were asked for together")
    .option("--kind <kind>", "only subagent or acp")
    .option("--label <label>", "only those with this label")
    .option("--q <text>", "only those with this in their label, id or session")
    .option("--group <by>", "count them by kind, state, agent, parent, label, flow, batch or day")
    .action(async ({ json, ...query }: ListOptions & Readonly<Record<string, string>>) => {
      const answer = await (await cli.connect()).get<TaskList>("/api/tasks", query);
      if (json) return sayJson(cli.terminal, answer);
      if (answer.groups !== undefined) return sayGroups(cli.terminal, answer.groups);
      const rows = answer.tasks.map((task) => [task.taskId, task.state, date(task.queuedAt), ...rowOf(task, cli.clock.now()).slice(2), task.claims.join(", ")]);
      sayTable(cli.terminal, ["task", "state", "asked", "for", "tokens", "label", "claims"], rows, "no tasks");
      sayNext(cli.terminal, answer.next);
    });

  withId("show", "show one").action(async (id: string, { json }: { json?: boolean }) => {
    const task = await (await cli.connect()).get<TaskDetail>(pathOf(id));
    if (json) return sayJson(cli.terminal, task);
    sayFields(cli.terminal, [
      ["task", task.taskId],
      ["label", task.label],
      ["state", task.state],
      ["flow", task.flowId],
      ["parent", task.parentSession],
      ["session", task.session],
      ["agent", task.agent],
      ["model", task.model],
      ["attempt", task.attemptLast > 1 ? `${task.attempt} of ${task.attemptLast}` : task.attempt],
      ["claims", task.claims.length === 0 ? null : task.claims.join(", ")],
      ["category", task.category],
      ["last step", task.aliveAt === null ? null : `${duration(cli.clock.now() - task.aliveAt)} ago`],
      ["asked", date(task.queuedAt)],
      ["batch", task.batch],
      ["delivery", task.deliveredAt === null ? task.delivery : `${task.delivery}, ${date(task.deliveredAt)}`],
      ["took", duration((task.endedAt ?? cli.clock.now()) - task.queuedAt)],
      ["tokens", tokens(task.usage)],
      ["cost", money(task.usage)],
      ["budget left", budgetLeft(task.budget)],
      ["fault", task.fault === undefined ? null : `${task.fault.code}: ${task.fault.message}`],
    ]);
    for (const one of task.tried) say(cli.terminal, plain(`attempt ${one.attempt} ended after ${duration(one.endedAt - (one.startedAt ?? one.endedAt))}: ${one.code}: ${one.message}`));
    say(cli.terminal, `\n${plain(task.task)}`);
    if (task.result !== undefined) say(cli.terminal, `\n── result\n${plain(task.result)}`);
  });

  withId("cancel", "stop one and everything below it").action(async (id: string, { json }: { json?: boolean }) => {
    sayCancelled(cli.terminal, await (await cli.connect()).post<CancelResult>(`${pathOf(id)}/cancel`), json);
  });

  asJson(tasks.command("steer").description("tell a running one something, before its next step").argument("<task>", "its id or its label").argument("<text>")).action(
    async (id: string, text: string, { json }: { json?: boolean }) => {
      const accepted = await (await cli.connect()).post<MessageAccepted>(`${pathOf(id)}/steer`, { text });
      if (json) sayJson(cli.terminal, accepted);
      else say(cli.terminal, `told ${id} (${accepted.messageId})`);
    },
  );

  withId("retry", "start an ended one again").option("--restart", "stop one that has not ended, and begin its next attempt").action(async (id: string, { json, restart = false }: { json?: boolean; restart?: boolean }) => {
    const task = await (await cli.connect()).post<ApiTask>(`${pathOf(id)}/retry`, { restart });
    if (json) sayJson(cli.terminal, task);
    else say(cli.terminal, `${task.taskId} is attempt ${task.attempt} of "${task.label}"`);
  });

  asListing(tasks.command("log").description("show what was said and done in its session").argument("<task>", "its id or its label")).action(async (id: string, { json, ...query }: ListOptions) => {
    const gateway = await cli.connect();
    const { session } = await gateway.get<ApiTask>(pathOf(id));
    const history = await gateway.get<History>(`/api/sessions/${inPath(session)}/history`, query);
    if (json) sayJson(cli.terminal, history);
    else sayHistory(cli.terminal, history);
  });

  registerFlow(tasks, cli);
  registerReport(tasks, cli);
  registerDeliveries(tasks, cli);
}

function registerReport(tasks: Command, cli: Cli): void {
  asJson(tasks.command("report").description("how many succeeded, per day, job, tree and batch, and which failed"))
    .option("--days <n>", "how many days back", wholeNumberArgument({ min: 1, max: 90 }), 7)
    .action(async ({ json, days }: { json?: boolean; days: number }) => {
      const report = await (await cli.connect()).get<ReportAnswer>("/api/report", { days });
      if (json) return sayJson(cli.terminal, report);
      const { health, total } = report;
      say(cli.terminal, `${completion(total)} of the last ${days} days, ${total.active} active, ${total.cancelled} cancelled`);
      say(cli.terminal, `results reach somebody after ${health.announceMs.p50} ms (p50), ${health.announceMs.p99} ms (p99); ${health.undelivered} have not yet; children wait ${health.spawnWaitMs.p50} ms (p50), ${health.spawnWaitMs.p99} ms (p99)`);
      for (const [what, groups] of [["day", report.days], ["job", report.jobs], ["flow", report.flows], ["batch", report.batches]] as const) {
        say(cli.terminal, "");
        sayTable(cli.terminal, [what, "asked", "completed", "active", "failed"], groups.map((one) => [one.name, date(one.startedAt ?? 0), completion(one), String(one.active), one.failedTasks.map(({ label, state }) => `${label} (${state})`).join(", ")]), `no ${what}`);
      }
    });
}

function registerDeliveries(tasks: Command, cli: Cli): void {
  const deliveries = tasks.command("deliveries").description("results that are posted to a callback");
  asListing(deliveries.command("list").description("list them, the newest first"))
    .option("--state <state>", "only prepared, dispatching, delivered, rejected or unknown")
    .option("--task <task>", "only that of this task")
    .action(async ({ json, ...query }: ListOptions & { state?: string; task?: string }) => {
      const answer = await (await cli.connect()).get<DeliveryList>("/api/deliveries", query);
      if (json) return sayJson(cli.terminal, answer);
      const rows = answer.deliveries.map((one) => [one.deliveryId, one.state, date(one.createdAt), String(one.attempts), one.taskId ?? one.runId ?? "", one.problem ?? one.url]);
      sayTable(cli.terminal, ["delivery", "state", "ended", "attempts", "task or run", "problem or address"], rows, "no deliveries");
      sayNext(cli.terminal, answer.next);
    });
  asJson(deliveries.command("retry").description("post one that was given up again, under its old id").argument("<delivery>", "its id")).action(async (id: string, { json }: { json?: boolean }) => {
    const delivery = await (await cli.connect()).post<ApiDelivery>(`/api/deliveries/${inPath(id)}/retry`);
    if (json) sayJson(cli.terminal, delivery);
    else say(cli.terminal, `${delivery.deliveryId} is posted again`);
  });
}

function completion({ completion: rate, succeeded, failed }: ApiReportGroup): string {
  return rate === null ? "none ended" : `${succeeded} of ${succeeded + failed} (${Math.floor(rate * 100)} %)`;
}

function registerFlow(tasks: Command, cli: Cli): void {
  const flow = tasks.command("flow").description("the trees of tasks under one root");
  const withId = (name: string, description: string): Command => asJson(flow.command(name).description(description).argument("<flow>", "its id"));

  const listing = asListing(flow.command("list").description("list them, the newest first"))
    .option("--root <session>", "only those below this session", sessionArgument)
    .option("--state <state>", "only running, ended or cancelled")
    .option("--label <label>", "only those with a task of this label")
    .option("--q <text>", "only those with this in their id or a task's label")
    .option("--group <by>", "count them by state, root or day");
  listing.action(async ({ json, ...query }: ListOptions & Readonly<Record<string, string>>) => {
    const answer = await (await cli.connect()).get<FlowList>("/api/flows", query);
    if (json) return sayJson(cli.terminal, answer);
    if (answer.groups !== undefined) return sayGroups(cli.terminal, answer.groups);
    const rows = answer.flows.map((one) => [one.flowId, one.state, date(one.startedAt), `${one.succeeded} of ${one.total}`, String(one.active), String(one.failed), tokens(one.usage), one.root ?? ""]);
    sayTable(cli.terminal, ["flow", "state", "asked", "succeeded", "active", "failed", "tokens", "root"], rows, "no flows");
    sayNext(cli.terminal, answer.next);
  });

  withId("show", "draw one as a tree").action(async (id: string, { json }: { json?: boolean }) => {
    const detail = await (await cli.connect()).get<FlowDetail>(`/api/flows/${inPath(id)}`);
    if (json) return sayJson(cli.terminal, detail);
    say(cli.terminal, `${detail.flowId}  ${detail.state}  ${detail.succeeded} of ${detail.total} succeeded, ${detail.active} active, ${detail.failed} failed  ${tokens(detail.usage)} tokens  ${money(detail.usage)}`);
    if (detail.budget !== null) say(cli.terminal, `budget left  ${budgetLeft(detail.budget)}`);
    say(cli.terminal, detail.root ?? "(no parent)");
    for (const line of treeLines(detail.tasks, cli.clock.now())) say(cli.terminal, line);
  });

  withId("cancel", "stop the whole tree").action(async (id: string, { json }: { json?: boolean }) => {
    sayCancelled(cli.terminal, await (await cli.connect()).post<CancelResult>(`/api/flows/${inPath(id)}/cancel`), json);
  });
}

function rowOf(task: ApiTask, now: number): readonly string[] {
  return [task.taskId, task.state, duration((task.endedAt ?? now) - task.queuedAt), tokens(task.usage), task.label];
}

/** Tasks that one line names at most. */
const NAMED_MAX = 3;

/** What a task waits for, for people; empty when it runs or has ended. */
function waitText({ waitsFor }: FlowTask, labelOf: (taskId: string) => string, now: number): string {
  if (waitsFor === null) return "";
  const { why, tasks, until } = waitsFor;
  const names = tasks.slice(0, NAMED_MAX).map(labelOf).join(", ") + (tasks.length > NAMED_MAX ? ` and ${tasks.length - NAMED_MAX} more` : "");
  const rest = until === null ? "" : `${tasks.length > 0 ? ", " : ""}${duration(Math.max(0, until - now))} at most`;
  switch (why) {
    case "slot":
      return "waits for a slot";
    case "backoff":
      return `starts in ${duration(Math.max(0, (until ?? now) - now))}`;
    case "siblings":
      return `waits for a place among its siblings: ${names}`;
    case "claims":
      return `waits for what is claimed by ${names}`;
    case "children":
      return `waits for ${names}${rest}`;
  }
}

/** One line per task, each below its parent: state, age, cost, attempt, what is left of its budget, its last sign of life, and what it waits for. A task whose parent is not among them stands at the top. */
export function treeLines(tasks: readonly FlowTask[], now: number): readonly string[] {
  const ids = new Set(tasks.map(({ taskId }) => taskId));
  const labels = new Map(tasks.map(({ taskId, label }) => [taskId, label]));
  const labelOf = (taskId: string): string => labels.get(taskId) ?? taskId;
  const lines: string[] = [];
  const draw = (parent: string | null, indent: string): void => {
    const children = tasks.filter((task) => (task.parentTask !== null && ids.has(task.parentTask) ? task.parentTask : null) === parent);
    for (const [index, task] of children.entries()) {
      const isLast = index === children.length - 1;
      const [id, state, took] = rowOf(task, now);
      const attempt = task.attempt > 1 ? `attempt ${task.attempt}` : "";
      const claims = task.endedAt === null && task.claims.length > 0 ? `claims ${task.claims.join(", ")}` : "";
      const left = task.budget === null ? "" : `${budgetLeft(task.budget)} left`;
      const alive = task.state === "running" && task.aliveAt !== null ? `last step ${duration(now - task.aliveAt)} ago` : "";
      const parts = [task.label, state, took, money(task.usage), id, attempt, left, alive, claims, waitText(task, labelOf, now)].filter((part) => part !== "");
      lines.push(plain(`${indent}${isLast ? "└─" : "├─"} ${parts.join("  ")}`));
      draw(task.taskId, indent + (isLast ? "   " : "│  "));
    }
  };
  draw(null, "");
  return lines;
}
