/**
 * The tables, as a list of steps from an empty file to today's shape.
 *
 * `PRAGMA user_version` counts the steps that are done. Each step and its number are one
 * transaction, so a kill at any statement leaves the file at a whole step. Steps are never
 * changed once released; a new shape is a new step.
 */
import type { DatabaseSync } from "node:sqlite";
import { Fault } from "../../model/faults.ts";
import { ACCESS_TOKENS } from "./migrations/access-tokens.ts";
import { APPROVALS } from "./migrations/approvals.ts";
import { DELIVERIES } from "./migrations/deliveries.ts";
import { BUDGETS } from "./migrations/budgets.ts";
import { GOVERNOR } from "./migrations/governor.ts";
import { HARNESS_SESSIONS } from "./migrations/harness-sessions.ts";
import { HARNESS_SPARES } from "./migrations/harness-spares.ts";
import { HEARTBEATS } from "./migrations/heartbeats.ts";
import { JOB_DELIVERIES } from "./migrations/job-deliveries.ts";
import { JOBS } from "./migrations/jobs.ts";
import { PARKED_WATCHES } from "./migrations/parked-watches.ts";
import { PLANS } from "./migrations/plans.ts";
import { RETENTION } from "./migrations/retention.ts";
import { TREES } from "./migrations/trees.ts";
import { UPKEEP } from "./migrations/upkeep.ts";
import { WORKSPACES } from "./migrations/workspaces.ts";

