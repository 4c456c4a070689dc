/** Supervised children: attempts, claims, circuits, what a child may do at most, and the order of trees. */
export const TREES = `
ALTER TABLE session ADD COLUMN authority TEXT;

ALTER TABLE flow ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
UPDATE flow SET place = started_at;
CREATE INDEX flow_place ON flow (place);

-- The turn that asked for it: the result waits for that one while it still runs beside its conversation.
ALTER TABLE task ADD COLUMN spawn_turn TEXT;
ALTER TABLE task ADD COLUMN on_end TEXT NOT NULL DEFAULT 'wait' CHECK (on_end IN ('wait','handUp'));
ALTER TABLE task ADD COLUMN forked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked = 0 OR state = 'queued' OR ended_at IS NOT NULL);
ALTER TABLE task ADD COLUMN progress_ms INTEGER;
ALTER TABLE task ADD COLUMN progress_due_at INTEGER;
ALTER TABLE task ADD COLUMN attempt_last INTEGER NOT NULL DEFAULT 1;
ALTER TABLE task ADD COLUMN backoff_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN retry_model TEXT;
ALTER TABLE task ADD COLUMN category TEXT;
ALTER TABLE task ADD COLUMN circuit_failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN circuit_open_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX task_progress ON task (progress_due_at) WHERE ended_at IS NULL AND progress_due_at IS NOT NULL;
CREATE INDEX task_blocked ON task (n) WHERE blocked = 1 AND ended_at IS NULL;

-- Tries that are over while their child goes on.
CREATE TABLE attempt (
  task_id TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  model TEXT,
  fault TEXT NOT NULL,
  started_at INTEGER,
  ended_at INTEGER NOT NULL,
  PRIMARY KEY (task_id, attempt)
) STRICT, WITHOUT ROWID;

-- Held or waited for by children that have not ended.
CREATE TABLE claim (
  task_id TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  n INTEGER NOT NULL,
  workspace TEXT NOT NULL,
  claim TEXT NOT NULL,
  PRIMARY KEY (task_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE circuit (
  agent TEXT NOT NULL,
  category TEXT NOT NULL,
  failures INTEGER NOT NULL,
  open_until INTEGER,
  -- The child that may try while the others still wait.
  probe TEXT,
  PRIMARY KEY (agent, category)
) STRICT, WITHOUT ROWID;
`;
