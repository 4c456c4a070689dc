/** The records of children, and what can be done to one or to a whole tree. */
import type { FlowId, TaskId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { MESSAGE_BYTES_MAX } from "../../model/message.ts";
import { LABEL_LENGTH_MAX, TASK_STATES } from "../../model/task.ts";
import { choice, choices, may, must, prose, sessionKey, text, word, yesNo } from "../read-body.ts";
import { accepted, CALLER, ok, route, TEXT_BODY_BYTES_MAX, type Route, type RouteDeps } from "../route.ts";
import { toApiBudget, toApiFlow, toApiTask, toCancelResult, toMessageAccepted } from "../shapes.ts";
import { pageFields, present } from "./page-of.ts";
import { searchField, taskFilters, toTaskFilters } from "./task-filters.ts";

const ID_LENGTH_MAX = 200;

const taskInPath = { taskId: must(word({ max: ID_LENGTH_MAX }), "The task's id.") };
const flowInPath = { flowId: must(word({ max: ID_LENGTH_MAX }), "The flow's id.") };

export function taskRoutes(deps: RouteDeps): readonly Route[] {
  const { store, trees } = deps;
  return [
    route({
      method: "GET",
      path: "/api/tasks",
      rpc: "tasks.list",
      doc: "The task records, the newest first.",
      answer: "TaskList",
      query: {
        ...pageFields,
        ...taskFilters,
        state: may(choices(TASK_STATES), "Only tasks in one of these states."),
        group: may(choice(["kind", "state", "agent", "parent", "label", "flow", "batch", "day"]), "Counts the tasks by this, too."),
      },
      async run({ limit, state, after, group, ...filters }) {
        const { tasks, next, groups } = await store.tasks({ ...toTaskFilters(filters), ...present({ after, states: state, group }), limit });
        return ok({ tasks: tasks.map(toApiTask), ...(group === undefined ? {} : { groups }), ...(next === null ? {} : { next }) });
      },
    }),
    route({
      method: "GET",
      path: "/api/tasks/:taskId",
      rpc: "tasks.get",
      doc: "One task, with the attempts that are over. The task is named by its id or its label.",
      answer: "TaskDetail",
      inPath: taskInPath,
      async run({ taskId }) {
        const task = await trees.named(taskId);
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
      doc: "Tells a child something before its next model call. The task is named by its id or its label.",
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
      query: {
        ...pageFields,
        root: may(sessionKey(), "Only trees below this session."),
        state: may(choice(["running", "ended", "cancelled"]), "Only trees in this state."),
        label: may(text({ max: LABEL_LENGTH_MAX }), "Only trees with a task of this label."),
        q: searchField,
        group: may(choice(["state", "root", "day"]), "Counts the trees by this, too."),
      },
      async run({ limit, q, group, ...rest }) {
        const { flows, next, groups } = await store.flows({ ...present({ ...rest, search: q, group }), limit });
        return ok({ flows: flows.map(toApiFlow), ...(group === undefined ? {} : { groups }), ...(next === null ? {} : { next }) });
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
