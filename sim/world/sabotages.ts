/**
 * Deliberately broken gateways: each breaks one promise the way a plausible mistake would. The
 * checks must notice every one of them, or they are worth nothing.
 *
 * The program is not touched: a sabotage changes statements on their way to the database, or the
 * database itself. It can be switched on from here only.
 */
import { progressTimeoutSeconds, turnTimeoutSeconds } from "../../src/turns/settings.ts";
import type { JobSpec } from "../../src/model/job.ts";
import type { Plan } from "../../src/model/plan.ts";
import type { BrokenDisk, Database, Statement, Tamper } from "./faulty-disk.ts";
import { hasPlans } from "./plans.ts";
import type { WorldSettings } from "./world-settings.ts";

const NEVER_SECONDS = 7 * 86_400;
const MINUTE_MS = 60_000;

export interface Sabotage {
  readonly name: string;
  /** The promise that it breaks, and its numbers among those of promises.ts. */
  readonly breaks: string;
  readonly invariants: readonly number[];
  readonly disk?: BrokenDisk;
  /** Whether a world of this seed can meet it at all; others need not be run. */
  readonly meets?: (seed: number) => boolean;
  readonly prepare?: (database: Database) => void;
  readonly tamper?: (database: Database) => Tamper;
  readonly settings?: (settings: WorldSettings) => void;
}

