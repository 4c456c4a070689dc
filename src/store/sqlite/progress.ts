/** When a child last brought something new. */
import type { Kernel, Row } from "./kernel.ts";

/** When this attempt of a child first had the newest of its results; a call that brings the same again does not count. Null = it had none. */
export function lastNewResultAt(k: Kernel, task: Row): number | null {
  return k.get(
    `SELECT max(first) AS at FROM (
       SELECT min(s.ended_at) AS first FROM turn t JOIN step s ON s.turn_id = t.id
       WHERE t.session = ? AND t.started_at >= ? AND s.kind = 'tool' AND s.state = 'done'
       GROUP BY s.name, s.input, json_extract(s.result, '$.result.text'))`,
    task["session"], task["started_at"] ?? 0,
  )!["at"];
}
