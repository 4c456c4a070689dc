/** The commands of a conversation: /help /new /reset /compact /stop /status /queue /bg /model /tasks /lanes. */
import type { SessionKey } from "../base/ids.ts";
import type { ModelClient } from "../model/chat.ts";
import { Fault } from "../model/faults.ts";
import { QUEUE_MODES, type PoolName, type QueueMode } from "../model/lane.ts";
import type { Store } from "../store/store.ts";
import type { Command, InLine } from "./command.ts";
import type { Sessions } from "./sessions.ts";

export interface CommandDeps {
  readonly store: Store;
  readonly sessions: () => Sessions;
  readonly models: ModelClient & { defaultModel(): string };
  readonly meanTurnMs: () => Readonly<Record<PoolName, number>>;
  readonly nowMs: () => number;
  /** Starts a text on a side track of its own. */
  readonly background: (session: SessionKey, text: string, sourceId: string | null) => Promise<InLine>;
}

const TASKS_SHOWN = 15;

export function conversationCommands(deps: CommandDeps): readonly Command[] {
  const { store, sessions } = deps;
  const reset: Command["run"] = async ({ session }) => {
    await store.openSession(session);
    const bound = await store.boundTo(session);
    await sessions().reset(session, "you");
    if (bound !== null) return `The context is cleared, and this conversation is no longer bound to ${bound}.`;
    return "The context is cleared. This session, its name and its running children stay.";
  };
  return [
    { name: "new", usage: "/new", doc: "clear the context and start afresh", run: reset },
    { name: "reset", usage: "/reset", doc: "the same as /new", run: reset },
    {
      name: "compact",
      usage: "/compact",
      doc: "replace the older part of this conversation by a summary, in what the model is told",
      async run({ session }) {
        await store.openSession(session);
        const entries = await sessions().compact(session);
        return entries === 0 ? "There is nothing to make shorter yet." : `${plural(entries, "entry", "entries")} become a summary, beside the conversation. The history keeps them.`;
      },
    },
    {
      name: "stop",
      beginsNothing: always,
      usage: "/stop [T7 | all]",
      doc: "stop what runs here and its children; T7 = that one turn; all = take waiting messages out of line too",
      async run({ session, words }) {
        const [what] = words;
        if (what !== undefined && /^T\d+$/i.test(what)) {
          await sessions().cancelTurn(session, what, "you");
          return `${what.toUpperCase()} is stopped.`;
        }
        if (what !== undefined && what !== "all") throw new Fault("WRONG_USE", { problem: "use /stop, /stop T7 or /stop all" });
        await store.openSession(session);
        const { turns, tasks, messages } = await sessions().cancel(session, { by: "you", tree: true, queue: what === "all" });
        if (turns.length + tasks.length + messages === 0) return "Nothing was running.";
        const left = (await store.session(session))?.waitingMessages ?? 0; // it may be removed meanwhile
        return `Stopped ${plural(turns.length, "turn")} and ${plural(tasks.length, "child", "children")}${messages > 0 ? `, and took ${plural(messages, "waiting message")} out of line` : ""}.${left > 0 ? ` ${plural(left, "message")} still in line (/stop all).` : ""}`;
      },
    },
    {
      name: "status",
      beginsNothing: always,
      usage: "/status",
      doc: "this session: model, tokens, what runs and waits",
      async run({ session }) {
        const row = await store.openSession(session);
        const view = await store.lanes({ meanTurnMs: deps.meanTurnMs() });
        const lane = view.lanes.find((one) => one.session === session);
        const { tasks } = await store.tasks({ parent: session, states: ["queued", "running", "waiting"], limit: TASKS_SHOWN });
        const lines = [
          `${row.label ?? row.key} · ${row.state} · model ${row.model ?? deps.models.defaultModel()} · queue mode ${row.queueMode ?? "default"}`,
          `${row.usage.input} tokens in, ${row.usage.output} out, ${row.usage.calls} model calls${row.usage.unpriced !== undefined && row.usage.costMicros === 0 ? ", cost unknown" : row.usage.costMicros > 0 ? `, $${(row.usage.costMicros / 1e6).toFixed(4)}` : ""}`,
          ...(lane?.turns ?? []).map((turn) => `${turn.handle} ${turn.track === "side" ? "beside" : "running"}: ${turn.about} (${seconds(deps.nowMs() - turn.startedAt)})`),
          ...tasks.map((task) => `${task.state}: ${task.label} (${seconds(deps.nowMs() - task.queuedAt)})`),
        ];
        if (row.waitingMessages > 0) lines.push(`${plural(row.waitingMessages, "message")} in line`);
        return lines.join("\n");
      },
    },
    {
      name: "queue",
      beginsNothing: (words) => words.length === 0,
      usage: `/queue [${QUEUE_MODES.join(" | ")} | default]`,
      doc: "what happens to a message that comes while I work",
      async run({ session, words }) {
        const [mode] = words;
        const row = await store.openSession(session);
        if (mode === undefined) return `Queue mode: ${row.queueMode ?? "default"}. Set it with /queue ${QUEUE_MODES.join("|")}|default.`;
        if (mode !== "default" && !(QUEUE_MODES as readonly string[]).includes(mode)) throw new Fault("WRONG_USE", { problem: `no queue mode ${mode}; there are ${QUEUE_MODES.join(", ")} and default` });
        await store.patchSession({ key: session, patch: { queueMode: mode === "default" ? null : (mode as QueueMode) } });
        return `Queue mode of this session: ${mode}.`;
      },
    },
    {
      name: "bg",
      usage: "/bg [TEXT]",
      doc: "let what runs go on beside the conversation; with TEXT: do that in the background from the start",
      async run({ session, text, sourceId }) {
        if (text !== "") return deps.background(session, text, sourceId);
        const promotion = await sessions().promote(session);
        return promotion.outcome === "already-side" ? `${promotion.handle} is beside the conversation already.` : promotion.outcome === "promoted" ? `${promotion.turn.handle} goes on beside the conversation.` : "Nothing was running.";
      },
    },
    {
      name: "model",
      beginsNothing: (words) => words.length === 0,
      usage: "/model [PROVIDER/MODEL | default]",
      doc: "the model of this session",
      async run({ session, words }) {
        const [model] = words;
        const row = await store.openSession(session);
        const known = deps.models.knownModels();
        if (model === undefined) return `Model: ${row.model ?? `${deps.models.defaultModel()} (default)`}. Known: ${known.join(", ")}.`;
        if (model !== "default" && !known.includes(model) && !known.some((one) => one.split("/")[0] === model.split("/")[0])) throw new Fault("MODEL_UNKNOWN", { model, known: known.join(", ") });
        await store.patchSession({ key: session, patch: { model: model === "default" ? null : model } });
        return `Model of this session: ${model === "default" ? `${deps.models.defaultModel()} (default)` : model}. The context stays.`;
      },
    },
    {
      name: "tasks",
      beginsNothing: always,
      usage: "/tasks",
      doc: "the newest tasks, over all sessions",
      async run() {
        const { tasks } = await store.tasks({ limit: TASKS_SHOWN });
        if (tasks.length === 0) return "No tasks yet.";
        return tasks.map((task) => `${task.taskId} · ${task.state} · ${task.label} · ${seconds((task.endedAt ?? deps.nowMs()) - task.queuedAt)}`).join("\n");
      },
    },
    {
      name: "lanes",
      beginsNothing: always,
      usage: "/lanes",
      doc: "who runs and who waits, and why",
      async run() {
        const view = await store.lanes({ meanTurnMs: deps.meanTurnMs() });
        const pools = view.pools.map((pool) => `${pool.name} ${pool.used}/${pool.size}${pool.waiting > 0 ? ` (${pool.waiting} waiting)` : ""}`).join(" · ");
        const lanes = view.lanes.map((lane) => `${lane.session} · ${lane.state}${lane.why === null ? "" : ` (${lane.why})`}${lane.position === null ? "" : ` · place ${lane.position + 1}, about ${seconds(lane.etaMs)}`}${lane.turns.map((turn) => ` · ${turn.handle} ${seconds(deps.nowMs() - turn.startedAt)}`).join("")}`);
        return [pools, ...lanes].join("\n");
      },
    },
  ];
}

export function helpCommand(all: () => readonly Command[]): Command {
  return {
    name: "help",
    beginsNothing: always,
    usage: "/help",
    doc: "this list",
    run: async () => all().map(({ usage, doc }) => `${usage}: ${doc}`).join("\n"),
  };
}

function always(): boolean {
  return true;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}