export const SABOTAGES: readonly Sabotage[] = [
  { name: "acknowledged before it is saved", breaks: "no loss after accept", invariants: [1, 3, 41], disk: { liesAboutCommits: true } },
  { name: "what a refused verb had done is kept", breaks: "all of a verb or nothing", invariants: [], disk: { keepsHalves: true } },
  { name: "a failed commit is never looked at again", breaks: "readers miss nothing", invariants: [54], tamper: without("SELECT 1 FROM event WHERE cursor = ? AND session = ? AND seq = ?") },
  {
    name: "a message is taken in twice",
    breaks: "no double processing", invariants: [2, 55],
    prepare: (database) => database.exec("DROP INDEX message_source"),
    tamper: without("SELECT id FROM message WHERE session = ? AND channel = ? AND source_id = ?"),
  },
  { name: "the newest message goes first", breaks: "order", invariants: [5], tamper: instead("SELECT * FROM lane_message WHERE session = ? AND state = 'waiting' AND ready_at <= ? ORDER BY n", "SELECT * FROM lane_message WHERE session = ? AND state = 'waiting' AND ready_at <= ? ORDER BY n DESC") },
  { name: "stopping a turn drops the queue behind it", breaks: "timeout and abort keep the queue", invariants: [4, 12], tamper: dropQueueOnAbort },
  { name: "a reply is not sent", breaks: "every message gets an end", invariants: [1], tamper: () => (statement) => (isEvent(statement, "reply") ? { ...statement, values: statement.values.with(3, "notice") } : statement) },
  { name: "writes are not fenced", breaks: "a superseded epoch writes nothing", invariants: [7, 34], tamper: instead("WHERE id = ? AND epoch = ? AND state = 'running'", "WHERE id = ? AND ? >= 0 AND state = 'running'") },
  { name: "a stopped turn may still write", breaks: "late results are inert", invariants: [32, 34], tamper: instead("SELECT * FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", "SELECT * FROM turn WHERE id = ? AND epoch = ?") },
  {
    name: "a lane does not know that its turn runs",
    breaks: "one main turn per session", invariants: [7],
    prepare: (database) => database.exec("DROP INDEX turn_main"),
    tamper: without("SELECT id, started_at FROM turn WHERE session = ? AND state = 'running' AND track = 'main'"),
  },
  { name: "one slot too many", breaks: "caps", invariants: [8], tamper: instead("SELECT size FROM pool", "SELECT size + 1 FROM pool") },
  { name: "a slot is held while its turn waits for children", breaks: "no hold and wait", invariants: [9], tamper: instead("FROM turn WHERE state = 'running' GROUP BY pool", "FROM turn WHERE state IN ('running','yielded') GROUP BY pool") },
  { name: "recovery forgets the model's answers", breaks: "a committed answer is never asked for again", invariants: [13], tamper: () => afterRecovery("SELECT * FROM step WHERE turn_id = ? ORDER BY n", "SELECT * FROM step WHERE turn_id = ? AND kind <> 'model' ORDER BY n") },
  { name: "recovery forgets which tools had begun", breaks: "a `once` tool never runs again", invariants: [15], tamper: () => afterRecovery("SELECT * FROM step WHERE turn_id = ? ORDER BY n", "SELECT * FROM step WHERE turn_id = ? AND NOT (kind = 'tool' AND state = 'intent') ORDER BY n") },
  { name: "poison is tried for ever", breaks: "poison isolation", invariants: [6, 43], tamper: instead("unproductive = unproductive + 1", "unproductive = unproductive") },
  { name: "event numbers are skipped", breaks: "event numbers have no gaps", invariants: [54], tamper: instead("last_seq + ? AS last_seq", "last_seq + ? + (last_entry % 7 = 3) AS last_seq") },
  { name: "a child is announced twice", breaks: "exactly one announcement", invariants: [23, 26, 27], prepare: (database) => database.exec("DROP INDEX message_announcement"), tamper: announceTwice },
  { name: "a child ends and its parent is not told", breaks: "end and announcement are one", invariants: [22], tamper: () => (statement) => (isAnnouncement(statement) ? null : statement) },
  { name: "a barrier is met and wakes nobody", breaks: "no wake is lost", invariants: [10, 33], tamper: without("UPDATE message SET state = 'waiting', ready_at = ? WHERE barrier_id = ? AND state = 'held'") },
  { name: "an ended child can end again", breaks: "a terminal state never changes", invariants: [21], tamper: instead("SELECT * FROM task WHERE session = ? AND ended_at IS NULL", "SELECT * FROM task WHERE session = ?") },
  { name: "a cancelled child takes new messages", breaks: "cancel is sticky", invariants: [29], tamper: without("UPDATE session SET closed = 1") },
  { name: "a cancel does not reach grandchildren", breaks: "cancel goes down the tree", invariants: [30], tamper: instead("FROM session s JOIN lane l ON l.session = s.key WHERE s.key IN", "FROM session s JOIN lane l ON l.session = s.key WHERE s.depth < 2 AND s.key IN") },
  { name: "a stopped turn may still spawn", breaks: "a cancelled turn starts nothing", invariants: [29], tamper: instead("SELECT 1 FROM turn WHERE id = ? AND state = 'running'", "SELECT 1 FROM turn WHERE id = ?") },
  { name: "a child that said nothing has succeeded", breaks: "a status comes from the runtime", invariants: [28], tamper: successOfNothing },
  { name: "claims are not looked at", breaks: "two children never change the same file", invariants: [], tamper: instead("WHERE id IN (SELECT task_id FROM claim) AND n < ?", "WHERE id IN (SELECT task_id FROM claim) AND n < 0 * ?") },
  { name: "claims are never given back", breaks: "a claim ends with its child", invariants: [], tamper: without("DELETE FROM claim WHERE task_id = ?") },
  { name: "an orchestrator ends before its children", breaks: "parents end last", invariants: [33], tamper: instead("SELECT 1 FROM barrier WHERE session = ?1 AND state = 'open' UNION SELECT 1 FROM task WHERE parent_session = ?1 AND ended_at IS NULL", "SELECT 1 FROM barrier WHERE session = ?1 AND state = 'open'") },
  { name: "attempts are counted twice", breaks: "attempts are bounded and numbered", invariants: [], tamper: instead("UPDATE task SET state = 'queued', attempt = ?,", "UPDATE task SET state = 'queued', attempt = 1 + ?,") },
  { name: "an attempt begins beside the one before", breaks: "attempts are one at a time", invariants: [], tamper: attemptBeside },
  { name: "a budget is three times what was said", breaks: "budgets are kept", invariants: [], tamper: instead("SELECT * FROM budget WHERE scope = 'task' AND name = ? AND unit = ? AND closed = 0", "SELECT id, scope, name, unit, parent_id, max * 3, used, reserved, closed FROM budget WHERE scope = 'task' AND name = ? AND unit = ? AND closed = 0") },
  { name: "what the provider counted is forgotten", breaks: "accounts know of all that was spent", invariants: [], tamper: instead("UPDATE budget SET used = used + ?, reserved = reserved - ? WHERE id = ?", "UPDATE budget SET used = used + 0 * ?, reserved = reserved - ? WHERE id = ?") },
  { name: "calls that a crash cut off are free", breaks: "what may have been answered is spent", invariants: [], tamper: freeCutCalls },
  { name: "children are not counted", breaks: "budgets of children are kept", invariants: [], tamper: without("UPDATE budget SET used = used + 1 WHERE id = ?") },
  { name: "what a child spent is not its parent's", breaks: "a budget holds for everything below", invariants: [], tamper: instead("UPDATE budget SET reserved = reserved - ? + ?, used = used + ? WHERE id = ?", "UPDATE budget SET reserved = reserved - ? + ?, used = used + 0 * ? WHERE id = ?") },
  { name: "an open circuit lets children through", breaks: "an open circuit refuses", invariants: [], tamper: without("SELECT * FROM circuit WHERE agent = ? AND category = ? AND open_until IS NOT NULL") },
  { name: "a success does not close a circuit", breaks: "a circuit counts failures in a row", invariants: [], tamper: without("DELETE FROM circuit WHERE agent = ? AND category = ?") },
  { name: "failures are not counted", breaks: "failures in a row open a circuit", invariants: [], tamper: instead("DO UPDATE SET failures = failures + 1", "DO UPDATE SET failures = failures") },
  { name: "a wait for all is over with the first", breaks: "a barrier waits for what it was told", invariants: [33], tamper: instead("VALUES (?,?,?,?,?,'open',?)", "VALUES (?,?,?,?,min(?, 1),'open',?)") },
  { name: "a wait for children that were stopped never ends", breaks: "a barrier on what cannot finish resolves", invariants: [10, 33], tamper: instead("SELECT count(*) AS n, count(t.ended_at) AS ended FROM barrier_task b", "SELECT count(*) AS n, sum(t.state = 'succeeded') AS ended FROM barrier_task b") },
  { name: "a result that was on its way at a crash is forgotten", breaks: "every result is delivered or told", invariants: [], tamper: without("UPDATE delivery SET state = 'prepared', next_at = ?, in_doubt = 1") },
  {
    name: "what was delivered is posted again after a crash",
    breaks: "delivered once",
    invariants: [],
    tamper: instead("in_doubt = 1 WHERE id IN (SELECT id FROM delivery WHERE ended_at IS NULL) AND state = 'dispatching'", "in_doubt = 1, ended_at = NULL WHERE state IN ('dispatching','delivered')"),
  },
  { name: "every answer of a receiver counts as delivered", breaks: "what is said of a delivery is true", invariants: [], tamper: () => (statement) => (statement.sql.startsWith("UPDATE delivery SET state = ?, ended_at") ? { ...statement, values: statement.values.with(0, "delivered") } : statement) },
  { name: "a child is not bound by its parent's claims", breaks: "authority only shrinks", invariants: [], tamper: () => (statement) => (isChildOfBound(statement) ? { ...statement, values: statement.values.with(9, '{"lineage":["main"],"fences":[]}') } : statement) },
  { name: "a grandchild has the tools of a child", breaks: "authority only shrinks", invariants: [], tamper: () => (statement) => (statement.sql.startsWith("INSERT INTO session (") && Number(statement.values[5]) > 1 ? { ...statement, values: statement.values.with(5, 1) } : statement) },
  { name: "tool results are left out of the transcript", breaks: "every call has its result", invariants: [40], tamper: () => (statement) => (isEntry(statement, '{"role":"tool"') ? null : statement) },
  { name: "a side turn does not say where it belongs", breaks: "causal position of folds", invariants: [], tamper: () => (statement) => (isEntry(statement, "started before #") ? null : statement) },
  { name: "a tool begins before its intent is saved", breaks: "intent before effect", invariants: [14], tamper: () => (statement) => (isToolIntent(statement) ? null : statement) },
  { name: "what a crash left running is overlooked", breaks: "recovery is total", invariants: [42], tamper: without("SELECT * FROM turn WHERE state = 'running' ORDER BY started_at, id") },
  { name: "a result is given up because its parent is busy", breaks: "a result waits as long as its parent lives", invariants: [24, 25], tamper: () => (statement) => (isAnnouncement(statement) ? { ...statement, values: statement.values.with(14, "cancelled") } : statement) },
  { name: "nobody looks when a wait for children is over", breaks: "a watchdog fires once, and does", invariants: [39], tamper: without("SELECT * FROM barrier WHERE state = 'open' AND deadline_at <= ?") },
  { name: "work that was left long ago goes on", breaks: "old work is not resumed by surprise", invariants: [44], tamper: instead("SELECT cursor, at FROM event ORDER BY cursor DESC LIMIT 1", "SELECT cursor, at + 1000000000000 AS at FROM event ORDER BY cursor DESC LIMIT 1") },
  {
    name: "a moment of a job is claimed twice",
    breaks: "a moment is one row, run once", invariants: [35],
    prepare: (database) => database.exec("DROP INDEX occurrence_moment"),
    tamper: claimAgain,
  },
  {
    name: "a start runs the newest moments of jobs again",
    breaks: "catch-up knows what has run", invariants: [35, 36],
    prepare: (database) => database.exec("DROP INDEX occurrence_moment"),
    tamper: (database) => {
      setBackJobs(database);
      return ignoreRowOfMoment;
    },
  },
  { name: "what a job missed is left out, and its next moment counted from now", breaks: "no moment without a row", invariants: [36], tamper: without("INSERT INTO occurrence (id, job_id, scheduled_for, until, state, reason, fired_at, ended_at, completed_at)") },
  { name: "jobs run a second time in the hour that comes twice", breaks: "one moment in an hour that comes twice", invariants: [37], tamper: repeatHour },
  { name: "equal steps wait for the clock that was set back", breaks: "a clock that is set drops no moment", invariants: [37], tamper: without("WHERE kind = 'every' AND due_at > ?1") },
  { name: "what is to come does not move along when the clock is set", breaks: "durations are monotonic", invariants: [38], tamper: () => (statement) => (/^UPDATE \w+ SET (\w+) = \1 \+ \?1\b/.test(statement.sql) ? null : statement) },
  { name: "a watchdog bites what has ended", breaks: "a watchdog leaves alone what has ended", invariants: [39], tamper: notEnded },
  { name: "a run is complete before its children", breaks: "a run is complete when its children are", invariants: [], tamper: instead("coalesce(sum(ended_at IS NULL), 0) AS active", "0 AS active") },
  { name: "a question is left open when its turn ends", breaks: "every permission request is answered", invariants: [48], tamper: without("SELECT * FROM approval WHERE turn_id = ? AND state = 'pending'") },
  { name: "a question that nobody answered counts as allowed", breaks: "a permission mode is a ceiling", invariants: [47], tamper: () => (statement) => (statement.sql.startsWith("UPDATE approval SET state = ?") && statement.values[0] === "expired" ? { ...statement, values: statement.values.with(0, "approved") } : statement) },
  { name: "the end of a wait for a provider is lost", breaks: "who waits for a provider rests, no longer", invariants: [], tamper: () => (statement) => (statement.sql.startsWith("DELETE FROM parked WHERE turn_id = ?") ? null : statement) },
  { name: "a child is watched while it waits for its provider", breaks: "who waits for a provider rests, no longer", invariants: [], tamper: without("UPDATE task SET deadline_at = NULL, progress_due_at = NULL") },
  {
    name: "a plan's agent is started again when it is not known whether it was",
    breaks: "one agent for each attempt", invariants: [], meets: hasPlans,
    prepare: (database) => database.exec("DROP INDEX task_spawn_key"),
    tamper: () => lostMove("working", "SELECT * FROM task WHERE spawn_key = ?"),
  },
  { name: "a task of a plan is done when its agent says so", breaks: "done means evidence", invariants: [], meets: hasPlans, tamper: () => (statement) => (isCheckedTask(statement) ? { ...statement, values: statement.values.with(0, "done").with(2, 1) } : statement) },
  { name: "tasks of a plan wait for nobody", breaks: "a task begins when what it waits for has landed", invariants: [], meets: hasPlans, tamper: () => waitForNobody },
  { name: "work that stands in line is offered again", breaks: "work lands once", invariants: [], meets: hasPlans, tamper: () => lostMove("merging", "SELECT data FROM merge WHERE workspace_id = ? ORDER BY n DESC", "SELECT id FROM merge WHERE workspace_id = ?") },
  { name: "a plan goes on after its cancel", breaks: "nothing of a cancelled plan begins or lands", invariants: [], meets: hasPlans, tamper: () => (statement) => (isLookAtCancel(statement) ? null : statement) },
  { name: "a workspace may change everything", breaks: "work lands inside of its claim", invariants: [], meets: hasPlans, tamper: () => (statement) => (statement.sql.startsWith("INSERT INTO workspace (") ? { ...statement, values: statement.values.with(6, JSON.stringify({ ...JSON.parse(String(statement.values[6])), claims: [] })) } : statement) },
  { name: "what was taken back stands in line again", breaks: "what people take back stays taken back", invariants: [], meets: hasPlans, tamper: () => backInLine },
  { name: "a plan leaves its workspaces behind", breaks: "no workspace is left", invariants: [], meets: hasPlans, tamper: () => (statement) => (statement.sql.startsWith("SELECT data FROM workspace WHERE state IN ('ready','removing')") ? null : statement) },
  {
    name: "a turn has no deadline",
    breaks: "every turn ends",
    invariants: [11],
    settings: (settings) => {
      settings.set(progressTimeoutSeconds, NEVER_SECONDS);
      settings.set(turnTimeoutSeconds, NEVER_SECONDS);
    },
  },
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

/** The next moment of a job is not saved every third time, and nobody looks whether a moment has its row. */
function claimAgain(): Tamper {
  let fired = 0;
  return (statement) => {
    if (statement.sql.startsWith("UPDATE job SET next_for = ?, due_at = ?, last_for = ?") && ++fired % 3 === 0) return null;
    return ignoreRowOfMoment(statement);
  };
}

function ignoreRowOfMoment(statement: Statement): Statement | null {
  return statement.sql === "SELECT 1 FROM occurrence WHERE job_id = ? AND scheduled_for = ?" ? null : statement;
}

function setBackJobs(database: Database): void {
  database.exec("PRAGMA ignore_check_constraints = ON; UPDATE job SET next_for = last_for, due_at = last_for WHERE state = 'active' AND last_for IS NOT NULL; PRAGMA ignore_check_constraints = OFF");
}

/** Jobs that come every so many minutes go on while the clock shows an hour for the second time. */
function repeatHour(database: Database): Tamper {
  return (statement) => {
    if (!statement.sql.startsWith("UPDATE job SET next_for = ?, due_at = ?, last_for = ?")) return statement;
    const [next, , last, id] = statement.values;
    const { spec } = database.prepare("SELECT spec FROM job WHERE id = ?").get(id!) as { spec: string };
    const { schedule } = JSON.parse(spec) as JobSpec;
    const everyMinutes = schedule.kind === "cron" ? /^\*(?:\/(\d+))? \* \* \* \*$/.exec(schedule.expr) : null;
    const again = Number(last) + Number(everyMinutes?.[1] ?? 1) * MINUTE_MS;
    return everyMinutes !== null && Number(next) > again ? { ...statement, values: statement.values.with(0, again).with(1, again) } : statement;
  };
}

/** Its record and its event agree that it succeeded. */
function successOfNothing(): Tamper {
  return (statement) => {
    const { sql, values } = statement;
    if (!values.some((value) => typeof value === "string" && value.includes('"CHILD_EMPTY"'))) return statement;
    if (sql.startsWith("UPDATE task SET state = ?, result = ?")) return { ...statement, values: values.with(0, "succeeded") };
    return sql.startsWith("INSERT INTO event (") ? { ...statement, values: values.with(6, String(values[6]).replace('"state":"failed"', '"state":"succeeded"')) } : statement;
  };
}

/** A task as it was before its end. */
function notEnded(database: Database): Tamper {
  const columns = database.prepare("SELECT name FROM pragma_table_info('task')").all().map(({ name }) => (name === "ended_at" ? "NULL" : String(name)));
  return instead("SELECT * FROM task WHERE label = ? ORDER BY n DESC LIMIT 1", `SELECT ${columns.join(", ")} FROM task WHERE label = ? ORDER BY n DESC LIMIT 1`)();
}

/** The turn that stands still is not stopped when the next attempt begins; other stops are as they should be. */
function attemptBeside(database: Database): Tamper {
  return (statement) => {
    const isStop = statement.sql.startsWith("SELECT * FROM turn WHERE session = ? AND state = 'running' ORDER BY handle DESC");
    if (!isStop) return statement;
    const stalled = database.prepare("SELECT 1 FROM task WHERE session = ? AND ended_at IS NULL AND attempt < attempt_last AND progress_due_at IS NOT NULL AND state = 'running'").get(statement.values[0]!);
    return stalled === undefined ? statement : null;
  };
}

function freeCutCalls(database: Database): Tamper {
  return (statement) => {
    if (!statement.sql.startsWith("SELECT DISTINCT call FROM budget_hold")) return statement;
    database.exec("UPDATE budget SET reserved = reserved - (SELECT coalesce(sum(amount), 0) FROM budget_hold h WHERE h.budget_id = budget.id); DELETE FROM budget_hold");
    return { ...statement };
  };
}

function isCheckedTask({ sql, values }: Statement): boolean {
  return sql.startsWith("UPDATE plan_task SET state = ?, problem = ?, ended_at = ?") && values[0] === "checking";
}

/** A plan's tasks forget that they moved on, every second time, and nobody looks at what they did. */
function lostMove(to: string, ...looks: readonly string[]): Tamper {
  let moves = 0;
  return (statement) => {
    const isMove = statement.sql.startsWith("UPDATE plan_task SET state = ?, problem = ?, ended_at = ?") && statement.values[0] === to;
    return (isMove && ++moves % 2 === 1) || looks.some((look) => statement.sql.startsWith(look)) ? null : statement;
  };
}

function isLookAtCancel({ sql }: Statement): boolean {
  return ["SELECT workspace FROM plan_task WHERE plan_id = ? AND workspace", "SELECT state FROM plan WHERE id = ? AND ended_at IS NOT NULL", "SELECT p.id FROM plan_task t JOIN plan p"].some((look) => sql.startsWith(look));
}

function backInLine(statement: Statement): Statement {
  if (!statement.sql.startsWith("UPDATE merge SET state = ?") || statement.values[0] !== "undone") return statement;
  return { ...statement, values: statement.values.with(0, "queued").with(5, JSON.stringify({ ...JSON.parse(String(statement.values[5])), state: "queued" })) };
}

function waitForNobody(statement: Statement): Statement {
  if (!statement.sql.startsWith("INSERT INTO plan (")) return statement;
  const plan = JSON.parse(String(statement.values[2])) as Plan;
  return { ...statement, values: statement.values.with(2, JSON.stringify({ ...plan, tasks: plan.tasks.map((task) => ({ ...task, after: [] })) })) };
}

function isChildOfBound({ sql, values }: Statement): boolean {
  return sql.startsWith("INSERT INTO session (") && typeof values[9] === "string" && values[3] !== null;
}

function isAnnouncement({ sql, values }: Statement): boolean {
  return sql.startsWith("INSERT INTO message (") && values[7] === "child";
}

function isToolIntent({ sql, values }: Statement): boolean {
  return sql.startsWith("INSERT INTO step (") && sql.includes("'intent'") && values[3] === "tool";
}

function isEvent({ sql, values }: Statement, type: string): boolean {
  return sql.startsWith("INSERT INTO event (") && values[3] === type;
}

function isEntry({ sql, values }: Statement, part: string): boolean {
  return sql.startsWith("INSERT INTO entry (") && String(values[4]).includes(part);
}
