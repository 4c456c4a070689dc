/**
 * Deliberately broken gateways: each breaks one promise the way a plausible mistake would. The
 * checks must notice every one of them, or they are worth nothing.
 *
 * The program is not touched: a sabotage changes statements on their way to the database, or the
 * database itself. It can be switched on from here only.
 */
import type { Database, Statement, Tamper } from "./faulty-disk.ts";

export interface Sabotage {
  readonly name: string;
  /** The promise that it breaks. */
  readonly breaks: string;
  /** A commit that failed is taken for done. */
  readonly liesAboutCommits?: boolean;
  readonly prepare?: (database: Database) => void;
  readonly tamper?: (database: Database) => Tamper;
}

export const SABOTAGES: readonly Sabotage[] = [
  { name: "acknowledged before it is saved", breaks: "no loss after accept", liesAboutCommits: true },
  { name: "a failed commit is never looked at again", breaks: "readers miss nothing", tamper: without("SELECT 1 FROM event WHERE cursor = ? AND session = ? AND seq = ?") },
  {
    name: "a message is taken in twice",
    breaks: "no double processing",
    prepare: (database) => database.exec("DROP INDEX message_source"),
    tamper: without("SELECT id FROM message WHERE session = ? AND channel = ? AND source_id = ?"),
  },
  { name: "the newest message goes first", breaks: "order", tamper: instead("SELECT * FROM lane_message WHERE session = ? AND state = 'waiting' AND ready_at <= ? ORDER BY n", "SELECT * FROM lane_message WHERE session = ? AND state = 'waiting' AND ready_at <= ? ORDER BY n DESC") },
  { name: "stopping a turn drops the queue behind it", breaks: "timeout and abort keep the queue", tamper: dropQueueOnAbort },
  { name: "a reply is not sent", breaks: "every message gets an end", tamper: () => (statement) => (isEvent(statement, "reply") ? { ...statement, values: statement.values.with(3, "notice") } : statement) },
  { name: "writes are not fenced", breaks: "a superseded epoch writes nothing", tamper: instead("WHERE id = ? AND epoch = ? AND state = 'running'", "WHERE id = ? AND ? >= 0 AND state = 'running'") },
  { name: "a stopped turn may still write", breaks: "late results are inert", tamper: instead("SELECT * FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", "SELECT * FROM turn WHERE id = ? AND epoch = ?") },
  {
    name: "a lane does not know that its turn runs",
    breaks: "one main turn per session",
    prepare: (database) => database.exec("DROP INDEX turn_main"),
    tamper: without("SELECT started_at FROM turn WHERE session = ? AND state = 'running' AND track = 'main'"),
  },
  { name: "one slot too many", breaks: "caps", tamper: instead("SELECT size FROM pool", "SELECT size + 1 FROM pool") },
  { name: "a slot is held while its turn waits for children", breaks: "no hold and wait", tamper: instead("SELECT count(*) FROM turn WHERE pool = ? AND state = 'running'", "SELECT count(*) FROM turn WHERE pool = ? AND state IN ('running','yielded')") },
  { name: "recovery forgets the model's answers", breaks: "a committed answer is never asked for again", tamper: () => afterRecovery("SELECT * FROM step WHERE turn_id = ? ORDER BY n", "SELECT * FROM step WHERE turn_id = ? AND kind <> 'model' ORDER BY n") },
  { name: "recovery forgets which tools had begun", breaks: "a `once` tool never runs again", tamper: () => afterRecovery("SELECT * FROM step WHERE turn_id = ? ORDER BY n", "SELECT * FROM step WHERE turn_id = ? AND NOT (kind = 'tool' AND state = 'intent') ORDER BY n") },
  { name: "poison is tried for ever", breaks: "poison isolation", tamper: instead("unproductive = unproductive + 1", "unproductive = unproductive") },
  { name: "event numbers are skipped", breaks: "event numbers have no gaps", tamper: instead("last_seq + ? AS last_seq", "last_seq + ? + (last_entry % 7 = 3) AS last_seq") },
  { name: "a child is announced twice", breaks: "exactly one announcement", prepare: (database) => database.exec("DROP INDEX message_announcement"), tamper: announceTwice },
  { name: "a child ends and its parent is not told", breaks: "end and announcement are one", tamper: () => (statement) => (isAnnouncement(statement) ? null : statement) },
  { name: "a barrier is met and wakes nobody", breaks: "no wake is lost", tamper: without("UPDATE message SET state = 'waiting', ready_at = ? WHERE barrier_id = ? AND state = 'held'") },
  { name: "an ended child can end again", breaks: "a terminal state never changes", tamper: instead("SELECT * FROM task WHERE session = ? AND ended_at IS NULL", "SELECT * FROM task WHERE session = ?") },
  { name: "a cancelled child takes new messages", breaks: "cancel is sticky", tamper: without("UPDATE session SET closed = 1") },
  { name: "a cancel does not reach grandchildren", breaks: "cancel goes down the tree", tamper: instead("FROM session s JOIN lane l ON l.session = s.key WHERE s.key IN", "FROM session s JOIN lane l ON l.session = s.key WHERE s.depth < 2 AND s.key IN") },
  { name: "a stopped turn may still spawn", breaks: "a cancelled turn starts nothing", tamper: instead("SELECT 1 FROM turn WHERE id = ? AND state = 'running'", "SELECT 1 FROM turn WHERE id = ?") },
  { name: "claims are not looked at", breaks: "two children never change the same file", tamper: instead("WHERE id IN (SELECT task_id FROM claim) AND n < ?", "WHERE id IN (SELECT task_id FROM claim) AND n < 0 * ?") },
  { name: "claims are never given back", breaks: "a claim ends with its child", tamper: without("DELETE FROM claim WHERE task_id = ?") },
  { name: "an orchestrator ends before its children", breaks: "parents end last", tamper: instead("SELECT 1 FROM barrier WHERE session = ?1 AND state = 'open' UNION SELECT 1 FROM task WHERE parent_session = ?1 AND ended_at IS NULL", "SELECT 1 FROM barrier WHERE session = ?1 AND state = 'open'") },
  { name: "attempts are counted twice", breaks: "attempts are bounded and numbered", tamper: instead("UPDATE task SET state = 'queued', attempt = ?,", "UPDATE task SET state = 'queued', attempt = 1 + ?,") },
  { name: "tool results are left out of the transcript", breaks: "every call has its result", tamper: () => (statement) => (isEntry(statement, '{"role":"tool"') ? null : statement) },
  { name: "a side turn does not say where it belongs", breaks: "causal position of folds", tamper: () => (statement) => (isEntry(statement, "started before #") ? null : statement) },
];

