/** Sessions: listed, changed, reset, put away, removed. */
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { Cancelled, SessionPatch, SessionQuery, SessionRow } from "../store.ts";
import { unbind } from "./bindings.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel } from "./kernel.ts";
import { sessionOf } from "./rows.ts";
import { cancelSession } from "./tasks.ts";

const SELECT = `
  SELECT s.*, l.state, l.last_seq, l.last_entry, l.waiting,
         (SELECT count(*) FROM turn t WHERE t.session = s.key AND t.state = 'running') AS running
  FROM session s JOIN lane l ON l.session = s.key`;

export function session(k: Kernel, key: SessionKey): SessionRow | null {
  const row = k.get(`${SELECT} WHERE s.key = ?`, key);
  return row === undefined ? null : sessionOf(row);
}

export function sessions(k: Kernel, query: SessionQuery): { rows: SessionRow[]; next: string | null } {
  const [afterAt, afterKey] = afterOf(query.after);
  const search = query.search === undefined ? null : `%${query.search.replace(/[\\%_]/g, (character) => `\\${character}`)}%`;
  const rows = k.all(
    `${SELECT} WHERE (?1 IS NULL OR s.kind = ?1) AND (?2 IS NULL OR s.parent = ?2)
       AND (?3 IS NULL OR s.key LIKE ?3 ESCAPE '\\' OR s.label LIKE ?3 ESCAPE '\\')
       AND (s.archived_at IS NOT NULL) = ?4
       AND (?5 IS NULL OR s.last_at < ?5 OR (s.last_at = ?5 AND s.key > ?6))
     ORDER BY s.last_at DESC, s.key LIMIT ?7`,
    query.kind ?? null, query.parent ?? null, search, query.archived === true ? 1 : 0, afterAt, afterKey, query.limit + 1,
  );
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  return { rows: page.map(sessionOf), next: rows.length > query.limit && last !== undefined ? `${last["last_at"]}~${last["key"]}` : null };
}

function afterOf(after: string | undefined): [number | null, string | null] {
  if (after === undefined) return [null, null];
  const [at, key] = after.split("~");
  if (!/^\d{1,16}$/.test(at ?? "") || key === undefined) throw new Fault("BAD_REQUEST", { where: "after", problem: "is not a `next` value of this listing" });
  return [Number(at), key];
}

export function patchSession(k: Kernel, { key, patch }: { key: SessionKey; patch: SessionPatch }): SessionRow | null {
  if (k.get("SELECT 1 FROM session WHERE key = ?", key) === undefined) return null;
  if (patch.label !== undefined) k.run("UPDATE session SET label = ? WHERE key = ?", patch.label, key);
  if (patch.model !== undefined) k.run("UPDATE session SET model = ? WHERE key = ?", patch.model, key);
  if (patch.queueMode !== undefined) k.run("UPDATE session SET queue_mode = ? WHERE key = ?", patch.queueMode, key);
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

/** Puts away the sessions of children that ended before a moment. @returns how many. */
export function archiveIdle(k: Kernel, { childrenEndedBefore, limit }: { childrenEndedBefore: number; limit: number }): number {
  const rows = k.all(
    `SELECT s.key FROM task t JOIN session s ON s.key = t.session WHERE t.ended_at < ? AND s.archived_at IS NULL AND s.last_at < ? LIMIT ?`,
    childrenEndedBefore, childrenEndedBefore, limit,
  );
  for (const { key } of rows) {
    k.run("UPDATE session SET archived_at = ? WHERE key = ?", k.now(), key);
    k.emit(key, { type: "session.archived", data: {} });
  }
  return rows.length;
}
