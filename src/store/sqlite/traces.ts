/** What began a turn or a child: read upwards through rows, so that it is the same after a restart. */
import type { SessionKey, TaskId, TurnId } from "../../base/ids.ts";
import type { TracedMessage, TracedTask, TracedTurn, TraceRoot } from "../../model/trace.ts";
import type { Kernel, Row } from "./kernel.ts";

/** Digests that spawn anew go on without end; a trace does not. */
const HOPS_MAX = 256;
const MESSAGES_MAX = 100;

export function tracedTurn(k: Kernel, { turn: id }: { turn: TurnId }): TracedTurn | null {
  const row = k.get("SELECT t.*, s.agent FROM turn t JOIN session s ON s.key = t.session WHERE t.id = ?", id);
  if (row === undefined) return null;
  const messages = k.all("SELECT id, channel, provenance, accepted_at, child_task FROM message WHERE turn_id = ? ORDER BY n LIMIT ?", id, MESSAGES_MAX).map(
    (message): TracedMessage => ({ id: message["id"], channel: message["channel"], provenance: message["provenance"], acceptedAt: message["accepted_at"], childTask: message["child_task"] }),
  );
  return { root: rootOf(k, { turn: id }), session: row["session"] as SessionKey, agent: row["agent"], taskId: row["task_id"], startedAt: row["started_at"], messages };
}

export function tracedTask(k: Kernel, { task: id }: { task: TaskId }): TracedTask | null {
  const row = k.get("SELECT * FROM task WHERE id = ?", id);
  if (row === undefined) return null;
  return {
    root: rootOf(k, { task: id }),
    session: row["session"],
    agent: row["agent"],
    flowId: row["flow_id"],
    state: row["state"],
    attempt: row["attempt"],
    depth: row["depth"],
    queuedAt: row["queued_at"],
    endedAt: row["ended_at"],
    spawnTurn: row["spawn_turn"],
    parentTask: row["parent_task"],
  };
}

/** Upwards from turn to task to turn, until a message that came from outside. */
function rootOf(k: Kernel, from: { readonly turn: TurnId } | { readonly task: TaskId }): TraceRoot {
  let turn: TurnId | null = "turn" in from ? from.turn : null;
  let task: TaskId | null = "task" in from ? from.task : null;
  let root: TraceRoot = turn !== null ? { of: "turn", id: turn } : { of: "task", id: task! };
  for (let hops = 0; hops < HOPS_MAX; hops++) {
    if (turn !== null) {
      const row: Row | undefined = k.get("SELECT m.id, m.child_task, t.task_id FROM turn t LEFT JOIN message m ON m.turn_id = t.id WHERE t.id = ? ORDER BY m.n LIMIT 1", turn);
      if (row === undefined) break;
      root = row["id"] === null ? { of: "turn", id: turn } : { of: "message", id: row["id"] };
      task = row["task_id"] ?? row["child_task"];
      turn = null;
      if (task === null) break;
    } else if (task !== null) {
      const row: Row | undefined = k.get("SELECT spawn_turn, parent_task FROM task WHERE id = ?", task);
      if (row === undefined) break;
      root = { of: "task", id: task };
      turn = row["spawn_turn"];
      task = turn === null ? row["parent_task"] : null;
    } else break;
  }
  return root;
}