// ── ways to break a statement ───────────────────────────────────────────────────────────────

function instead(found: string, other: string): () => Tamper {
  return () => (statement) => (statement.sql.includes(found) ? { ...statement, sql: statement.sql.replace(found, other) } : statement);
}

function without(found: string): () => Tamper {
  return () => (statement) => (statement.sql.includes(found) ? null : statement);
}

/** Changes the first such statement for each turn that a recovery picks up. */
function afterRecovery(found: string, other: string): Tamper {
  let recovers = false;
  return (statement) => {
    if (statement.sql.startsWith("UPDATE turn SET epoch = ?, generation = ?")) recovers = true;
    if (!recovers || !statement.sql.includes(found)) return statement;
    recovers = false;
    return { ...statement, sql: statement.sql.replace(found, other) };
  };
}

function dropQueueOnAbort(database: Database): Tamper {
  return (statement) => {
    if (statement.sql.startsWith("UPDATE turn SET state = 'cancelled'")) {
      database.prepare("UPDATE message SET state = 'cancelled' WHERE state = 'waiting' AND session = (SELECT session FROM turn WHERE id = ?)").run(statement.values.at(-1)!);
      return { ...statement };
    }
    return statement;
  };
}

function announceTwice(database: Database): Tamper {
  return (statement) => {
    if (isAnnouncement(statement)) {
      const [id, session, n, ...rest] = statement.values;
      database.prepare(statement.sql).run(`${String(id)}x`, session!, -Number(n), ...rest);
      return { ...statement };
    }
    return statement;
  };
}

function isAnnouncement({ sql, values }: Statement): boolean {
  return sql.startsWith("INSERT INTO message (") && values[7] === "child";
}

function isEvent({ sql, values }: Statement, type: string): boolean {
  return sql.startsWith("INSERT INTO event (") && values[3] === type;
}

function isEntry({ sql, values }: Statement, part: string): boolean {
  return sql.startsWith("INSERT INTO entry (") && String(values[4]).includes(part);
}
