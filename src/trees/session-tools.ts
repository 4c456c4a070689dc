/**
 * The tools by which an agent works with other sessions: spawn, wait, look, steer, stop.
 *
 * Everything is limited to the caller's own subtree. Results are JSON, so that scripts and small
 * models can read them.
 */
import { realpath } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { assert } from "../base/assert.ts";
import type { SessionKey, TaskId } from "../base/ids.ts";
import type { Json, JsonObject } from "../base/json.ts";
import type { Settings } from "../base/setting.ts";
import { budgetOf, deadlineOf, SPAWN_BUDGET_MAX } from "../model/budget.ts";
import { textOf } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { CLAIM_LENGTH_MAX, CLAIMS_MAX } from "../model/path-claims.ts";
import { DEFAULT_AGENT, parseSessionKey } from "../model/session.ts";
import { ATTEMPTS_MAX, BACKOFF_SECONDS_MAX, CATEGORY_LENGTH_MAX, ON_CONFLICT, ON_END, type Supervision } from "../model/supervision.ts";
import { hasEnded, LABEL_LENGTH_MAX, TASK_BYTES_MAX, type Task } from "../model/task.ts";
import type { Tool, ToolContext, ToolOutcome } from "../model/tool.ts";
import type { Entry } from "../model/turn.ts";
import type { Store, TurnRow } from "../store/store.ts";
import { anyObject, described, inputShape, number, object, oneOf, optional, text, textOrList, unlisted, wholeNumber, type Field, type InputShape } from "../tools/input.ts";
import { agentIds, agentsList } from "../turns/agents-list.ts";
import { childrenOf, findChild, type NumberedTask } from "./find-child.ts";
import type { Trees } from "./trees.ts";

const NAME = text({ min: 1, max: 200 });
const MODEL_NAME = text({ min: 1, max: 200 });
const DEADLINE_SECONDS_MAX = 30 * 86_400;
const LOG_ENTRIES_MAX = 50;
const BUDGET = object({
  tokens: optional(wholeNumber({ min: 1, max: SPAWN_BUDGET_MAX.tokens })),
  cost: optional(number({ min: 0, max: SPAWN_BUDGET_MAX.cost })),
  calls: optional(wholeNumber({ min: 1, max: SPAWN_BUDGET_MAX.calls })),
  children: optional(wholeNumber({ min: 0, max: SPAWN_BUDGET_MAX.children })),
  seconds: optional(wholeNumber({ min: 1, max: SPAWN_BUDGET_MAX.seconds })),
});
const RECENT_MAX = 20;
const PATH_LENGTH_MAX = 4096;

export interface SessionToolDeps {
  readonly store: Store;
  readonly trees: Trees;
  readonly settings: Settings;
  readonly nowMs: () => number;
  /** Stops a turn that runs beside the caller's. */
  readonly stopTurn: (session: SessionKey, handle: string) => Promise<unknown>;
  /** Tells a turn that runs beside the caller's something before its next step. */
  readonly steerTurn: (session: SessionKey, handle: string, text: string) => Promise<unknown>;
  /** Work of a conversation that is more than its children, e.g. plans: shown with `list`, empty = nothing. */
  readonly projects: (session: SessionKey) => Promise<readonly JsonObject[]>;
}

const TURN_HANDLE = /^T\d+$/i;

/** "all", "any" or a number of children. */
export const WAIT_FOR: Field<"all" | "any" | number> = {
  schema: { anyOf: [{ type: "string", enum: ["all", "any"] }, { type: "integer", minimum: 1 }] },
  required: true,
  parse(value) {
    if (value === "all" || value === "any") return value;
    return wholeNumber({ min: 1, max: 10_000 }).parse(typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value);
  },
};

