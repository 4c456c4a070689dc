/**
 * What a start finds: how often in a row the gateway died before it got anything done, and for how
 * long nobody was there.
 *
 * A life got something done when a step, a turn or a task of it ended, a task of a plan went on, or a merge landed. Deaths without that, one
 * after the other, come from something in the state itself, and going on would bring the next one.
 *
 * Work that was left long ago is ended, not gone on with: whoever asked for it has stopped waiting,
 * and the world that it was meant for has changed.
 */
import type { SessionKey, TaskId } from "../../base/ids.ts";
import type { Retired } from "../store.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel, Row } from "./kernel.ts";
import { movePlan } from "./plans.ts";
import { generationOf } from "./rules.ts";
import { cancelSession, loseTask } from "./tasks.ts";

const MS_PER_HOUR = 3_600_000;

/** Marks in `meta`. */
type Mark = "alive" | "deaths" | "beganAfter";

function mark(k: Kernel, name: Mark): number {
  return (k.get("SELECT value FROM meta WHERE name = ?", name)?.["value"] as number | undefined) ?? 0;
}

function setMark(k: Kernel, name: Mark, value: number): void {
  k.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value);
}

function lastEvent(k: Kernel): Row | undefined {
  return k.get("SELECT cursor, at FROM event ORDER BY cursor DESC LIMIT 1");
}

/** When a gateway was last there, by the last event; null = never. To be asked before the recovery tells anything itself. */
export function lastThere(k: Kernel): number | null {
  return (lastEvent(k)?.["at"] as number | undefined) ?? null;
}

export function noteStart(k: Kernel): { deaths: number; generation: number } {
  const gotSomethingDone = k.get("SELECT 1 FROM event WHERE cursor > ? AND type IN ('tool.ended','reply','turn.ended','task.ended','plan.task','merge.landed') LIMIT 1", mark(k, "beganAfter")) !== undefined;
  const deaths = mark(k, "alive") === 0 ? 0 : gotSomethingDone ? 1 : mark(k, "deaths") + 1;
  setMark(k, "alive", 1);
  setMark(k, "deaths", deaths);
  setMark(k, "beganAfter", lastEvent(k)?.["cursor"] ?? 0);
  return { deaths, generation: generationOf(k) };
}

export function noteStop(k: Kernel): void {
  setMark(k, "alive", 0);
}

/** Ends what was open when the gateway was last there, at `lastAt`, if that is `staleMs` or more ago. @returns null when it is not, or nothing was open. */
export function retireOld(k: Kernel, { staleMs, lastAt }: { readonly staleMs: number; readonly lastAt: number | null }): Retired | null {
  if (staleMs <= 0 || lastAt === null || k.now() - lastAt < staleMs) return null;
  const awayMs = k.now() - lastAt;
  const by = `its age: the gateway was away for ${Math.round(awayMs / MS_PER_HOUR)} hours`;
  const told = new Set<SessionKey>();
  // Conversations first: nobody who is ended here is to be woken by the end of a child.
  const open = k.all(`SELECT l.session FROM lane l WHERE (l.state <> 'idle' OR EXISTS (SELECT 1 FROM turn t WHERE t.session = l.session AND t.state = 'running'))
    AND NOT EXISTS (SELECT 1 FROM task k WHERE k.session = l.session AND k.ended_at IS NULL) ORDER BY l.session`);
  for (const { session } of open) {
    cancelSession(k, { key: session, by, tree: false, queue: true });
    told.add(session);
  }
  const tasks: TaskId[] = [];
  for (const { id, parent_session: parent } of k.all("SELECT id, parent_session FROM task WHERE ended_at IS NULL ORDER BY depth DESC, n DESC")) {
    if (!loseTask(k, id, by)) continue;
    tasks.push(id);
    if (parent !== null) told.add(parent);
  }
  const plans = k.all("SELECT id, session, json_extract(plan, '$.title') AS title FROM plan WHERE state = 'running'");
  for (const { id, session, title } of plans) {
    const waitsFor = `a person to resume it: the gateway was away for ${Math.round(awayMs / MS_PER_HOUR)} hours`;
    movePlan(k, { plan: id, from: "running", to: "stuck", change: { problem: waitsFor }, event: { type: "plan.waiting", data: { waitsFor } } });
    const text = `The plan "${title}" rests, because the gateway was away for ${Math.round(awayMs / MS_PER_HOUR)} hours. To go on: yard plan resume ${id}`;
    appendEntry(k, session, { turnId: null, content: { role: "notice", text }, messageIds: [], provenance: "system" });
    k.emit(session, { type: "notice", data: { text, level: "warn", code: "PLAN", planId: id } });
  }
  const text = `The gateway was away for ${Math.round(awayMs / MS_PER_HOUR)} hours. What was open here when it stopped was ended, not gone on with; ask again for what is still wanted.`;
  for (const session of told) {
    if (k.get("SELECT 1 FROM session WHERE key = ? AND closed = 0", session) === undefined) continue;
    appendEntry(k, session, { turnId: null, content: { role: "notice", text }, messageIds: [], provenance: "system" });
    k.emit(session, { type: "notice", data: { text, level: "warn", code: "WORK_STALE" } });
  }
  return told.size + tasks.length + plans.length === 0 ? null : { awayMs, sessions: told.size, tasks };
}
