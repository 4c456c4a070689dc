/** The history of built-in jobs. */
import { UPKEEP_RUNS_MAX, type UpkeepRun } from "../../model/upkeep.ts";
import type { Kernel } from "./kernel.ts";

export function noteUpkeep(k: Kernel, run: UpkeepRun): void {
  k.run(
    "INSERT INTO upkeep_run (id, task, source, started_at, ended_at, result, fault) VALUES (?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
    run.id, run.task, run.source, run.startedAt, run.endedAt ?? k.now(), run.result, run.fault === null ? null : JSON.stringify(run.fault),
  );
  k.run("DELETE FROM upkeep_run WHERE task = ?1 AND id IN (SELECT id FROM upkeep_run WHERE task = ?1 ORDER BY started_at DESC, id LIMIT -1 OFFSET ?2)", run.task, UPKEEP_RUNS_MAX);
}

/** The newest first. */
export function upkeepRuns(k: Kernel, { task, after, limit }: { task: string; after?: number; limit: number }): { runs: UpkeepRun[]; next: number | null } {
  const rows = k.all("SELECT * FROM upkeep_run WHERE task = ? AND started_at < ? ORDER BY started_at DESC, id LIMIT ?", task, after ?? Number.MAX_SAFE_INTEGER, limit + 1);
  const page = rows.slice(0, limit);
  const runs = page.map((row): UpkeepRun => ({
    id: row["id"], task: row["task"], source: row["source"], startedAt: row["started_at"], endedAt: row["ended_at"], result: row["result"], fault: row["fault"] === null ? null : JSON.parse(row["fault"]),
  }));
  return { runs, next: rows.length > limit ? page.at(-1)!["started_at"] : null };
}
