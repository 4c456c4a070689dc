/** The tool by which an agent sets itself to work at a time. Children do not have it. */
import { isJsonObject, type JsonObject } from "../base/json.ts";
import { Fault } from "../model/faults.ts";
import type { Job } from "../model/job.ts";
import type { Tool } from "../model/tool.ts";
import { inputShape, oneOf, optional, text, type Field } from "../tools/input.ts";
import type { Jobs } from "./jobs.ts";

const LISTED_MAX = 100;
const RUNS_SHOWN_MAX = 10;

const JOB: Field<JsonObject> = {
  schema: { type: "object" },
  required: true,
  parse(value) {
    if (!isJsonObject(value)) throw new Fault("TOOL_INPUT", { tool: "cron", problem: "job must be an object" });
    return value;
  },
};

export function cronTool(jobs: Jobs): Tool {
  const input = inputShape({ action: oneOf("add", "list", "update", "remove", "run", "runs"), id: optional(text({ min: 1, max: 200 })), job: optional(JOB) });
  return {
    name: "cron",
    isRare: true,
    description:
      'Timed jobs: add {name, schedule: {kind: "at", at: ISO date or "+15m"} | {kind: "every", everyMs} | {kind: "cron", expr, tz} | {kind: "task", label} (when it has ended) | {kind: "file", path, ref?} (when it changes), payload: {kind: "agentTurn", message, model?} | {kind: "systemEvent", text} | {kind: "watchdog", label, action: surface|retry|cancel-and-retry} | {kind: "iterate", folder} (next open item of its IMPLEMENTATION_PLAN.md) | {kind: "heartbeat"}, target?: main|isolated|job|{session}|{label}, delivery?: none|notice|{mode: "webhook", url}, misfire?, overlap?: skip|queue|cancel, activeHours?: {from, to}, enabled?}; list, update, remove, run, runs by id or name.',
    effect: "once",
    parallel: false,
    inputSchema: input.schema,
    async run(raw, context) {
      const { action, id, job } = input.parse("cron", raw);
      if (context.taskId !== null) throw new Fault("TOOL_INPUT", { tool: "cron", problem: "a child may not make or change jobs; say in your result what should be timed" });
      const named = (): string => id ?? (() => { throw new Fault("TOOL_INPUT", { tool: "cron", problem: `${action} needs id: the id or name of a job` }); })();
      const given = (): JsonObject => job ?? (() => { throw new Fault("TOOL_INPUT", { tool: "cron", problem: `${action} needs job` }); })();
      switch (action) {
        case "add":
          return json(lineOf(await jobs.add(given(), { agent: context.agent })));
        case "update":
          return json(lineOf(await jobs.change(named(), given())));
        case "remove":
          return json({ removed: (await jobs.remove(named())).id });
        case "run": {
          const run = await jobs.run(named());
          return json({ runId: run.id, state: run.state, reason: run.reason });
        }
        case "runs": {
          const { runs } = await jobs.runs(named(), { limit: RUNS_SHOWN_MAX });
          return json({ runs: runs.map((run) => ({ at: new Date(run.scheduledFor).toISOString(), state: run.state, reason: run.reason, spawned: run.spawned, shipped: run.shipped })) });
        }
        case "list":
          return json({ jobs: (await jobs.list({ limit: LISTED_MAX })).jobs.map(lineOf) });
      }
    },
  };
}

function lineOf({ id, spec, state, why, nextFor }: Job): JsonObject {
  return { id, name: spec.name, state, ...(why === null ? {} : { why }), schedule: { ...spec.schedule }, payload: spec.payload.kind, next: nextFor === null ? null : new Date(nextFor).toISOString() };
}

function json(value: JsonObject): { text: string } {
  return { text: JSON.stringify(value) };
}