const FIRST = `
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0);

CREATE TABLE session (
  key TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('main','direct','group','subagent','acp','job')),
  agent TEXT NOT NULL,
  parent TEXT,
  task_id TEXT,
  depth INTEGER NOT NULL DEFAULT 0 CHECK (depth >= 0),
  label TEXT,
  model TEXT,
  queue_mode TEXT,
  cwd TEXT,
  created_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  archived_at INTEGER,
  closed INTEGER NOT NULL DEFAULT 0,
  summary TEXT,
  summary_upto INTEGER NOT NULL DEFAULT 0,
  input INTEGER NOT NULL DEFAULT 0,
  output INTEGER NOT NULL DEFAULT 0,
  cache_read INTEGER NOT NULL DEFAULT 0,
  cache_write INTEGER NOT NULL DEFAULT 0,
  reasoning INTEGER NOT NULL DEFAULT 0,
  calls INTEGER NOT NULL DEFAULT 0,
  cost_micros INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX session_recent ON session (last_at DESC, key);
CREATE INDEX session_parent ON session (parent) WHERE parent IS NOT NULL;

-- Who may run: one row per session. 'ready' with ready_at in the future is a batch still open.
CREATE TABLE lane (
  session TEXT PRIMARY KEY REFERENCES session (key) ON DELETE CASCADE,
  pool TEXT NOT NULL CHECK (pool IN ('main','side','subagent','acp','timer')),
  owner TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'idle' CHECK (state IN ('idle','ready','leased','waiting')),
  ready_at INTEGER,
  sort_key INTEGER,
  epoch INTEGER NOT NULL DEFAULT 0,
  waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
  noticed INTEGER NOT NULL DEFAULT 0,
  check_at INTEGER,
  last_seq INTEGER NOT NULL DEFAULT 0,
  last_entry INTEGER NOT NULL DEFAULT 0,
  last_message INTEGER NOT NULL DEFAULT 0,
  last_handle INTEGER NOT NULL DEFAULT 0,
  last_batch INTEGER NOT NULL DEFAULT 0,
  CHECK ((state = 'ready') = (ready_at IS NOT NULL)),
  CHECK ((state = 'ready') = (sort_key IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_ready ON lane (pool, sort_key, session) WHERE state = 'ready';
CREATE INDEX lane_due ON lane (ready_at) WHERE state = 'ready';
CREATE INDEX lane_check ON lane (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX lane_owner ON lane (owner) WHERE state IN ('ready','leased');

CREATE TABLE message (
  id TEXT PRIMARY KEY,
  session TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  n INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  channel TEXT NOT NULL,
  source_id TEXT,
  author TEXT,
  provenance TEXT NOT NULL CHECK (provenance IN ('user','operator','agent','child','timer','webhook','system')),
  text TEXT NOT NULL,
  mode TEXT NOT NULL,
  reply_to TEXT,
  child_task TEXT,
  for_turn TEXT,
  after_beside INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('waiting','held','taken','answered','failed','cancelled')),
  barrier_id TEXT,
  turn_id TEXT,
  accepted_at INTEGER NOT NULL,
  ready_at INTEGER NOT NULL,
  CHECK ((provenance = 'child') = (child_task IS NOT NULL)),
  CHECK (state <> 'held' OR barrier_id IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX message_order ON message (session, n);
CREATE UNIQUE INDEX message_source ON message (session, channel, source_id) WHERE source_id IS NOT NULL;
CREATE UNIQUE INDEX message_announcement ON message (child_task) WHERE child_task IS NOT NULL;
CREATE INDEX message_waiting ON message (session, n) WHERE state = 'waiting';
CREATE INDEX message_beside ON message (ready_at) WHERE state = 'waiting' AND mode IN ('parallel','background');
CREATE INDEX message_held ON message (barrier_id) WHERE state = 'held';
-- What the lane itself answers: not what starts beside it, not what is meant for a turn beside it.
CREATE VIEW lane_message AS SELECT * FROM message m WHERE mode <> 'background'
  AND (for_turn IS NULL OR NOT EXISTS (SELECT 1 FROM turn t WHERE t.id = m.for_turn AND t.state = 'running' AND t.track = 'side'));
CREATE INDEX message_turn ON message (turn_id) WHERE turn_id IS NOT NULL;

CREATE TABLE turn (
  id TEXT PRIMARY KEY,
  session TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  handle INTEGER NOT NULL,
  track TEXT NOT NULL CHECK (track IN ('main','side')),
  origin TEXT NOT NULL DEFAULT 'lane' CHECK (origin IN ('lane','parallel','background')),
  pool TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running','yielded','done','failed','cancelled')),
  epoch INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 1,
  unproductive INTEGER NOT NULL DEFAULT 0,
  task_id TEXT,
  flow_id TEXT,
  about TEXT NOT NULL,
  context_upto INTEGER NOT NULL,
  owed TEXT NOT NULL DEFAULT '[]',
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  fault TEXT,
  CHECK ((state = 'running') = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX turn_handle ON turn (session, handle);
CREATE UNIQUE INDEX turn_main ON turn (session) WHERE state = 'running' AND track = 'main';
CREATE INDEX turn_running ON turn (pool) WHERE state = 'running';
CREATE INDEX turn_running_session ON turn (session, handle) WHERE state = 'running';

CREATE TABLE step (
  turn_id TEXT NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
  n INTEGER NOT NULL,
  key TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('model','tool','compaction','steer')),
  name TEXT NOT NULL,
  effect TEXT NOT NULL CHECK (effect IN ('pure','idempotent','keyed','once')),
  state TEXT NOT NULL CHECK (state IN ('intent','done','unknown')),
  input TEXT,
  result TEXT,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (turn_id, n),
  CHECK ((state = 'done') = (result IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX step_key ON step (turn_id, key);

CREATE TABLE entry (
  session TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  turn_id TEXT,
  at INTEGER NOT NULL,
  content TEXT NOT NULL,
  message_ids TEXT NOT NULL,
  reply_to TEXT NOT NULL,
  provenance TEXT NOT NULL,
  PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
  cursor INTEGER PRIMARY KEY AUTOINCREMENT,
  session TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  turn_id TEXT,
  task_id TEXT,
  data TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_seq ON event (session, seq);

CREATE TABLE flow (
  id TEXT PRIMARY KEY,
  root TEXT,
  started_at INTEGER NOT NULL,
  cancelled_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_recent ON flow (started_at DESC, id);

CREATE TABLE task (
  id TEXT PRIMARY KEY,
  n INTEGER NOT NULL UNIQUE,
  flow_id TEXT NOT NULL REFERENCES flow (id),
  label TEXT NOT NULL,
  task TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('subagent','acp')),
  state TEXT NOT NULL CHECK (state IN ('queued','running','waiting','succeeded','failed','timed_out','cancelled','lost')),
  parent_session TEXT,
  parent_task TEXT,
  session TEXT NOT NULL,
  agent TEXT NOT NULL,
  model TEXT,
  depth INTEGER NOT NULL,
  delivery TEXT NOT NULL,
  cleanup TEXT NOT NULL DEFAULT 'keep' CHECK (cleanup IN ('keep','delete')),
  claims TEXT NOT NULL,
  siblings_max INTEGER NOT NULL,
  admitted INTEGER NOT NULL DEFAULT 1,
  spawn_key TEXT,
  attempt INTEGER NOT NULL DEFAULT 1,
  queued_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  deadline_at INTEGER,
  result TEXT,
  fault TEXT,
  input INTEGER NOT NULL DEFAULT 0,
  output INTEGER NOT NULL DEFAULT 0,
  cache_read INTEGER NOT NULL DEFAULT 0,
  cache_write INTEGER NOT NULL DEFAULT 0,
  reasoning INTEGER NOT NULL DEFAULT 0,
  calls INTEGER NOT NULL DEFAULT 0,
  cost_micros INTEGER NOT NULL DEFAULT 0,
  CHECK ((state IN ('queued','running','waiting')) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX task_spawn_key ON task (spawn_key) WHERE spawn_key IS NOT NULL;
CREATE UNIQUE INDEX task_active_session ON task (session) WHERE ended_at IS NULL;
CREATE INDEX task_flow ON task (flow_id, n);
CREATE INDEX task_parent ON task (parent_session, n) WHERE parent_session IS NOT NULL;
CREATE INDEX task_active_parent ON task (parent_session, n) WHERE ended_at IS NULL;
CREATE INDEX task_line ON task (parent_session, n) WHERE admitted = 0 AND ended_at IS NULL;
CREATE INDEX task_session ON task (session, n);
CREATE INDEX task_deadline ON task (deadline_at) WHERE ended_at IS NULL AND deadline_at IS NOT NULL;
CREATE INDEX task_cleanup ON task (ended_at) WHERE ended_at IS NOT NULL AND cleanup = 'delete';
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE barrier (
  id TEXT PRIMARY KEY,
  session TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  turn_id TEXT NOT NULL,
  step_key TEXT NOT NULL UNIQUE,
  need INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open','met','timed_out','cancelled')),
  deadline_at INTEGER,
  owed TEXT NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;
CREATE INDEX barrier_open ON barrier (session) WHERE state = 'open';
CREATE INDEX barrier_owing ON barrier (session) WHERE owed <> '[]';
CREATE INDEX barrier_deadline ON barrier (deadline_at) WHERE state = 'open' AND deadline_at IS NOT NULL;

CREATE TABLE barrier_task (
  barrier_id TEXT NOT NULL REFERENCES barrier (id) ON DELETE CASCADE,
  task_id TEXT NOT NULL,
  PRIMARY KEY (barrier_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX barrier_task_task ON barrier_task (task_id);

CREATE TABLE pool (
  name TEXT PRIMARY KEY,
  size INTEGER NOT NULL CHECK (size >= 1)
) STRICT, WITHOUT ROWID;
INSERT INTO pool VALUES ('main', 4), ('side', 8), ('subagent', 8), ('acp', 4), ('timer', 4);

CREATE TABLE process (
  marker TEXT PRIMARY KEY,
  pid INTEGER NOT NULL,
  start_ticks TEXT NOT NULL,
  boot_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`;

export const MIGRATIONS: readonly string[] = [FIRST, BUDGETS, RETENTION, ACCESS_TOKENS, GOVERNOR, JOBS, TREES, DELIVERIES, HARNESS_SESSIONS, WORKSPACES, APPROVALS, PLANS, HEARTBEATS, JOB_DELIVERIES, UPKEEP, HARNESS_SPARES, PARKED_WATCHES];

/**
 * Brings a database file to today's shape.
 * @throws {Fault} STORE_NEWER_SCHEMA when a newer program wrote the file; nothing was touched then.
 */
export function migrate(db: DatabaseSync, file: string, migrations: readonly string[] = MIGRATIONS): void {
  const { user_version: found } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  if (found > migrations.length) throw new Fault("STORE_NEWER_SCHEMA", { file, found, known: migrations.length });
  for (let step = found; step < migrations.length; step++) {
    db.exec(`BEGIN IMMEDIATE; ${migrations[step]} PRAGMA user_version = ${step + 1}; COMMIT`);
  }
}