export function sessionTools(deps: SessionToolDeps): readonly Tool[] {
  const { store, trees, settings, nowMs } = deps;
  return [
    tool({
      name: "sessions_spawn",
      description: "Start a background child on a task; returns at once, its result comes later as a message.",
      effect: "keyed",
      input: inputShape({
        task: text({ min: 1, max: TASK_BYTES_MAX }),
        label: optional(text({ min: 1, max: LABEL_LENGTH_MAX })),
        agent: optional(NAME),
        model: optional(MODEL_NAME),
        runtime: optional(oneOf("subagent", "acp")),
        context: optional(oneOf("isolated", "fork")),
        mode: unlisted(optional(oneOf("background"))),
        deadlineSeconds: optional(wholeNumber({ min: 1, max: DEADLINE_SECONDS_MAX })),
        delivery: optional(oneOf("digest", "notify", "board")),
        cleanup: optional(oneOf("keep", "delete")),
        claims: optional(described(textOrList({ max: CLAIM_LENGTH_MAX, itemsMax: CLAIMS_MAX }), "paths only it may change")),
        onConflict: optional(oneOf(...ON_CONFLICT)),
        progressSeconds: optional(wholeNumber({ min: 1, max: DEADLINE_SECONDS_MAX })),
        attempts: optional(wholeNumber({ min: 1, max: ATTEMPTS_MAX })),
        backoffSeconds: optional(wholeNumber({ min: 0, max: BACKOFF_SECONDS_MAX })),
        retryModel: optional(MODEL_NAME),
        category: optional(text({ min: 1, max: CATEGORY_LENGTH_MAX })),
        onEnd: optional(oneOf(...ON_END)),
        cwd: optional(described(text({ min: 1, max: PATH_LENGTH_MAX }), "in your workspace")),
        budget: optional(BUDGET),
        outputSchema: optional(anyObject()),
      }),
      async run(input, context) {
        // A coding agent that names nobody means one of its own kind.
        const isAskedByHarness = parseSessionKey(context.session).parts.kind === "acp";
        const kind = input.runtime ?? (isAskedByHarness && input.agent === undefined ? "acp" : "subagent");
        const isHarness = kind === "acp";
        if (isHarness && input.agent === undefined && !isAskedByHarness) throw new Fault("TOOL_INPUT", { tool: "sessions_spawn", problem: "runtime acp needs agent: the name of a coding agent" });
        const { task } = await trees.spawn({
          task: input.task,
          label: input.label ?? null,
          parent: context.session,
          turnId: context.turnId,
          agent: input.agent ?? (isAskedByHarness && !isHarness ? DEFAULT_AGENT : context.agent),
          kind,
          model: input.model ?? null,
          context: input.context ?? "isolated",
          cwd: input.cwd !== undefined ? await folderInside(context.workspace, input.cwd) : isHarness ? context.workspace : null,
          deadlineSeconds: deadlineOf(input.deadlineSeconds, input.budget),
          delivery: input.delivery ?? "digest",
          cleanup: input.cleanup ?? "keep",
          claims: input.claims === undefined ? [] : typeof input.claims === "string" ? [input.claims] : input.claims,
          idempotencyKey: context.stepKey,
          supervision: supervisionIn(input),
          ...(input.budget === undefined ? {} : { budget: budgetOf(input.budget) }),
          ...(input.outputSchema === undefined ? {} : { outputSchema: input.outputSchema }),
        });
        return json({ status: "accepted", taskId: task.taskId, flowId: task.flowId, childSessionKey: task.session, label: task.label });
      },
    }),
    tool({
      name: "sessions_yield",
      description: "End your turn until children are done; their results wake you as one message.",
      effect: "keyed",
      input: inputShape({
        waitFor: optional(WAIT_FOR),
        tasks: optional(textOrList({ max: 10_000, itemsMax: 1_000 })),
        timeoutSeconds: optional(wholeNumber({ min: 1, max: DEADLINE_SECONDS_MAX })),
        message: optional(text({ max: 2_000 })),
      }),
      async run(input, context) {
        const names = input.tasks === undefined ? null : typeof input.tasks === "string" ? [input.tasks] : input.tasks;
        const tasks = names === null ? null : await Promise.all(names.map(async (name) => (await findChild(store, context.session, name)).taskId));
        assert(context.turnId !== null, "only a turn can end and be woken; outside-tools.ts waits for other callers");
        const running = { turnId: context.turnId, session: context.session, epoch: 0 };
        const opened = await store.openBarrier({ turn: running, stepKey: context.stepKey, waitFor: input.waitFor ?? "all", tasks, timeoutMs: input.timeoutSeconds === undefined ? null : input.timeoutSeconds * 1000 });
        if (opened.outcome === "nothing-to-wait-for") return { text: "nothing to wait for: no child is running and no result is on its way; go on without", isError: true };
        return { ...json({ status: "yielded", waitingFor: opened.tasks.length }), yield: { barrierId: opened.barrierId } };
      },
    }),
    tool({
      name: "subagents",
      description: "Your children, and turns beside this one (T7): list, or info, log, steer (text), kill one by label, id, number; or kill \"all\".",
      effect: "keyed",
      input: inputShape({ action: oneOf("list", "info", "log", "steer", "kill"), target: optional(NAME), text: optional(text({ min: 1, max: 100_000 })) }),
      run: (input, context) => subagents(deps, input, context),
    }),
    tool({
      name: "sessions_send",
      isRare: true,
      description: "Tell a running child something; it sees it before its next step.",
      effect: "keyed",
      input: inputShape({ session: NAME, text: text({ min: 1, max: 100_000 }) }),
      async run(input, { session }) {
        const child = await findChild(store, session, input.session);
        const { messageId } = await trees.steer(child.taskId, input.text, "agent");
        return json({ status: "sent", taskId: child.taskId, messageId });
      },
    }),
    tool({
      name: "sessions_list",
      isRare: true,
      description: "Sessions of your children, newest first.",
      effect: "pure",
      input: inputShape({ limit: optional(wholeNumber({ min: 1, max: 100 })) }),
      async run(input, { session }) {
        const { tasks } = await store.tasks({ below: session, limit: input.limit ?? RECENT_MAX });
        return json({ sessions: tasks.map((task) => ({ key: task.session, label: task.label, state: task.state, taskId: task.taskId, parent: task.parentSession })) });
      },
    }),
    tool({
      name: "sessions_history",
      isRare: true,
      description: "The newest lines of a child's conversation.",
      effect: "pure",
      input: inputShape({ session: NAME, limit: optional(wholeNumber({ min: 1, max: LOG_ENTRIES_MAX })) }),
      async run(input, { session }) {
        const child = await findChild(store, session, input.session);
        return json({ session: child.session, entries: await logOf(store, child.session, input.limit ?? RECENT_MAX) });
      },
    }),
    tool({
      name: "session_status",
      isRare: true,
      description: "State of this session, or of a child: tokens, model, what runs.",
      effect: "pure",
      input: inputShape({ session: optional(NAME) }),
      async run(input, context) {
        if (input.session !== undefined) return json(infoOf(await findChild(store, context.session, input.session), nowMs()));
        const row = await store.session(context.session);
        const children = await store.tasks({ parent: context.session, states: ["queued", "running", "waiting"], limit: 100 });
        return json({ session: context.session, state: row!.state, model: row!.model, waitingMessages: row!.waitingMessages, activeChildren: children.tasks.length, tokens: row!.usage.input + row!.usage.output });
      },
    }),
    tool({
      name: "agents_list",
      isRare: true,
      description: "Agents that you may name in sessions_spawn.",
      effect: "pure",
      input: inputShape({}),
      run: async () => json({ agents: [...agentIds(settings.get(agentsList))] }),
    }),
  ];
}

