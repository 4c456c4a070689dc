/** Tokens for one part of the gateway: added, looked up by fingerprint, revoked, charged. */
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { AccessToken, NewAccessToken } from "../../model/access-token.ts";
import type { Usage } from "../../model/chat.ts";
import type { Kernel, Row } from "./kernel.ts";
import { ADD_USAGE, usageOf, usageValues } from "./rows.ts";
import { recordCall } from "./usage.ts";

export function addAccessToken(k: Kernel, { id, hash, scope, label, session, expiresAt }: NewAccessToken): AccessToken {
  if (session !== null && k.get("SELECT 1 FROM session WHERE key = ?", session) === undefined) throw new Fault("SESSION_NOT_FOUND", { session });
  k.run("INSERT INTO access_token (id, hash, scope, label, session, created_at, expires_at) VALUES (?,?,?,?,?,?,?)", id, hash, scope, label, session, k.now(), expiresAt);
  return tokenOf(k.get("SELECT * FROM access_token WHERE id = ?", id)!);
}

export function accessToken(k: Kernel, hash: string): AccessToken | null {
  const row = k.get(
    `SELECT a.*, t.budgeted, s.closed = 1 OR t.ended_at IS NOT NULL AS over
     FROM access_token a LEFT JOIN session s ON s.key = a.session LEFT JOIN task t ON t.id = s.task_id WHERE a.hash = ?`,
    hash,
  );
  // A child that has ended takes its tokens with it, also while its session can still be read.
  return row === undefined || row["over"] === 1 ? null : tokenOf(row);
}

/** Newest first. */
export function accessTokens(k: Kernel, { limit }: { limit: number }): AccessToken[] {
  return k.all("SELECT * FROM access_token ORDER BY created_at DESC, id LIMIT ?", limit).map(tokenOf);
}

export function revokeAccessToken(k: Kernel, id: string): AccessToken | null {
  k.run("UPDATE access_token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", k.now(), id);
  const row = k.get("SELECT * FROM access_token WHERE id = ?", id);
  return row === undefined ? null : tokenOf(row);
}

export function chargeAccessToken(k: Kernel, { id, model, usage }: { id: string; model: string; usage: Usage }): void {
  const row = k.get("SELECT session FROM access_token WHERE id = ?", id);
  if (row === undefined) return; // its session was deleted while the call ran
  k.run(`UPDATE access_token SET ${ADD_USAGE} WHERE id = ?`, ...usageValues(usage), id);
  recordCall(k, row["session"], model, usage);
  if (row["session"] === null) return;
  k.run(`UPDATE session SET ${ADD_USAGE} WHERE key = ?`, ...usageValues(usage), row["session"]);
  k.run(`UPDATE task SET ${ADD_USAGE} WHERE session = ? AND ended_at IS NULL`, ...usageValues(usage), row["session"]);
}

function tokenOf(row: Row): AccessToken {
  return {
    id: row["id"],
    scope: row["scope"],
    label: row["label"],
    session: row["session"] as SessionKey | null,
    createdAt: row["created_at"],
    expiresAt: row["expires_at"],
    revokedAt: row["revoked_at"],
    budgeted: (row["budgeted"] ?? 0) > 0,
    usage: usageOf(row),
  };
}
