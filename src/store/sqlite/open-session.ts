/** Makes sessions: a person's when it is first spoken to, a child's when it is spawned. */
import type { SessionKey, TaskId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { Fence } from "../../model/path-claims.ts";
import { POOL_OF_KIND, parseSessionKey, type SessionKind } from "../../model/session.ts";
import type { Kernel, Row } from "./kernel.ts";

export interface NewSession {
  readonly key: SessionKey;
  readonly kind: SessionKind;
  readonly agent: string;
  readonly parent: SessionKey | null;
  readonly taskId: TaskId | null;
  readonly depth: number;
  readonly label: string | null;
  readonly model: string | null;
  readonly cwd: string | null;
  /** Null for those that nobody spawned. */
  readonly authority: Authority | null;
}

/** What bounds a child besides its own agent: fixed when it is made, so that nothing can widen it later. */
export interface Authority {
  readonly lineage: readonly string[];
  readonly fences: readonly Fence[];
}

const UNBOUND: Authority = { lineage: [], fences: [] };

export function authorityOf(session: Row): Authority {
  return session["authority"] === null ? UNBOUND : (JSON.parse(session["authority"]) as Authority);
}

export function insertSession(k: Kernel, session: NewSession): void {
  const now = k.now();
  k.run(
    "INSERT INTO session (key, kind, agent, parent, task_id, depth, label, model, cwd, authority, created_at, last_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    session.key, session.kind, session.agent, session.parent, session.taskId, session.depth, session.label, session.model, session.cwd, session.authority === null ? null : JSON.stringify(session.authority), now, now,
  );
  const owner = session.parent === null ? session.key : k.get("SELECT owner FROM lane WHERE session = ?", session.parent)!["owner"];
  k.run("INSERT INTO lane (session, pool, owner) VALUES (?,?,?)", session.key, POOL_OF_KIND[session.kind], owner);
  k.emit(session.key, { type: "session.created", taskId: session.taskId, data: { kind: session.kind, agent: session.agent, parent: session.parent, label: session.label } });
}

/** The session's row, which is made when it is not there yet. A child is only ever made by a spawn. */
export function openSession(k: Kernel, key: SessionKey): Row {
  const row = k.get("SELECT * FROM session WHERE key = ?", key);
  if (row !== undefined) return row;
  const { parts } = parseSessionKey(key);
  if (parts.kind === "subagent" || parts.kind === "acp") throw new Fault("SESSION_NOT_FOUND", { session: key });
  insertSession(k, { key, kind: parts.kind, agent: parts.agent, parent: null, taskId: null, depth: 0, label: null, model: null, cwd: null, authority: null });
  return k.get("SELECT * FROM session WHERE key = ?", key)!;
}