const SUPERVISION = ["onConflict", "progressSeconds", "attempts", "backoffSeconds", "retryModel", "category", "onEnd"] as const;

/** What was named of it; the rest comes from the settings. */
function supervisionIn(input: { readonly [Name in (typeof SUPERVISION)[number]]: Supervision[Name] | undefined }): Partial<Supervision> {
  return Object.fromEntries(SUPERVISION.flatMap((name) => (input[name] === undefined ? [] : [[name, input[name]]])));
}

/** A child works in its parent's workspace or below, wherever links lead. @throws {Fault} PATH_REFUSED. */
async function folderInside(workspace: string, path: string): Promise<string> {
  const real = (one: string): Promise<string | null> => realpath(one).catch(() => null);
  const [top, folder] = await Promise.all([real(workspace), real(resolve(workspace, path))]);
  if (top === null || folder === null) throw new Fault("PATH_REFUSED", { path, problem: "no such folder" });
  if (folder !== top && !folder.startsWith(`${top}${sep}`)) throw new Fault("PATH_REFUSED", { path, problem: "is outside of the workspace" });
  return join(workspace, relative(top, folder));
}

interface ToolPlan<T> {
  readonly name: string;
  readonly description: string;
  readonly effect: Tool["effect"];
  readonly isRare?: boolean;
  readonly input: InputShape<T>;
  run(input: T, context: ToolContext): Promise<ToolOutcome>;
}

function tool<T>(plan: ToolPlan<T>): Tool {
  return {
    name: plan.name,
    description: plan.description,
    effect: plan.effect,
    parallel: true,
    isRare: plan.isRare ?? false,
    inputSchema: plan.input.schema,
    run: async (input, context) => plan.run(plan.input.parse(plan.name, input), context),
  };
}

function json(value: JsonObject): ToolOutcome {
  return { text: JSON.stringify(value) };
}

interface SubagentsInput {
  readonly action: string;
  readonly target: string | undefined;
  readonly text: string | undefined;
}

