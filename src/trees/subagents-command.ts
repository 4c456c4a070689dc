/** `/subagents`: a person's view of the children of their conversation, and their hand on them. */
import type { SessionKey } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { parseSessionKey } from "../model/session.ts";
import { hasEnded, type Task } from "../model/task.ts";
import type { Command } from "../sessions/command.ts";
import type { Store } from "../store/store.ts";
import { childrenOf, findChild } from "./find-child.ts";
import { infoOf, logOf } from "./session-tools.ts";
import type { Trees } from "./trees.ts";

const USAGE = "/subagents list | log #1 | info #1 | send #1 TEXT | steer #1 TEXT | kill #1|all | spawn TASK";
const RECENT_MAX = 10;
const LOG_ENTRIES = 20;

export interface SubagentsCommandDeps {
  readonly store: Store;
  readonly trees: Trees;
  readonly nowMs: () => number;
}

export function subagentsCommand({ store, trees, nowMs }: SubagentsCommandDeps): Command {
  return {
    name: "subagents",
    beginsNothing: ([action = "list"]) => ["list", "log", "info", "kill"].includes(action),
    usage: USAGE,
    doc: "the children of this conversation: see, steer, stop, start",
    async run({ session, text, words, sourceId }) {
      await store.openSession(session);
      const [action = "list", target] = words;
      if (action === "list") return list(session);
      if (action === "spawn") return spawn(session, text.slice("spawn".length).trim(), sourceId);
      if (!["log", "info", "send", "steer", "kill"].includes(action)) throw new Fault("WRONG_USE", { problem: `use ${USAGE}` });
      if (target === undefined) throw new Fault("WRONG_USE", { problem: `which one? use /subagents ${action} #1 or a label; /subagents list shows them` });
      if (action === "kill" && target === "all") return killAll(session);
      const child = await findChild(store, session, target);
      if (action === "info") return JSON.stringify(infoOf(child, nowMs()), null, 1);
      if (action === "log") return log(child);
      if (action === "kill") return kill(child);
      const said = text.replace(/^\S+\s+\S+\s*/, "");
      if (said === "") throw new Fault("WRONG_USE", { problem: `say what: /subagents ${action} ${target} TEXT` });
      await trees.steer(child.taskId, said, "operator");
      return `${child.label} is told before its next step.`;
    },
  };

  async function list(session: SessionKey): Promise<string> {
    const children = await childrenOf(store, session);
    if (children.length === 0) return "No children yet.";
    const active = children.filter(({ task }) => !hasEnded(task.state));
    const recent = children.filter(({ task }) => hasEnded(task.state)).slice(-RECENT_MAX).reverse();
    const line = ({ n, task }: (typeof children)[number]): string =>
      `#${n} ${task.label} · ${task.state} · ${Math.round(((task.endedAt ?? nowMs()) - task.queuedAt) / 100) / 10} s · ${task.kind} · ${task.model ?? "default model"} · ${task.usage.input + task.usage.output} tokens`;
    return [...(active.length > 0 ? ["Active:", ...active.map(line)] : ["None active."]), ...(recent.length > 0 ? ["Recent:", ...recent.map(line)] : [])].join("\n");
  }

  async function spawn(session: SessionKey, task: string, sourceId: string | null): Promise<string> {
    if (task === "") throw new Fault("WRONG_USE", { problem: "say what the child is to do: /subagents spawn TASK" });
    const { parts } = parseSessionKey(session);
    const { task: child } = await trees.spawn({
      task, label: null, parent: session, turnId: null, agent: parts.agent, kind: "subagent", model: null, context: "isolated", cwd: null, deadlineSeconds: null, delivery: "digest", cleanup: "keep", claims: [], idempotencyKey: sourceId === null ? null : `command/${session}/${sourceId}`,
    });
    return `Started ${JSON.stringify(child.label)} (${child.taskId}).`;
  }

  async function log(child: Task): Promise<string> {
    const entries = (await logOf(store, child.session, LOG_ENTRIES)) as { seq: number; role: string; text: string }[];
    return entries.map((entry) => `#${entry.seq} ${entry.role}: ${entry.text}`).join("\n") || "Nothing said yet.";
  }

  async function kill(child: Task): Promise<string> {
    const { tasks } = await trees.cancelTask(child.taskId, "you");
    if (tasks.length === 0) return `${child.label} had ended before (${child.state}).`;
    return `Stopped ${child.label}${tasks.length > 1 ? ` and ${tasks.length - 1} below it` : ""}.`;
  }

  async function killAll(session: SessionKey): Promise<string> {
    const active = (await childrenOf(store, session)).filter(({ task }) => !hasEnded(task.state));
    const stopped = await Promise.all(active.map(({ task }) => trees.cancelTask(task.taskId, "you")));
    return `Stopped ${stopped.reduce((sum, { tasks }) => sum + tasks.length, 0)} children.`;
  }
}
