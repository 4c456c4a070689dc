/** Children: spawning them, their records, and what can be done to one or to a whole tree. */
import type { FlowId, TaskId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { budgetOf, deadlineOf, SPAWN_BUDGET_MAX } from "../../model/budget.ts";
import { MESSAGE_BYTES_MAX } from "../../model/message.ts";
import { CLAIM_LENGTH_MAX, CLAIMS_MAX } from "../../model/path-claims.ts";
import { DEFAULT_AGENT, parseSessionKey } from "../../model/session.ts";
import { ATTEMPTS_MAX, BACKOFF_SECONDS_MAX, CATEGORY_LENGTH_MAX, ON_CONFLICT, ON_END, type Supervision } from "../../model/supervision.ts";
import { DELIVERIES, LABEL_LENGTH_MAX, TASK_BYTES_MAX, TASK_KINDS, TASK_STATES, type NewSpawn, type Task } from "../../model/task.ts";
import type { TaskQuery } from "../../store/store.ts";
import { anyObject, bad, choice, choices, count, list, may, must, number, object, prose, sessionKey, text, word, yesNo } from "../read-body.ts";
import { accepted, CALLER, ok, route, TEXT_BODY_BYTES_MAX, type Route, type RouteDeps } from "../route.ts";
import { toApiBudget, toApiFlow, toApiTask, toCancelResult, toMessageAccepted } from "../shapes.ts";
import type { SpawnAccepted } from "../wire.ts";
import { pageFields, present } from "./page-of.ts";

const NAME_LENGTH_MAX = 100;
const ID_LENGTH_MAX = 200;
const PATH_LENGTH_MAX = 4096;
const DEADLINE_SECONDS_MAX = 30 * 86_400;
const WAIT_SECONDS_MAX = 86_400;
/** How long `wait` waits when it is not said. */
const WAIT_SECONDS = 600;

const budgetFields = {
  tokens: may(count({ min: 1, max: SPAWN_BUDGET_MAX.tokens }), "Tokens of prompts and answers."),
  cost: may(number({ min: 0, max: SPAWN_BUDGET_MAX.cost }), "US dollars, by the price table."),
  calls: may(count({ min: 1, max: SPAWN_BUDGET_MAX.calls }), "Model calls."),
  children: may(count({ min: 0, max: SPAWN_BUDGET_MAX.children }), "Children, at all depths."),
  seconds: may(count({ min: 1, max: SPAWN_BUDGET_MAX.seconds }), "Wall time; it becomes the deadline."),
};
const taskInPath = { taskId: must(word({ max: ID_LENGTH_MAX }), "The task's id.") };
const flowInPath = { flowId: must(word({ max: ID_LENGTH_MAX }), "The flow's id.") };

export function taskRoutes(deps: RouteDeps): readonly Route[] {
  const { store, trees } = deps;
  return [
    route({
      method: "POST",
      path: "/api/spawns",
      rpc: "spawns.create",
      doc: "Starts a child without any model turn of a parent. Over a cap the child waits in line.",
      answer: "SpawnAccepted",
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: {
        task: must(prose({ bytesMax: TASK_BYTES_MAX }), `What the child is to do, at most ${TASK_BYTES_MAX} bytes of UTF-8.`),
        label: may(text({ max: LABEL_LENGTH_MAX }), "A name for people."),
        parent: may(sessionKey(), "The session that gets the result; without it the result waits in the task."),
        agent: may(word({ max: NAME_LENGTH_MAX }), "The child's agent; the parent's when absent."),
        runtime: may(choice(TASK_KINDS), "subagent (the default) or an external coding agent."),
        model: may(word({ max: ID_LENGTH_MAX }), "As <provider>/<model>."),
        context: may(choice(["isolated", "fork"]), "fork = the child begins with what its parent's session knows."),
        cwd: may(word({ max: PATH_LENGTH_MAX }), "The folder that it works in."),
        claims: may(list(word({ max: CLAIM_LENGTH_MAX }), { max: CLAIMS_MAX }), "What nobody else may change meanwhile: paths and patterns from the top of the workspace, or name:WORD. File tools of the child refuse to write elsewhere."),
        onConflict: may(choice(ON_CONFLICT), "When a claim overlaps with another child's: wait in line (the default), or refuse the spawn."),
        deadlineSeconds: may(count({ min: 1, max: DEADLINE_SECONDS_MAX }), "How long it may take, from now."),
        progressSeconds: may(count({ min: 1, max: DEADLINE_SECONDS_MAX }), "An attempt that brings no new result of a tool for so long is over."),
        attempts: may(count({ min: 1, max: ATTEMPTS_MAX }), "How often it is tried in all."),
        backoffSeconds: may(count({ min: 0, max: BACKOFF_SECONDS_MAX }), "Pause before the second attempt; it doubles with each further one."),
        retryModel: may(word({ max: ID_LENGTH_MAX }), "The model of further attempts, as <provider>/<model>."),
        category: may(word({ max: CATEGORY_LENGTH_MAX }), "The kind of task: after many failures in a row of one agent and category, no further one is started for a while."),
        onEnd: may(choice(ON_END), "When it is done before its own children: wait for them (the default), or handUp, which gives them to its parent."),
        delivery: may(choice(DELIVERIES), "digest (the default) = a message to the parent; notify = an event only."),
        budget: may(object(budgetFields), "What it may spend with everything below it; set aside in the budget of its parent, if that has one."),
        outputSchema: may(anyObject(), "Its result must be JSON that fits this JSON Schema; it may correct itself once."),
        cleanup: may(choice(["keep", "delete"]), "What becomes of the child's session after its end; keep when absent."),
        idempotencyKey: may(word({ max: ID_LENGTH_MAX }), "The same key never spawns twice."),
        wait: may(yesNo(), "Answer only when the child has ended. A caller that goes away does not stop the child."),
        waitSeconds: may(count({ min: 0, max: WAIT_SECONDS_MAX }), `With wait: give up waiting, not the child, after this long; 0 or absent = ${WAIT_SECONDS}.`),
      },
      async run(input, call) {
        if (input.waitSeconds !== undefined && input.wait !== true) throw bad("waitSeconds", "means nothing without wait: true");
        const agentOfParent = input.parent === undefined ? DEFAULT_AGENT : parseSessionKey(input.parent).parts.agent;
        const { task } = await trees.spawn({
          task: input.task,
          label: input.label ?? null,
          parent: input.parent ?? null,
          turnId: null,
          agent: input.agent ?? agentOfParent,
          kind: input.runtime ?? "subagent",
          model: input.model ?? null,
          context: input.context ?? "isolated",
          cwd: input.cwd ?? null,
          deadlineSeconds: deadlineOf(input.deadlineSeconds, input.budget),
          delivery: input.delivery ?? "digest",
          cleanup: input.cleanup ?? "keep",
          claims: input.claims ?? [],
          idempotencyKey: input.idempotencyKey ?? null,
          ...supervisionIn(input),
          ...(input.budget === undefined ? {} : { budget: budgetOf(input.budget) }),
          ...(input.outputSchema === undefined ? {} : { outputSchema: input.outputSchema }),
        });
        if (input.wait !== true) return accepted(spawnAccepted(task));
        const timeoutMs = (input.waitSeconds || WAIT_SECONDS) * 1000;
        const ended = await trees.waitFor(task.taskId, { timeoutMs, signal: call.untilGone() });
        return ok({ ...spawnAccepted(ended), task: toApiTask(ended) });
      },
    }),
    route({
      method: "GET",
      path: "/api/tasks",
      rpc: "tasks.list",
      doc: "The task records, the newest first.",
      answer: "TaskList",
      query: {
        ...pageFields,
        parent: may(sessionKey(), "Only children of this session."),
        flow: may(word({ max: ID_LENGTH_MAX }), "Only tasks of this tree."),
        state: may(choices(TASK_STATES), "Only tasks in one of these states."),
        label: may(text({ max: LABEL_LENGTH_MAX }), "Only tasks with this label."),
      },
      async run({ limit, state, flow, ...rest }) {
        const query: TaskQuery = { ...present({ ...rest, states: state, flow: flow as FlowId | undefined }), limit };
        const { tasks, next } = await store.tasks(query);
        return ok({ tasks: tasks.map(toApiTask), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "GET",
      path: "/api/tasks/:taskId",
      rpc: "tasks.get",
      doc: "One task, with the attempts that are over.",
      answer: "TaskDetail",
      inPath: taskInPath,
      async run({ taskId }) {
        const task = await store.task(taskId as TaskId);
        if (task === null) throw new Fault("TASK_NOT_FOUND", { task: taskId });
        return ok({ ...toApiTask(task), tried: (await store.attempts(task.taskId)).map((one) => ({ ...one })) });
      },
    }),
    route({
      method: "POST",
      path: "/api/tasks/:taskId/cancel",
      rpc: "tasks.cancel",
      doc: "Stops a child and everything below it, for good. The task is named by its id or its label.",
      answer: "CancelResult",
      inPath: taskInPath,
      run: async ({ taskId }) => ok(toCancelResult(await trees.cancelTask(taskId as TaskId, CALLER))),
    }),
    route({
      method: "POST",
      path: "/api/tasks/:taskId/steer",
      rpc: "tasks.steer",
      doc: "Tells a child something before its next model call.",
      answer: "MessageAccepted",
      inPath: taskInPath,
      bodyBytesMax: TEXT_BODY_BYTES_MAX,
      body: { text: must(prose({ bytesMax: MESSAGE_BYTES_MAX }), "What to tell it.") },
      async run({ taskId, text: said }) {
        return accepted(toMessageAccepted({ ...(await trees.steer(taskId as TaskId, said, "operator")), commandReply: null }));
      },
    }),
    route({
      method: "POST",
      path: "/api/tasks/:taskId/retry",
      rpc: "tasks.retry",
      doc: "Starts a child that has ended once more, as a task of its own. The task is named by its id or its label.",
      answer: "ApiTask",
      inPath: taskInPath,
      body: { restart: may(yesNo(), "One that has not ended is stopped and begins its next attempt, under the same id.") },
      run: async ({ taskId, restart }) => accepted(toApiTask(await trees.retry(taskId as TaskId, CALLER, { restart: restart === true }))),
    }),
    route({
      method: "GET",
      path: "/api/flows",
      rpc: "flows.list",
      doc: "The trees of tasks, the newest first.",
      answer: "FlowList",
      query: pageFields,
      async run({ limit, after }) {
        const { flows, next } = await store.flows({ ...present({ after }), limit });
        return ok({ flows: flows.map(toApiFlow), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "GET",
      path: "/api/flows/:flowId",
      rpc: "flows.get",
      doc: "One tree with all its tasks.",
      answer: "FlowDetail",
      inPath: flowInPath,
      async run({ flowId }) {
        const found = await store.flow(flowId as FlowId);
        if (found === null) throw new Fault("FLOW_NOT_FOUND", { flow: flowId });
        return ok({ ...toApiFlow(found.flow), budget: toApiBudget(found.flow.budget), tasks: found.tasks.map((task) => ({ ...toApiTask(task), waitsFor: task.waitsFor === null ? null : { ...task.waitsFor, tasks: [...task.waitsFor.tasks] } })) });
      },
    }),
    route({
      method: "POST",
      path: "/api/flows/:flowId/cancel",
      rpc: "flows.cancel",
      doc: "Stops a whole tree, for good; names what had succeeded before.",
      answer: "CancelResult",
      inPath: flowInPath,
      run: async ({ flowId }) => ok(toCancelResult(await trees.cancelFlow(flowId as FlowId, CALLER))),
    }),
  ];
}

type SupervisionInput = { readonly [Name in "onConflict" | "progressSeconds" | "attempts" | "backoffSeconds" | "retryModel" | "category" | "onEnd"]: Supervision[Name] | undefined };

/** What was named of it; the rest comes from the settings. */
function supervisionIn({ onConflict, progressSeconds, attempts, backoffSeconds, retryModel, category, onEnd }: SupervisionInput): Pick<NewSpawn, "supervision"> {
  const supervision = present({ onConflict, progressSeconds, attempts, backoffSeconds, retryModel, category, onEnd });
  return Object.keys(supervision).length === 0 ? {} : { supervision };
}

function spawnAccepted(task: Task): SpawnAccepted {
  return { status: "accepted", taskId: task.taskId, flowId: task.flowId, childSessionKey: task.session };
}
