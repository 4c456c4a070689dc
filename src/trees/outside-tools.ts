/**
 * The session tools for callers that are no turn of ours: harnesses and other programs, at `/mcp`.
 *
 * The caller acts as one session and reaches that session's own subtree, never more than an agent of
 * that session would be offered. It has no turn that could end and be woken, so `sessions_yield`
 * waits, for a bounded time, and gives the results itself; what it gives wakes nobody any more. Which
 * results a caller has not asked for yet is remembered until the gateway stops; after that it names them.
 */
import type { IdMaker, SessionKey, TaskId } from "../base/ids.ts";
import type { JsonObject } from "../base/json.ts";
import type { Settings } from "../base/setting.ts";
import { asFault, Fault } from "../model/faults.ts";
import { hasEnded, type Task } from "../model/task.ts";
import type { Tool, Toolbox, ToolOutcome } from "../model/tool.ts";
import type { SessionRow, Store } from "../store/store.ts";
import { inputShape, oneOf, optional, text, textOrList, wholeNumber } from "../tools/input.ts";
import { agentsList, findAgent } from "../turns/agents-list.ts";
import { toolboxFor } from "../turns/toolbox.ts";
import { findChild } from "./find-child.ts";
import { WAIT_FOR } from "./session-tools.ts";
import { maxSpawnDepth, toolRulesAt, toolsByDepth } from "./settings.ts";
import type { Trees } from "./trees.ts";

/** What callers from outside may be offered; files and commands they have of their own. */
const OUTSIDE: ReadonlySet<string> = new Set(["sessions_spawn", "sessions_yield", "sessions_send", "sessions_list", "sessions_history", "session_status", "subagents", "agents_list", "message", "memory", "claims", "board"]);
/** Below the minute after which the usual clients give up on an answer. */
const WAIT_SECONDS = 45;
const WAIT_SECONDS_MAX = 240;
/** Children that one wait looks at. */
const WAITED_FOR_MAX = 500;

export interface OutsideTools {
  /** @throws {Fault} SESSION_NOT_FOUND */
  of(session: SessionKey): Promise<Toolbox>;
  /** @throws {Fault} SESSION_NOT_FOUND, TOOL_UNKNOWN; the signal's reason. Other failures are outcomes. */
  call(session: SessionKey, name: string, input: JsonObject, signal: AbortSignal): Promise<ToolOutcome>;
}

export interface OutsideToolDeps {
  readonly store: Store;
  readonly trees: Trees;
  readonly settings: Settings;
  readonly ids: Pick<IdMaker, "bare">;
  /** All tools that the settings let agents have. */
  readonly tools: () => readonly Tool[];
  /** The folder of a session. */
  readonly workspaceOf: (row: SessionRow) => string;
  /** The folder of the notes that a harness reads and adds to: those of the agent above it, for the folder that it works in is no place for them. */
  readonly notesOf: (row: SessionRow) => string;
}

export function makeOutsideTools(deps: OutsideToolDeps): OutsideTools {
  const { store, settings, ids, workspaceOf, notesOf } = deps;
  const owed = new Owed();
  const yieldTool = makeYieldTool(deps, owed);
  const boardTool = makeBoardTool(deps);

  async function rowOf(session: SessionKey): Promise<SessionRow> {
    const row = await store.session(session);
    if (row === null) throw new Fault("SESSION_NOT_FOUND", { session });
    return row;
  }

  function boxOf(row: SessionRow): Toolbox {
    const ofAgents = [row.agent, ...row.lineage].map((id) => findAgent(settings.get(agentsList), id)?.tools);
    const rules = [...ofAgents, ...toolRulesAt(settings.get(toolsByDepth), row.depth)].filter((one) => one !== undefined);
    const all = deps.tools();
    const own = [boardTool, makeClaimsTool(store, all.find(({ name }) => name === "claim_widen"))];
    const offered = [...all, ...own].filter(({ name }) => OUTSIDE.has(name)).map((tool) => (tool.name === yieldTool.name ? yieldTool : tool));
    return toolboxFor(offered, { depth: row.depth, depthMax: settings.get(maxSpawnDepth), rules, readOnly: false, shownMax: Infinity });
  }

  return {
    of: async (session) => boxOf(await rowOf(session)),
    async call(session, name, input, signal) {
      const row = await rowOf(session);
      const box = boxOf(row);
      const tool = box.get(name);
      if (tool === undefined) throw new Fault("TOOL_UNKNOWN", { tool: name, known: [...box.keys()].join(", ") });
      const stepKey = `outside:${ids.bare()}`;
      const context = { session, agent: row.agent, turnId: null, taskId: row.taskId, stepKey, workspace: name === "memory" && row.kind === "acp" ? notesOf(row) : workspaceOf(row), signal, progress() {} };
      try {
        if (name !== "sessions_spawn" || row.kind === "acp" || (input["delivery"] ?? null) !== null) return await tool.run(input, context);
        // A harness's session is told of results as its next message; anybody else would not read it, and asks.
        const outcome = await tool.run({ ...input, delivery: "notify" }, context);
        owed.add(session, (JSON.parse(outcome.text) as { taskId: TaskId }).taskId);
        return outcome;
      } catch (cause) {
        signal.throwIfAborted();
        return { text: asFault(cause).message, isError: true };
      }
    },
  };
}

