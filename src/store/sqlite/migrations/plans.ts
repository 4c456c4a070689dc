/** Plans that run, and where each of their tasks stands. What was read from the plan's file never changes. */
export const PLANS = `
CREATE TABLE plan (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('running','waiting','stuck','done','cancelled')),
  file TEXT NOT NULL,
  plan TEXT NOT NULL,
  verdict TEXT NOT NULL,
  repository TEXT NOT NULL,
  base TEXT NOT NULL,
  onto TEXT NOT NULL,
  session TEXT NOT NULL,
  mode TEXT CHECK (mode IN ('sequential','parallel')),
  phase INTEGER NOT NULL DEFAULT 0 CHECK (phase >= 0),
  waits_for TEXT,
  problem TEXT,
  gates TEXT NOT NULL DEFAULT '[]',
  start_key TEXT,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  CHECK ((state IN ('done','cancelled')) = (ended_at IS NOT NULL)),
  CHECK ((state = 'waiting') = (waits_for IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX plan_start_key ON plan (start_key) WHERE start_key IS NOT NULL;
CREATE INDEX plan_recent ON plan (started_at DESC, id);
CREATE INDEX plan_active ON plan (started_at) WHERE ended_at IS NULL;

CREATE TABLE plan_task (
  plan_id TEXT NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  n INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting','preparing','working','checking','merging','done','stuck','cancelled')),
  attempt INTEGER NOT NULL DEFAULT 0,
  child_task TEXT,
  child_session TEXT,
  workspace TEXT,
  epoch INTEGER NOT NULL DEFAULT 0,
  merge_id TEXT,
  signal TEXT,
  evidence TEXT,
  problem TEXT,
  learned TEXT NOT NULL DEFAULT '[]',
  started_at INTEGER,
  ended_at INTEGER,
  PRIMARY KEY (plan_id, id),
  CHECK ((state IN ('done','cancelled')) = (ended_at IS NOT NULL)),
  CHECK ((state = 'stuck') = (problem IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX plan_task_child ON plan_task (child_task) WHERE child_task IS NOT NULL;
CREATE INDEX plan_task_session ON plan_task (child_session) WHERE child_session IS NOT NULL;
`;
