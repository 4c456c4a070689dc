/**
 * What is always true of the store, as queries: each returns the rows that break it.
 *
 * `yard doctor` and the tests run the same list.
 */
import type { Kernel } from "./kernel.ts";

interface Invariant {
  readonly name: string;
  /** Selects one row with a column `what` per violation. */
  readonly sql: string;
}

export const INVARIANTS: readonly Invariant[] = [
  { name: "event numbers have no gaps", sql: "SELECT l.session AS what FROM lane l WHERE l.last_seq - l.forgotten_seq <> (SELECT count(*) FROM event e WHERE e.session = l.session AND e.seq > l.forgotten_seq) OR EXISTS (SELECT 1 FROM event e WHERE e.session = l.session AND e.seq <= l.forgotten_seq)" },
  { name: "a leased lane has its running turn", sql: "SELECT session AS what FROM lane l WHERE (state = 'leased') <> EXISTS (SELECT 1 FROM turn t WHERE t.session = l.session AND t.state = 'running' AND t.track = 'main')" },
  { name: "a ready lane has a waiting message", sql: "SELECT session AS what FROM lane l WHERE state = 'ready' AND NOT EXISTS (SELECT 1 FROM lane_message m WHERE m.session = l.session AND m.state = 'waiting')" },
  { name: "an idle lane has no waiting message", sql: "SELECT session AS what FROM lane l WHERE state = 'idle' AND EXISTS (SELECT 1 FROM lane_message m WHERE m.session = l.session AND m.state IN ('waiting','held'))" },
  { name: "a lane counts its waiting messages", sql: "SELECT session AS what FROM lane l WHERE waiting <> (SELECT count(*) FROM lane_message m WHERE m.session = l.session AND m.state = 'waiting')" },
  {
    name: "a taken message has a running turn, or a barrier that owes its answer and will wake a turn",
    sql: `SELECT m.id AS what FROM message m WHERE m.state = 'taken'
      AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.id = m.turn_id AND t.state = 'running')
      AND NOT EXISTS (SELECT 1 FROM turn t, json_each(t.owed) o WHERE t.session = m.session AND t.state = 'running' AND o.value = m.id)
      AND NOT EXISTS (SELECT 1 FROM barrier b, json_each(b.owed) o WHERE b.session = m.session AND o.value = m.id
        AND (b.state = 'open' OR EXISTS (SELECT 1 FROM message w WHERE w.session = b.session AND w.state = 'waiting' AND w.barrier_id = b.id)))`,
  },
  { name: "a held message has an open barrier", sql: "SELECT m.id AS what FROM message m WHERE m.state = 'held' AND NOT EXISTS (SELECT 1 FROM barrier b WHERE b.id = m.barrier_id AND b.state = 'open')" },
  { name: "an open barrier waits for something that can still end", sql: "SELECT b.id AS what FROM barrier b WHERE b.state = 'open' AND NOT EXISTS (SELECT 1 FROM barrier_task t JOIN task k ON k.id = t.task_id WHERE t.barrier_id = b.id AND k.ended_at IS NULL)" },
  { name: "an ended child with a living parent was announced, unless it was stopped", sql: "SELECT t.id AS what FROM task t JOIN session s ON s.key = t.parent_session AND s.closed = 0 WHERE t.state IN ('succeeded','failed','timed_out') AND t.delivery = 'digest' AND NOT EXISTS (SELECT 1 FROM message m WHERE m.child_task = t.id)" },
  { name: "an active child has work in its lane, a turn, a barrier, children of its own, or waits among siblings", sql: "SELECT t.id AS what FROM task t JOIN lane l ON l.session = t.session WHERE t.ended_at IS NULL AND l.state = 'idle' AND NOT EXISTS (SELECT 1 FROM turn r WHERE r.session = t.session AND r.state = 'running') AND NOT EXISTS (SELECT 1 FROM task c WHERE c.parent_session = t.session AND c.ended_at IS NULL)" },
  { name: "a child holds claims only until its end", sql: "SELECT c.task_id AS what FROM claim c JOIN task t ON t.id = c.task_id WHERE t.ended_at IS NOT NULL" },
  { name: "a child that waits for claims waits for an older one", sql: "SELECT t.id AS what FROM task t WHERE t.blocked = 1 AND t.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM claim c JOIN task o ON o.id = c.task_id WHERE o.n < t.n AND o.ended_at IS NULL)" },
  { name: "a child that waits for claims has not started", sql: "SELECT t.id AS what FROM task t JOIN turn r ON r.session = t.session AND r.state = 'running' WHERE t.blocked = 1 AND t.ended_at IS NULL" },
  { name: "a child is bound by every claim that binds its parent", sql: "SELECT c.key AS what FROM session c JOIN session p ON p.key = c.parent, json_each(p.authority, '$.fences') f WHERE c.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM json_each(c.authority, '$.fences') own WHERE own.value = f.value)" },
  { name: "a child knows the agent of its parent as one of those above it", sql: "SELECT c.key AS what FROM session c JOIN session p ON p.key = c.parent WHERE c.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM json_each(c.authority, '$.lineage') own WHERE own.value = p.agent)" },
  { name: "each attempt of a child but its last has its record", sql: "SELECT a.task_id AS what FROM attempt a JOIN task t ON t.id = a.task_id WHERE a.attempt >= t.attempt" },
  { name: "the result of a child with a callback is on its way out exactly once it has ended", sql: "SELECT t.id AS what FROM task t WHERE t.callback IS NOT NULL AND (t.ended_at IS NOT NULL) <> EXISTS (SELECT 1 FROM delivery d WHERE d.task_id = t.id)" },
  { name: "what was delivered to a web address is marked as delivered", sql: "SELECT d.id AS what FROM delivery d JOIN task t ON t.id = d.task_id WHERE d.state = 'delivered' AND t.delivered_at IS NULL" },
  {
    name: "a budget has reserved what calls on their way and the budgets below it may take",
    sql: `SELECT b.scope || ' ' || b.name || ' ' || b.unit AS what FROM budget b WHERE b.reserved
      <> (SELECT coalesce(sum(amount), 0) FROM budget_hold h WHERE h.budget_id = b.id) + (SELECT coalesce(sum(c.max), 0) FROM budget c WHERE c.parent_id = b.id AND c.closed = 0)`,
  },
  { name: "a running occurrence has the message that it became", sql: "SELECT o.id AS what FROM occurrence o WHERE o.state = 'running' AND o.message_id NOT IN (SELECT id FROM message) AND o.session IN (SELECT key FROM session)" },
  { name: "a message of a job belongs to one occurrence", sql: "SELECT m.id AS what FROM message m WHERE m.channel = 'job' AND m.provenance = 'timer' AND m.state = 'waiting' AND m.author IN (SELECT id FROM job) AND NOT EXISTS (SELECT 1 FROM occurrence o WHERE o.job_id = m.author AND o.message_id = m.id)" },
  { name: "a claim on an item of a plan is held by an open run", sql: "SELECT c.item AS what FROM plan_claim c JOIN occurrence o ON o.id = c.occurrence_id WHERE o.completed_at IS NOT NULL" },
  { name: "no moment of a job lies before its newest row without being written", sql: "SELECT id AS what FROM job WHERE kind = 'cron' AND next_for IS NOT NULL AND last_for IS NOT NULL AND next_for <= last_for" },
  { name: "a running turn has an open step or a finished one", sql: "SELECT t.id AS what FROM turn t WHERE t.state = 'running' AND NOT EXISTS (SELECT 1 FROM step s WHERE s.turn_id = t.id)" },
  { name: "only a running turn is parked", sql: "SELECT p.turn_id AS what FROM parked p JOIN turn t ON t.id = p.turn_id WHERE t.state <> 'running'" },
  { name: "a pending approval of a turn has that turn running", sql: "SELECT 'A' || a.n AS what FROM approval a WHERE a.state = 'pending' AND a.turn_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.id = a.turn_id AND t.state = 'running')" },
];

export function checkIntegrity(k: Kernel): string[] {
  const problems: string[] = [];
  for (const row of k.all("PRAGMA integrity_check(5)")) if (row["integrity_check"] !== "ok") problems.push(`file: ${row["integrity_check"]}`);
  for (const row of k.all("PRAGMA foreign_key_check")) problems.push(`foreign key: a row of ${row["table"]} points to a missing row of ${row["parent"]}`);
  for (const { name, sql } of INVARIANTS) for (const row of k.all(`${sql} LIMIT 5`)) problems.push(`${name}: ${row["what"]}`);
  return problems;
}