/** Children whose results a caller has not been given, by its session; of very many the oldest are forgotten. */
class Owed {
  readonly #tasks = new Map<SessionKey, Set<TaskId>>();

  add(session: SessionKey, task: TaskId): void {
    const tasks = this.#tasks.get(session) ?? new Set();
    this.#tasks.set(session, tasks.add(task));
    if (tasks.size > WAITED_FOR_MAX) tasks.delete(tasks.values().next().value!);
  }

  of(session: SessionKey): readonly TaskId[] {
    return [...(this.#tasks.get(session) ?? [])];
  }

  given(session: SessionKey, given: readonly Task[]): void {
    const tasks = this.#tasks.get(session);
    for (const { taskId } of given) tasks?.delete(taskId);
    if (tasks?.size === 0) this.#tasks.delete(session);
  }
}

const YIELD_INPUT = inputShape({
  waitFor: optional(WAIT_FOR),
  tasks: optional(textOrList({ max: 10_000, itemsMax: WAITED_FOR_MAX })),
  timeoutSeconds: optional(wholeNumber({ min: 0, max: WAIT_SECONDS_MAX })),
  message: optional(text({ max: 2_000 })),
});

function makeYieldTool({ store, trees }: Pick<OutsideToolDeps, "store" | "trees">, owed: Owed): Tool {
  return {
    name: "sessions_yield",
    description: `Waits for children and gives their results: all (default), any or a number of them. After timeoutSeconds (${WAIT_SECONDS}, at most ${WAIT_SECONDS_MAX}) it says what still runs; call it again.`,
    inputSchema: YIELD_INPUT.schema,
    effect: "once",
    parallel: true,
    async run(given, { session, signal }) {
      const input = YIELD_INPUT.parse("sessions_yield", given);
      const names = input.tasks === undefined ? null : typeof input.tasks === "string" ? [input.tasks] : input.tasks;
      const waited = names === null ? await openChildren(session) : await Promise.all(names.map((name) => findChild(store, session, name)));
      const need = input.waitFor === undefined || input.waitFor === "all" ? waited.length : input.waitFor === "any" ? 1 : Math.min(input.waitFor, waited.length);
      await untilEnded(waited, need, (input.timeoutSeconds ?? WAIT_SECONDS) * 1000, signal);
      const taken = await store.takeResults({ session, tasks: names === null ? null : waited.map(({ taskId }) => taskId) });
      const tasks = await Promise.all([...new Set([...waited.map(({ taskId }) => taskId), ...taken])].map((id) => store.task(id)));
      const known = tasks.filter((task) => task !== null);
      const finished = known.filter(({ state }) => hasEnded(state));
      owed.given(session, finished);
      const running = known.filter(({ state }) => !hasEnded(state));
      const status = known.length === 0 ? "nothing-to-wait-for" : running.length === 0 ? "done" : finished.length >= need && waited.length > 0 ? "enough" : "still-running";
      return { text: JSON.stringify({ status, finished: finished.map(resultOf), running: running.map(({ taskId, label, state }) => ({ taskId, label, state })) }) };
    },
  };

  /** Those that run, and those whose result was not asked for yet. */
  async function openChildren(session: SessionKey): Promise<readonly Task[]> {
    const { tasks: active } = await store.tasks({ parent: session, states: ["queued", "running", "waiting"], limit: WAITED_FOR_MAX });
    const ids = new Set(active.map(({ taskId }) => taskId));
    const others = await Promise.all(owed.of(session).filter((id) => !ids.has(id)).map((id) => store.task(id)));
    return [...others.filter((task) => task !== null), ...active];
  }

  /** Resolves when so many have ended, or the time is over. */
  async function untilEnded(tasks: readonly Task[], need: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const enough = new AbortController();
    let ended = 0;
    const watching = tasks.map(async ({ taskId }) => {
      const task = await trees.waitFor(taskId, { timeoutMs, signal: AbortSignal.any([signal, enough.signal]) });
      if (hasEnded(task.state) && ++ended >= need) enough.abort();
    });
    for (const outcome of await Promise.allSettled(watching)) if (outcome.status === "rejected" && !enough.signal.aborted) throw outcome.reason;
  }
}

/** The children of the caller's session as cards, in columns by their state. */
function makeBoardTool({ store }: Pick<OutsideToolDeps, "store">): Tool {
  return {
    name: "board",
    description: "The task board of your own children: what waits, runs, is done and has failed.",
    inputSchema: BOARD_INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(given, { session }) {
      const { limit = BOARD_CARDS } = BOARD_INPUT.parse("board", given);
      const columns = await store.board({ parent: session, limit });
      return { text: JSON.stringify(columns.filter(({ total }) => total > 0).map(({ name, total, tasks }) => ({ column: name, total, cards: tasks.map(cardOf) }))) };
    },
  };
}

const BOARD_CARDS = 20;
const BOARD_INPUT = inputShape({ limit: optional(wholeNumber({ min: 1, max: 200 })) });

function cardOf({ taskId, label, state, session, claims, queuedAt, endedAt, result, fault }: Task): JsonObject {
  return { taskId: taskId as TaskId, label, state, session, claims: [...claims], queuedAt, endedAt, ...(fault === null ? { result: result?.slice(0, CARD_RESULT_MAX_CHARS) ?? null } : { fault: fault.message }) };
}

const CARD_RESULT_MAX_CHARS = 500;
const CLAIMS_MAX = 20;
const CLAIMS_INPUT = inputShape({ action: optional(oneOf("list", "widen")), paths: optional(textOrList({ max: 1_000, itemsMax: CLAIMS_MAX })) });

/** Which paths are whose: the caller's own and its children's; and more of them for the workspace that it works in. */
function makeClaimsTool(store: Store, widenTool: Tool | undefined): Tool {
  return {
    name: "claims",
    description: "Path claims: list yours and your children's, or ask for more paths in your workspace (widen).",
    inputSchema: CLAIMS_INPUT.schema,
    effect: "idempotent",
    parallel: false,
    async run(given, context) {
      const { action = "list", paths } = CLAIMS_INPUT.parse("claims", given);
      if (action === "widen") {
        if (paths === undefined) return { text: "paths is missing: say which ones, e.g. src/shared/**", isError: true };
        if (widenTool === undefined) return { text: "claims cannot be widened here", isError: true };
        return widenTool.run({ paths: typeof paths === "string" ? [paths] : [...paths] }, context);
      }
      const own = context.taskId === null ? null : await store.task(context.taskId);
      const { tasks } = await store.tasks({ parent: context.session, states: ["queued", "running", "waiting"], limit: WAITED_FOR_MAX });
      return { text: JSON.stringify({ yours: own?.claims ?? [], children: tasks.filter(({ claims }) => claims.length > 0).map(({ taskId, label, claims }) => ({ taskId, label, claims })) }) };
    },
  };
}

function resultOf({ taskId, label, state, session, result, output, fault }: Task): JsonObject {
  return { taskId: taskId as TaskId, label, state, session, ...(output === undefined || output === null ? { result } : { output }), ...(fault === null ? {} : { fault: fault.message }) };
}
