/** Sessions: looked up, changed, reset, put away, removed. */
import type { SessionKey } from "../../base/ids.ts";
import type { Cancelled, SessionPatch, SessionRow } from "../store.ts";
import { unbind } from "./bindings.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel } from "./kernel.ts";
import { SESSION_SELECT } from "./listings.ts";
import { sessionOf } from "./rows.ts";
import { cancelSession } from "./tasks.ts";

export function session(k: Kernel, key: SessionKey): SessionRow | null {
  const row = k.get(`${SESSION_SELECT} WHERE s.key = ?`, key);
  return row === undefined ? null : sessionOf(row);
}

export function patchSession(k: Kernel, { key, patch }: { key: SessionKey; patch: SessionPatch }): SessionRow | null {
  if (k.get("SELECT 1 FROM session WHERE key = ?", key) === undefined) return null;
  if (patch.label !== undefined) k.run("UPDATE session SET label = ? WHERE key = ?", patch.label, key);
  if (patch.model !== undefined) k.run("UPDATE session SET model = ? WHERE key = ?", patch.model, key);
  if (patch.queueMode !== undefined) k.run("UPDATE session SET queue_mode = ? WHERE key = ?", patch.queueMode, key);
  if (patch.cwd !== undefined) k.run("UPDATE session SET cwd = ? WHERE key = ?", patch.cwd, key);
  k.emit(key, { type: "session.changed", data: { ...patch } as Record<string, string | null> });
  return session(k, key);
}

export function resetSession(k: Kernel, { key, by }: { key: SessionKey; by: string }): SessionRow | null {
  const row = k.get("SELECT last_entry FROM lane WHERE session = ?", key);
  if (row === undefined) return null;
  const at = appendEntry(k, key, { turnId: null, content: { role: "notice", text: `context cleared by ${by}` }, messageIds: [], provenance: "system" });
  unbind(k, key);
  k.run("UPDATE session SET summary = NULL, summary_upto = ? WHERE key = ?", at, key);
  k.emit(key, { type: "session.reset", data: { by } });
  return session(k, key);
}

export function deleteSession(k: Kernel, { key, by }: { key: SessionKey; by: string }): Cancelled | null {
  const cancelled = cancelSession(k, { key, by, tree: true, queue: true });
  if (cancelled === null) return null;
  // Its children keep their records, but a new session of the same name must not find them as its own.
  k.run("UPDATE task SET parent_session = NULL WHERE parent_session = ?", key);
  k.run("UPDATE session SET parent = NULL WHERE parent = ?", key);
  k.run("DELETE FROM session WHERE key = ?", key);
  k.forget(); // bindings went with it
  return cancelled;
}

/**
 * Removes the sessions of ended children that were spawned with `cleanup: delete`, once their result
 * is delivered and nothing of them runs. The task and its result stay. @returns how many.
 */
export function removeSpent(k: Kernel, { limit }: { limit: number }): number {
  const rows = k.all(
    `SELECT s.key FROM task t JOIN session s ON s.key = t.session JOIN lane l ON l.session = s.key
     WHERE t.ended_at IS NOT NULL AND t.cleanup = 'delete' AND l.state = 'idle'
       AND NOT EXISTS (SELECT 1 FROM message m WHERE m.child_task = t.id AND m.state IN ('waiting','held'))
       AND NOT EXISTS (SELECT 1 FROM turn u WHERE u.session = s.key AND u.state = 'running')
       AND NOT EXISTS (SELECT 1 FROM task c WHERE c.parent_session = s.key AND c.ended_at IS NULL)
     LIMIT ?`,
    limit,
  );
  for (const { key } of rows) k.run("DELETE FROM session WHERE key = ?", key);
  if (rows.length > 0) k.forget(); // bindings went with them
  return rows.length;
}

/**
 * Puts away the sessions of children that ended before one moment, and other conversations but the
 * agents' main ones that nothing was said in since another; null = leave these. @returns how many.
 */
export function archiveIdle(k: Kernel, { childrenEndedBefore, unusedSince, limit }: { childrenEndedBefore: number | null; unusedSince: number | null; limit: number }): number {
  const rows = k.all(
    `SELECT s.key FROM session s JOIN lane l ON l.session = s.key
     WHERE s.archived_at IS NULL AND l.state = 'idle' AND NOT EXISTS (SELECT 1 FROM turn u WHERE u.session = s.key AND u.state = 'running')
       AND ((s.task_id IS NOT NULL AND s.last_at < ?1 AND NOT EXISTS (SELECT 1 FROM task t WHERE t.session = s.key AND (t.ended_at IS NULL OR t.ended_at >= ?1)))
         OR (s.kind IN ('direct','group','job') AND s.last_at < ?2 AND NOT EXISTS (SELECT 1 FROM task t WHERE t.parent_session = s.key AND t.ended_at IS NULL)))
     ORDER BY s.last_at, s.key DESC LIMIT ?3`,
    childrenEndedBefore, unusedSince, limit,
  );
  for (const { key } of rows) {
    k.run("UPDATE session SET archived_at = ? WHERE key = ?", k.now(), key);
    k.emit(key, { type: "session.archived", data: {} });
  }
  return rows.length;
}
