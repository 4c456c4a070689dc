/** `yard jobs`: what runs by itself, when it comes next, and what became of it. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import type { ApiJob, ApiJobRun, JobCalendar, JobList, JobRunList } from "../../api/wire.ts";
import { parseJson, isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { Fault } from "../../model/faults.ts";
import { asJson, asListing, inPath, sessionArgument, wholeNumberArgument, type Cli, type ListOptions } from "../command.ts";
import { duration, sayFields, sayTable } from "../table.ts";
import { plain, readAll, say, sayJson } from "../terminal.ts";
import { sayNext } from "./sessions.ts";

interface AddOptions {
  readonly name?: string;
  readonly at?: string;
  readonly every?: string;
  readonly cron?: string;
  readonly tz?: string;
  readonly onTask?: string | true;
  readonly onFile?: string;
  readonly onRef?: string;
  readonly message?: string;
  readonly event?: string;
  readonly watch?: string;
  readonly action?: string;
  readonly heartbeat?: boolean;
  readonly iterate?: string;
  readonly plan?: string;
  readonly model?: string;
  readonly agent?: string;
  readonly target?: string;
  readonly label?: string;
  readonly misfire?: string;
  readonly overlap?: string;
  readonly stagger?: string;
  readonly hours?: string;
  readonly deliver?: string;
  readonly paused?: boolean;
  readonly file?: string;
  readonly json?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  const jobs = parent.command("jobs").description("what runs by itself: at a time, regularly, or when something happens");
  const withId = (name: string, description: string): Command => asJson(jobs.command(name).description(description).argument("<job>", "its name or id"));
  const pathOf = (id: string): string => `/api/jobs/${inPath(id)}`;
  const show = (job: ApiJob, json: boolean | undefined, did: string): void => {
    if (json) sayJson(cli.terminal, job);
    else say(cli.terminal, plain(`${job.name} ${did}${job.nextAt === null ? "" : `; next ${moment(job.nextAt)}`} (${job.jobId})`));
  };

  asJson(jobs.command("add").description("make one: when (--at, --every, --cron, --on-...) and what (--message, --event, --watch, --heartbeat, --iterate)"))
    .option("--name <name>", "its name")
    .option("--at <moment>", "once, e.g. 2027-03-01T07:00:00Z or +15m")
    .option("--every <time>", "regularly, e.g. 15m, 2h, 1d")
    .option("--cron <expression>", "by 5 or 6 fields, e.g. \"0 7 * * 1-5\"")
    .option("--tz <zone>", "the zone of --cron, e.g. Europe/Vienna")
    .option("--on-task [label]", "when a task (with this label) has ended")
    .option("--on-file <path>", "when this file changes; with --on-ref: the repository")
    .option("--on-ref <ref>", "with --on-file: when this branch moves")
    .option("--message <text>", "what an agent is told; - reads it from standard input")
    .option("--event <text>", "a line for the main session")
    .option("--watch <task>", "a watchdog over a task id, a label or a session key")
    .option("--action <action>", "with --watch: surface, retry or cancel-and-retry")
    .option("--heartbeat", "look at HEARTBEAT.md")
    .option("--iterate <folder>", "do the next open item of the plan in this folder")
    .option("--plan <file>", "with --iterate: the plan in that folder (IMPLEMENTATION_PLAN.md)")
    .option("--model <model>", "which model")
    .option("--agent <agent>", "who works on it")
    .option("--target <where>", "main, isolated, job, or a session")
    .option("--label <label>", "the session with this label")
    .option("--misfire <policy>", "moments that passed meanwhile: skip, latest or all")
    .option("--overlap <policy>", "when the run before is not complete: skip, queue or cancel")
    .option("--stagger <time>", "runs on a full hour start up to this much later, e.g. 5m")
    .option("--hours <from-to>", "only between these times of day, e.g. 08:00-22:00")
    .option("--deliver <how>", "what becomes of the result: notice, none, a session, or a web address")
    .option("--paused", "make it, but do not run it yet")
    .option("--file <file>", "jobs as JSON: one, a list, or {jobs: [...]}; - reads standard input")
    .action(async (options: AddOptions) => {
      const gateway = await cli.connect();
      const message = options.message === "-" ? await readAll(cli.terminal) : options.message;
      if (options.file === undefined) return show(await gateway.post<ApiJob>("/api/jobs", jobFrom(options, message)), options.json, "added");
      const made = await addAll(gateway, jobsIn(options.file === "-" ? await readAll(cli.terminal) : textOf(options.file)));
      if (options.json) return sayJson(cli.terminal, { jobs: made });
      for (const job of made) show(job, false, "added");
    });

  asListing(jobs.command("list").description("list them"))
    .option("--state <states>", "only those in these states: active, paused, disabled, done")
    .action(async ({ json, ...query }: ListOptions & { state?: string }) => {
      const answer = await (await cli.connect()).get<JobList>("/api/jobs", query);
      if (json) return sayJson(cli.terminal, answer);
      const rows = answer.jobs.map((job) => [job.name, job.state, job.nextAt === null ? "-" : moment(job.nextAt), scheduleText(job), job.origin === "builtin" ? "built in" : job.payload.kind, job.why ?? lastText(job, cli.clock.now())]);
      sayTable(cli.terminal, ["job", "state", "next", "when", "what", "about"], rows, "no jobs");
      sayNext(cli.terminal, answer.next);
    });

  withId("show", "show one").action(async (id: string, { json }: { json?: boolean }) => {
    const job = await (await cli.connect()).get<ApiJob>(pathOf(id));
    if (json) return sayJson(cli.terminal, job);
    if (job.origin === "builtin") {
      return sayFields(cli.terminal, [
        ["name", job.name],
        ["state", job.state],
        ["why", job.why],
        ["what", String(job.payload["about"])],
        ["when", scheduleText(job)],
        ["set by", job.payload["setting"] === null ? null : String(job.payload["setting"])],
        ["next", job.nextAt === null ? null : moment(job.nextAt)],
        ["last", job.lastAt === null ? null : moment(job.lastAt)],
        ["last result", job.lastResult],
        ["failures", job.failures],
      ]);
    }
    sayFields(cli.terminal, [
      ["job", job.jobId],
      ["name", job.name],
      ["state", job.state],
      ["why", job.why],
      ["next", job.nextAt === null ? null : moment(job.nextAt)],
      ["when", scheduleText(job)],
      ["what", JSON.stringify(job.payload)],
      ["agent", job.agent],
      ["target", typeof job.target === "string" ? job.target : JSON.stringify(job.target)],
      ["misfire", JSON.stringify(job.misfire)],
      ["overlap", job.overlap],
      ["stagger", job.staggerMs === 0 ? null : duration(job.staggerMs)],
      ["hours", job.activeHours === null ? null : `${job.activeHours.from}-${job.activeHours.to} ${job.activeHours.tz}`],
      ["delivery", deliveryText(job)],
      ["last", job.lastAt === null ? null : moment(job.lastAt)],
      ["made by", job.origin === "config" ? "the configuration" : null],
      ["failures", job.failures],
    ]);
  });

  withId("run", "run it now, besides its schedule").action(async (id: string, { json }: { json?: boolean }) => {
    const run = await (await cli.connect()).post<ApiJobRun>(`${pathOf(id)}/run`);
    if (json) sayJson(cli.terminal, run);
    else {
      const came = run.reason ?? run.result;
      say(cli.terminal, plain(`${run.runId} ${run.state}${came === null ? "" : `: ${came}`}${run.session === null ? "" : ` in ${run.session}`}`));
    }
  });

  asListing(jobs.command("runs").description("what became of its moments, the newest first").argument("<job>", "its name or id")).action(async (id: string, { json, ...query }: ListOptions) => {
    const answer = await (await cli.connect()).get<JobRunList>(`${pathOf(id)}/runs`, query);
    if (json) return sayJson(cli.terminal, answer);
    const rows = answer.runs.map((run) => [moment(run.scheduledFor), run.state, run.durationMs === null ? "-" : duration(run.durationMs), run.spawned === 0 ? "" : `${run.shipped} of ${run.spawned}`, run.reason ?? run.result ?? ""]);
    sayTable(cli.terminal, ["moment", "state", "took", "shipped", "about"], rows, "no runs");
    sayNext(cli.terminal, answer.next);
  });

  asJson(jobs.command("calendar").description("what comes up over all jobs"))
    .option("--hours <n>", "how far ahead", wholeNumberArgument({ min: 1, max: 744 }))
    .action(async ({ json, hours }: { json?: boolean; hours?: number }) => {
      const answer = await (await cli.connect()).get<JobCalendar>("/api/jobs/calendar", { hours });
      if (json) return sayJson(cli.terminal, answer);
      sayTable(cli.terminal, ["moment", "job"], answer.upcoming.map((line) => [moment(line.at), line.name]), "nothing comes up");
    });

  withId("pause", "stop running it until it is resumed").action(async (id: string, { json }: { json?: boolean }) => show(await (await cli.connect()).patch<ApiJob>(pathOf(id), { enabled: false }), json, "paused"));
  withId("resume", "run it again from now on").action(async (id: string, { json }: { json?: boolean }) => show(await (await cli.connect()).patch<ApiJob>(pathOf(id), { enabled: true }), json, "resumed"));
  withId("remove", "stop what it runs, and remove it with its history").action(async (id: string, { json }: { json?: boolean }) => show(await (await cli.connect()).delete<ApiJob>(pathOf(id)), json, "removed"));
}

/** All or none: what was made before one was refused is removed again. */
async function addAll(gateway: Awaited<ReturnType<Cli["connect"]>>, wanted: readonly Json[]): Promise<ApiJob[]> {
  const made: ApiJob[] = [];
  try {
    for (const job of wanted) made.push(await gateway.post<ApiJob>("/api/jobs", job));
    return made;
  } catch (cause) {
    for (const { jobId } of made) await gateway.delete<ApiJob>(`/api/jobs/${inPath(jobId)}`);
    throw cause;
  }
}

