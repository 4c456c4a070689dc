/** A run of a job, from its row. */
import type { RunId } from "../../base/ids.ts";
import type { Run } from "../../model/job.ts";
import type { Kernel, Row } from "./kernel.ts";

export function runRow(k: Kernel, id: RunId): Run | null {
  const row = k.get("SELECT * FROM occurrence WHERE id = ?", id);
  return row === undefined ? null : runOf(row);
}

export function runOf(row: Row): Run {
  return {
    id: row["id"], jobId: row["job_id"], scheduledFor: row["scheduled_for"], source: String(row["source"] ?? "").startsWith("manual:") ? "manual" : row["source"], until: row["until"], state: row["state"],
    reason: row["reason"], attempt: row["attempt"], retryAt: row["retry_at"], session: row["session"], messageId: row["message_id"], firedAt: row["fired_at"], startedAt: row["started_at"],
    endedAt: row["ended_at"], completedAt: row["completed_at"], spawned: row["spawned"], shipped: row["shipped"], result: row["result"], fault: row["fault"] === null ? null : JSON.parse(row["fault"]),
  };
}
