/** Jobs, their occurrences, and the claims of runs on the items of a plan. */
export const JOBS = `
CREATE TABLE job (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  origin TEXT NOT NULL CHECK (origin IN ('made','config')),
  kind TEXT NOT NULL CHECK (kind IN ('at','every','cron','task','file')),
  spec TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active','paused','disabled','done')),
  why TEXT,
  next_for INTEGER,
  due_at INTEGER,
  last_for INTEGER,
  fingerprint TEXT,
  failures INTEGER NOT NULL DEFAULT 0,
  permanent INTEGER NOT NULL DEFAULT 0,
  alerted_at INTEGER,
  created_at INTEGER NOT NULL,
  CHECK ((next_for IS NULL) = (due_at IS NULL)),
  CHECK (next_for IS NULL OR state = 'active'),
  CHECK (kind <> 'cron' OR next_for IS NULL OR last_for IS NULL OR next_for > last_for)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_due ON job (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX job_kind ON job (kind, id) WHERE state = 'active';
CREATE INDEX job_config ON job (name) WHERE origin = 'config';

CREATE TABLE occurrence (
  id TEXT PRIMARY KEY,
  job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  scheduled_for INTEGER NOT NULL,
  until INTEGER NOT NULL,
  source TEXT,
  state TEXT NOT NULL CHECK (state IN ('waiting','running','ran','failed','cancelled','skipped','missed','superseded')),
  reason TEXT,
  plan TEXT,
  attempt INTEGER NOT NULL DEFAULT 1,
  retry_at INTEGER,
  session TEXT,
  message_id TEXT,
  fired_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  completed_at INTEGER,
  spawned INTEGER NOT NULL DEFAULT 0,
  shipped INTEGER NOT NULL DEFAULT 0,
  result TEXT,
  fault TEXT,
  CHECK (until >= scheduled_for),
  CHECK ((state = 'running') = (message_id IS NOT NULL AND ended_at IS NULL)),
  CHECK (state NOT IN ('waiting','running') OR completed_at IS NULL),
  CHECK (state IN ('waiting','running','ran') OR completed_at IS NOT NULL),
  CHECK (retry_at IS NULL OR state = 'waiting'),
  CHECK (completed_at IS NULL OR plan IS NULL)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX occurrence_moment ON occurrence (job_id, scheduled_for);
CREATE UNIQUE INDEX occurrence_source ON occurrence (job_id, source) WHERE source IS NOT NULL;
CREATE INDEX occurrence_open ON occurrence (job_id, scheduled_for) WHERE completed_at IS NULL;
CREATE INDEX occurrence_retry ON occurrence (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX occurrence_old ON occurrence (completed_at) WHERE completed_at IS NOT NULL;

-- A watchdog and a target by label look for the newest with that name.
CREATE INDEX task_label ON task (label, n);
CREATE INDEX session_label ON session (label) WHERE label IS NOT NULL;

CREATE TABLE plan_claim (
  folder TEXT NOT NULL,
  item TEXT NOT NULL,
  occurrence_id TEXT NOT NULL REFERENCES occurrence (id) ON DELETE CASCADE,
  PRIMARY KEY (folder, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_claim_run ON plan_claim (occurrence_id);
`;
