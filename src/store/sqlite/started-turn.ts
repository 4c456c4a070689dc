/** A running turn as its runner needs it: what it took, what was journalled, what runs beside it. */
import type { SessionKey, TurnId } from "../../base/ids.ts";
import type { EntryContent, RecentEntries, RunningBeside, StartedTurn, TurnSession } from "../../model/turn.ts";
import type { Kernel, Row } from "./kernel.ts";
import { authorityOf } from "./open-session.ts";
import { entryOf, handleText, stepOf } from "./rows.ts";

/** Things running beside a turn that its agent is told of. */
const BESIDES_MAX = 20;
/** Entries that come with a claim: what a turn with one call of tools leaves behind. */
const RECENT_ENTRIES_MAX = 4;
const RECENT_CHARS_MAX = 16_384;

/** A running turn as its runner needs it, with what was journalled before. */
export function startedTurnOf(k: Kernel, turn: Row): StartedTurn {
  const row = k.get("SELECT * FROM session WHERE key = ?", turn["session"])!;
  const messages = k.all("SELECT * FROM message WHERE turn_id = ? ORDER BY n", turn["id"]);
  const entries = k.all("SELECT content, message_ids FROM entry WHERE session = ? AND turn_id = ? AND seq > ? ORDER BY seq", turn["session"], turn["id"], turn["context_upto"]);
  const texts = new Map<string, string>();
  for (const entry of entries) {
    const content = JSON.parse(entry["content"]) as EntryContent;
    if (content.role === "user") texts.set((JSON.parse(entry["message_ids"]) as string[])[0]!, content.text);
  }
  const task = turn["task_id"] === null ? undefined : k.get("SELECT deadline_at, budgeted FROM task WHERE id = ?", turn["task_id"]);
  return {
    turnId: turn["id"],
    session: turn["session"],
    epoch: turn["epoch"],
    track: turn["track"],
    origin: turn["origin"],
    pool: turn["pool"],
    attempt: turn["attempt"],
    startedAt: turn["started_at"],
    handle: handleText(turn["handle"]),
    sessionInfo: sessionInfoOf(row, turn["context_upto"]),
    recent: null,
    messages: messages
      .filter((message) => texts.has(message["id"]))
      .map((message) => ({
        id: message["id"],
        text: texts.get(message["id"])!,
        provenance: message["provenance"],
        channel: message["channel"],
        acceptedAt: message["accepted_at"],
        childTask: message["child_task"],
      })),
    ...besideOf(k, turn["session"], turn["id"]),
    steps: k.all("SELECT * FROM step WHERE turn_id = ? ORDER BY n", turn["id"]).map(stepOf),
    deadlineAt: task?.["deadline_at"] ?? null,
    budgeted: task !== undefined && task["budgeted"] > 0,
  };
}

/** What comes with a claim, so that most turns need not ask for their context; null when it is long. */
export function recentEntries(k: Kernel, row: Row, upTo: number): RecentEntries | null {
  const { key: session, summary, summary_upto: summaryUpTo } = row;
  const rows = upTo === summaryUpTo ? [] : k.all("SELECT * FROM entry WHERE session = ? AND seq > ? AND seq <= ? ORDER BY seq", session, Math.max(summaryUpTo, upTo - RECENT_ENTRIES_MAX), upTo);
  if (rows.reduce((sum, { content }) => sum + content.length, 0) > RECENT_CHARS_MAX) return null;
  return { summaryUpTo, hasSummary: summary !== null, entries: rows.map(entryOf) };
}

export function sessionInfoOf(row: Row, lastEntry: number): TurnSession {
  return {
    key: row["key"],
    kind: row["kind"],
    agent: row["agent"],
    model: row["model"],
    depth: row["depth"],
    taskId: row["task_id"],
    label: row["label"],
    cwd: row["cwd"],
    ...authorityOf(row),
    createdAt: row["created_at"],
    lastEntry,
  };
}

/** Other running turns of the session (those without an answer or a notice yet are left out of its context) and its active children. */
export function besideOf(k: Kernel, session: SessionKey, turnId: TurnId): { omit: TurnId[]; besides: RunningBeside[] } {
  const turns = k.all("SELECT * FROM turn WHERE session = ? AND state = 'running' AND id <> ? ORDER BY handle LIMIT ?", session, turnId, BESIDES_MAX);
  const children = k.all("SELECT id, label, state, queued_at FROM task WHERE parent_session = ? AND ended_at IS NULL ORDER BY n LIMIT ?", session, BESIDES_MAX);
  const promoted = (turn: Row): boolean => k.get("SELECT 1 FROM entry WHERE session = ? AND turn_id = ? AND provenance = 'system'", session, turn["id"]) !== undefined;
  return {
    omit: turns.filter((turn) => !promoted(turn)).map((turn) => turn["id"]),
    besides: [
      ...turns.map((turn): RunningBeside => ({ handle: handleText(turn["handle"]), kind: "turn", turnId: turn["id"], about: turn["about"], startedAt: turn["started_at"] })),
      ...children.map((task): RunningBeside => ({ handle: task["id"], kind: "child", turnId: null, about: task["label"], startedAt: task["queued_at"] })),
    ],
  };
}
