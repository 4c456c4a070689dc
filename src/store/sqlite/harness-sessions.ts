/** What is remembered of harnesses: which session of theirs belongs to which of ours. */
import type { SessionKey } from "../../base/ids.ts";
import type { HarnessRecord } from "../../model/harness.ts";
import type { Kernel, Row } from "./kernel.ts";

export function harnessSession(k: Kernel, key: SessionKey): HarnessRecord | null {
  const row = k.get("SELECT * FROM harness_session WHERE session = ?", key);
  return row === undefined ? null : recordOf(row);
}

export function harnessSessions(k: Kernel, { limit }: { limit: number }): readonly HarnessRecord[] {
  return k.all("SELECT * FROM harness_session ORDER BY last_at DESC LIMIT ?", limit).map(recordOf);
}

export function saveHarnessSession(k: Kernel, { session, harness, acpId, cwd, mode, resumable, createdAt, lastAt, known }: HarnessRecord): void {
  // A session that was deleted meanwhile needs no memory.
  k.run(
    `INSERT INTO harness_session (session, harness, acp_id, cwd, mode, resumable, created_at, last_at, known_upto, own_turns) SELECT ?,?,?,?,?,?,?,?,?,? WHERE EXISTS (SELECT 1 FROM session WHERE key = ?)
     ON CONFLICT (session) DO UPDATE SET harness = excluded.harness, acp_id = excluded.acp_id, cwd = excluded.cwd, mode = excluded.mode, resumable = excluded.resumable, created_at = excluded.created_at, last_at = excluded.last_at, known_upto = excluded.known_upto, own_turns = excluded.own_turns`,
    session, harness, acpId, cwd, mode, resumable, createdAt, lastAt, known.upTo, JSON.stringify(known.turns), session,
  );
}

function recordOf(row: Row): HarnessRecord {
  return { session: row["session"], harness: row["harness"], acpId: row["acp_id"], cwd: row["cwd"], mode: row["mode"], resumable: row["resumable"], createdAt: row["created_at"], lastAt: row["last_at"], known: { upTo: row["known_upto"], turns: JSON.parse(row["own_turns"]) } };
}