async function subagents(deps: SessionToolDeps, input: SubagentsInput, { session, turnId }: ToolContext): Promise<ToolOutcome> {
  const { store, trees, nowMs } = deps;
  const beside = (await store.runningTurns(session)).filter((turn) => (turnId === null ? turn.track !== "main" : turn.turnId !== turnId));
  if (input.target !== undefined && TURN_HANDLE.test(input.target)) return turnBeside(deps, beside, input, session);
  const children = await childrenOf(store, session);
  if (input.action === "list") {
    const active = children.filter(({ task }) => !hasEnded(task.state));
    const recent = children.filter(({ task }) => hasEnded(task.state)).slice(-RECENT_MAX).reverse();
    const projects = await deps.projects(session);
    const turns = beside.map((turn) => ({ handle: turn.handle, about: turn.about, runtimeMs: nowMs() - turn.startedAt }));
    return json({ active: active.map((child) => lineOf(child, nowMs())), recent: recent.map((child) => lineOf(child, nowMs())), ...(turns.length > 0 ? { beside: turns } : {}), ...(projects.length > 0 ? { plans: [...projects] } : {}) });
  }
  if (input.target === undefined) throw new Fault("TOOL_INPUT", { tool: "subagents", problem: `${input.action} needs a target: a label, a task id, a number from list, or (kill) "all"` });
  if (input.action === "kill" && input.target === "all") {
    const stopped = await Promise.all(children.filter(({ task }) => !hasEnded(task.state)).map(({ task }) => trees.cancelTask(task.taskId, "the agent")));
    return json({ stopped: stopped.flatMap(({ tasks }) => [...tasks]) });
  }
  const child = await findChild(store, session, input.target);
  switch (input.action) {
    case "info":
      return json(infoOf(child, nowMs()));
    case "log":
      return json({ session: child.session, result: child.result, entries: await logOf(store, child.session, RECENT_MAX) });
    case "steer": {
      if (input.text === undefined) throw new Fault("TOOL_INPUT", { tool: "subagents", problem: "steer needs text" });
      await trees.steer(child.taskId, input.text, "agent");
      return json({ status: "sent", taskId: child.taskId });
    }
    default: {
      const { tasks } = await trees.cancelTask(child.taskId, "the agent");
      return json({ stopped: [...tasks], ...(tasks.length === 0 ? { note: `it had ended before: ${child.state}` } : {}) });
    }
  }
}

async function turnBeside(deps: SessionToolDeps, beside: readonly TurnRow[], { action, target, text: said }: SubagentsInput, session: SessionKey): Promise<ToolOutcome> {
  const turn = beside.find(({ handle }) => handle === target!.toUpperCase());
  if (turn === undefined) throw new Fault("TURN_NOT_FOUND", { turn: target! });
  if (action === "kill") {
    await deps.stopTurn(session, turn.handle);
    return json({ stopped: [turn.handle] });
  }
  if (action === "steer") {
    if (said === undefined) throw new Fault("TOOL_INPUT", { tool: "subagents", problem: "steer needs text" });
    await deps.steerTurn(session, turn.handle, said);
    return json({ status: "sent", handle: turn.handle });
  }
  return json({ handle: turn.handle, about: turn.about, track: turn.track, runtimeMs: deps.nowMs() - turn.startedAt });
}

function lineOf({ n, task }: NumberedTask, nowMs: number): JsonObject {
  return { n, label: task.label, taskId: task.taskId, state: task.state, runtimeMs: (task.endedAt ?? nowMs) - task.queuedAt, model: task.model, tokens: task.usage.input + task.usage.output };
}

export function infoOf(task: Task, nowMs: number): JsonObject {
  return {
    taskId: task.taskId as TaskId,
    session: task.session as SessionKey,
    label: task.label,
    state: task.state,
    agent: task.agent,
    model: task.model,
    runtimeMs: (task.endedAt ?? nowMs) - task.queuedAt,
    tokens: task.usage.input + task.usage.output,
    task: task.task.slice(0, 500),
    result: task.result,
    fault: task.fault === null ? null : task.fault.message,
    claims: [...task.claims],
    ...(task.budget === null ? {} : { budgetLeft: { ...task.budget.left } }),
  };
}

/** The newest entries of a transcript, one short line each. */
export async function logOf(store: Store, session: SessionKey, limit: number): Promise<Json[]> {
  const page = await store.history({ key: session, limit });
  return (page?.entries ?? []).map((entry) => ({ seq: entry.seq, role: entry.content.role, text: entryText(entry).slice(0, 2_000) }));
}

function entryText({ content }: Entry): string {
  if (content.role === "assistant") return [textOf(content.parts), ...content.parts.map((part) => (part.type === "tool-call" ? `(calls ${part.tool})` : ""))].filter((line) => line !== "").join(" ");
  if (content.role === "tool") return content.results.map((result) => `${result.tool}: ${result.text}`).join("\n");
  return content.text;
}