/** @throws {Fault} WRONG_USE */
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new Fault("WRONG_USE", { problem: `--file cannot be read: ${cause instanceof Error ? cause.message : file}` });
  }
}

/** @throws {Fault} WRONG_USE when it is not exactly one moment and one thing to do. */
function jobFrom(options: AddOptions, message: string | undefined): JsonObject {
  const schedules: JsonObject[] = [];
  if (options.at !== undefined) schedules.push({ kind: "at", at: options.at });
  if (options.every !== undefined) schedules.push({ kind: "every", everyMs: options.every });
  if (options.cron !== undefined) schedules.push({ kind: "cron", expr: options.cron, ...(options.tz === undefined ? {} : { tz: options.tz }) });
  if (options.onTask !== undefined) schedules.push({ kind: "task", ...(options.onTask === true ? {} : { label: options.onTask }) });
  if (options.onFile !== undefined) schedules.push({ kind: "file", path: resolve(options.onFile), ...(options.onRef === undefined ? {} : { ref: options.onRef }) });
  const model = options.model === undefined ? {} : { model: options.model };
  const payloads: JsonObject[] = [];
  if (message !== undefined) payloads.push({ kind: "agentTurn", message, ...model });
  if (options.event !== undefined) payloads.push({ kind: "systemEvent", text: options.event });
  if (options.watch !== undefined) payloads.push({ kind: "watchdog", ...watched(options.watch), ...(options.action === undefined ? {} : { action: options.action }) });
  if (options.heartbeat) payloads.push({ kind: "heartbeat", ...model });
  if (options.iterate !== undefined) payloads.push({ kind: "iterate", folder: resolve(options.iterate), ...(options.plan === undefined ? {} : { plan: options.plan }), ...model });
  if (schedules.length !== 1) throw new Fault("WRONG_USE", { problem: "say when with one of --at, --every, --cron, --on-task, --on-file" });
  if (payloads.length !== 1) throw new Fault("WRONG_USE", { problem: "say what with one of --message, --event, --watch, --heartbeat, --iterate" });
  // What would have no effect is a mistake, and would be noticed at night, if ever.
  needs(options.tz, "--tz", options.cron, "--cron");
  needs(options.onRef, "--on-ref", options.onFile, "--on-file");
  needs(options.action, "--action", options.watch, "--watch");
  needs(options.plan, "--plan", options.iterate, "--iterate");
  needs(options.model, "--model", message ?? options.heartbeat ?? options.iterate, "--message, --heartbeat or --iterate");
  needs(options.stagger, "--stagger", options.cron, "--cron");
  if (options.target !== undefined && options.label !== undefined) throw new Fault("WRONG_USE", { problem: "say where with one of --target and --label" });
  return {
    schedule: schedules[0]!,
    payload: payloads[0]!,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.agent === undefined ? {} : { agent: options.agent }),
    ...(options.label !== undefined ? { target: { label: options.label } } : options.target === undefined ? {} : { target: targetOf(options.target) }),
    ...(options.misfire === undefined ? {} : { misfire: { policy: options.misfire } }),
    ...(options.overlap === undefined ? {} : { overlap: options.overlap }),
    ...(options.stagger === undefined ? {} : { staggerMs: milliseconds(options.stagger) }),
    ...(options.hours === undefined ? {} : { activeHours: hoursOf(options.hours) }),
    ...(options.deliver === undefined ? {} : { delivery: deliveryOf(options.deliver) }),
    ...(options.paused ? { enabled: false } : {}),
  };
}

