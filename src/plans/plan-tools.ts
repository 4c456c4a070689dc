/** The tools by which agents and a plan know of each other: `task_signal` for its workers, `plan_status` for the chat. */
import type { PlanId } from "../base/ids.ts";
import type { Tool } from "../model/tool.ts";
import type { Store } from "../store/store.ts";
import { inputShape, oneOf, optional, text } from "../tools/input.ts";
import { stepNumbers } from "./evidence.ts";
import type { Plans } from "./plans.ts";
import { statusLines } from "./status.ts";

const STEPS_MAX = 1_000;
const PLANS_SHOWN_MAX = 5;

export interface PlanToolDeps {
  /** Made after the tools, which the trees that it needs are given. */
  readonly plans: () => Plans;
  readonly store: Store;
}

const SIGNAL = inputShape({ signal: oneOf("done", "stuck"), reason: optional(text({ min: 1, max: 2_000 })), steps: optional(text({ min: 1, max: 500 })) });
const STATUS = inputShape({ plan: optional(text({ min: 1, max: 100 })) });
const RESUME = inputShape({ plan: text({ min: 1, max: 100 }), task: optional(text({ min: 1, max: 100 })), note: optional(text({ min: 1, max: 4_000 })) });

export function planTools({ plans, store }: PlanToolDeps): readonly Tool[] {
  return [
    {
      name: "task_signal",
      isRare: true,
      description: "For work on a plan: say that your task is done (and which steps, e.g. \"1, 3\"), or stuck and why. Then end your turn.",
      effect: "idempotent",
      parallel: false,
      inputSchema: SIGNAL.schema,
      async run(input, { session }) {
        const { signal, reason, steps } = SIGNAL.parse("task_signal", input);
        if (signal === "stuck" && reason === undefined) return { text: "say in reason what you need to go on", isError: true };
        const heard = await plans().signal(session, { kind: signal, reason: reason ?? null, steps: steps === undefined ? [] : stepNumbers(steps, STEPS_MAX), by: "tool" });
        if (heard === null) return { text: "this session works on no task of a plan; nothing was recorded", isError: true };
        return { text: signal === "done" ? "recorded; the gateway now looks at tests, files and commits. End your turn." : "recorded; a person is told. End your turn." };
      },
    },
    {
      name: "plan_status",
      isRare: true,
      description: "How the plans of this conversation stand: each agent's task, commits, tests, and why one is stuck.",
      effect: "pure",
      parallel: true,
      inputSchema: STATUS.schema,
      async run(input, { session }) {
        const { plan } = STATUS.parse("plan_status", input);
        const found = plan !== undefined ? [plan as PlanId] : (await store.plans({ session, limit: PLANS_SHOWN_MAX })).plans.map(({ planId }) => planId);
        if (found.length === 0) return { text: "no plan was run from this conversation" };
        const told = await Promise.all(found.map((id) => plans().status(id)));
        return { text: told.map((status) => statusLines(status).join("\n")).join("\n\n") };
      },
    },
    {
      name: "plan_resume",
      isRare: true,
      description: "After a person's fix: put a successor to work on a plan's stuck task (or all), told what the note says.",
      effect: "once",
      parallel: false,
      inputSchema: RESUME.schema,
      async run(input, { session }) {
        const { plan, task, note } = RESUME.parse("plan_resume", input);
        // A plan belongs to the conversation that began it; its own workers cannot help themselves on.
        if ((await plans().get(plan as PlanId)).session !== session) return { text: "that plan belongs to another conversation", isError: true };
        const run = await plans().resume(plan as PlanId, { task: task ?? null, note: note ?? null, by: "the agent" });
        return { text: `resumed; ${run.planId} is ${run.state}` };
      },
    },
  ];
}
