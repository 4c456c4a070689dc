/** The shape of plan.yaml as a JSON Schema, for editors; published as docs/reference/plan.schema.json. */
import type { JsonObject } from "../base/json.ts";
import { PLAN_PHASES_MAX, PLAN_STEPS_MAX, PLAN_TASKS_MAX } from "../model/plan.ts";

const text = (description: string): JsonObject => ({ type: "string", minLength: 1, description });
const textOrList = (description: string): JsonObject => ({ anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }], description });
const object = (description: string, properties: JsonObject, required: readonly string[] = []): JsonObject => ({ type: "object", description, additionalProperties: false, properties, ...(required.length > 0 ? { required: [...required] } : {}) });

const TASK: JsonObject = object("Work for one agent in a git worktree of its own.", {
  id: { type: "string", pattern: "^[a-z0-9][a-z0-9-]{0,59}$", description: "By which other tasks name it." },
  title: text("What it is about; the subject of the commit that lands."),
  text: text("Anything else that the agent should know."),
  owns: textOrList("Paths from the top of the repository that it may change, e.g. src/auth/**."),
  after: textOrList("Ids of tasks that must be merged before it begins."),
  when: { description: "It begins on a commit of another task.", anyOf: [text("<task> commits <beginning of the subject>"), object("", { task: text("The other task's id."), commit: text("How the commit's subject begins.") }, ["task", "commit"])] },
  agent: text("An agent of the gateway."),
  harness: text("An external coding agent instead."),
  model: text("As <provider>/<model>."),
  size: text("How long it takes one agent: 45m, 1h30m, or xs, s, m, l, xl."),
  tests: text("A line for the shell that must end with 0 in its workspace."),
  budget: { description: "What it may spend.", anyOf: [text("e.g. 200k tokens, $2"), object("", { tokens: { type: "integer", minimum: 1 }, calls: { type: "integer", minimum: 1 }, money: { type: "number", exclusiveMinimum: 0, description: "US dollars." } })] },
  steps: { type: "array", items: { type: "string" }, maxItems: PLAN_STEPS_MAX, description: "Its checklist; each must be shown by a commit. [x] before one = done already." },
}, ["id"]);

const PHASE: JsonObject = object("A stage; the next begins when all its tasks are merged and its gate has opened.", {
  name: text("Its name."),
  gate: object("What must hold besides.", { tests: text("A line for the shell that must end with 0 on the integration branch."), commit: text("How the subject of a commit of this run begins."), approval: { type: "boolean", description: "A person has to say yes." } }),
  tasks: { type: "array", items: { $ref: "#/$defs/task" } },
});

export const PLAN_SCHEMA: JsonObject = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "A plan for several agents on one repository (plan.yaml)",
  ...object("", {
    title: text("Its name."),
    base: text("Branch, tag or commit to begin on; the integration branch when absent."),
    onto: text("The integration branch; the one that is checked out when absent."),
    tests: text("A line for the shell, run on the result of every merge before it lands."),
    setup: text("A line for the shell, run in each new workspace."),
    copy: textOrList("Ignored files that each workspace gets a copy of, e.g. .env."),
    agents: { type: "integer", minimum: 1, maximum: 100, description: "The most agents at once." },
    watched: { type: "boolean", description: "Whether somebody has time to look." },
    phases: { type: "array", items: { $ref: "#/$defs/phase" }, maxItems: PLAN_PHASES_MAX },
    tasks: { type: "array", items: { $ref: "#/$defs/task" }, maxItems: PLAN_TASKS_MAX, description: "Instead of phases." },
  }),
  $defs: { task: TASK, phase: PHASE },
};