function needs(given: unknown, option: string, other: unknown, others: string): void {
  if (given !== undefined && (other === undefined || other === false)) throw new Fault("WRONG_USE", { problem: `${option} goes with ${others} only` });
}

function deliveryOf(text: string): JsonObject {
  if (text === "notice" || text === "none") return { mode: text };
  return /^https?:/i.test(text) ? { mode: "webhook", url: text } : { mode: "notice", session: sessionArgument(text) };
}

function targetOf(text: string): string {
  return ["main", "isolated", "job"].includes(text) ? text : sessionArgument(text);
}

function watched(text: string): JsonObject {
  if (text.startsWith("task_")) return { task: text };
  return text.includes(":") ? { session: text } : { label: text };
}

function hoursOf(text: string): JsonObject {
  const [from, to, ...rest] = text.split("-");
  if (from === undefined || to === undefined || rest.length > 0) throw new InvalidArgumentError("It must look like 08:00-22:00.");
  return { from, to };
}

function milliseconds(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h)?$/.exec(text);
  if (match === null) throw new Fault("WRONG_USE", { problem: "--stagger must be a time such as 30s or 5m" });
  return Number(match[1]) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] ?? "ms"]!;
}

function jobsIn(text: string): readonly Json[] {
  let value: Json;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new Fault("WRONG_USE", { problem: `--file is not JSON: ${cause instanceof Error ? cause.message : ""}` });
  }
  if (Array.isArray(value)) return value;
  return isJsonObject(value) && Array.isArray(value["jobs"]) ? (value["jobs"] as readonly Json[]) : [value];
}

function scheduleText({ schedule }: ApiJob): string {
  switch (schedule.kind) {
    case "at":
      return `at ${moment(schedule.at!)}`;
    case "every":
      if (schedule.everyMs === 0) return "by hand";
      return `every ${duration(schedule.everyMs!)}`;
    case "cron":
      return `${schedule.expr} ${schedule.tz}`;
    case "task":
      return `after ${schedule.label === undefined ? "any task" : `task ${schedule.label}`}`;
    case "file":
      return `when ${schedule.ref ?? schedule.path} changes`;
  }
}

/** What a built-in job did last, and how long ago. */
function lastText({ lastAt, lastResult }: ApiJob, now: number): string {
  return lastAt === null || lastResult === null ? "" : `${duration(Math.max(0, now - lastAt))} ago: ${lastResult}`;
}

function deliveryText({ delivery }: ApiJob): string {
  return delivery.mode === "none" ? "none" : `${delivery.mode} to ${delivery.session ?? delivery.url}`;
}

function moment(at: number): string {
  return new Date(at).toISOString().replace(".000Z", "Z");
}
