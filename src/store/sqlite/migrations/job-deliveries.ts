/** Results of jobs leave by the same door as those of children, and each as it was when it was prepared. */
export const JOB_DELIVERIES = `
CREATE TABLE delivery_of_both (
  id TEXT PRIMARY KEY,
  n INTEGER NOT NULL UNIQUE,
  task_id TEXT UNIQUE REFERENCES task (id) ON DELETE CASCADE,
  run_id TEXT UNIQUE REFERENCES occurrence (id) ON DELETE CASCADE,
  url TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('prepared','dispatching','delivered','rejected','unknown')),
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  in_doubt INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER,
  http_status INTEGER,
  problem TEXT,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  -- What is told, as JSON, until the receiver has it; null in rows of older programs.
  facts TEXT,
  CHECK ((task_id IS NULL) <> (run_id IS NULL)),
  CHECK ((state = 'prepared') = (next_at IS NOT NULL)),
  CHECK ((state IN ('prepared','dispatching')) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO delivery_of_both (id, n, task_id, url, state, attempts, in_doubt, next_at, http_status, problem, created_at, ended_at)
  SELECT id, n, task_id, url, state, attempts, in_doubt, next_at, http_status, problem, created_at, ended_at FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_of_both RENAME TO delivery;
CREATE INDEX delivery_due ON delivery (next_at, id) WHERE state = 'prepared';
CREATE INDEX delivery_state ON delivery (state, n);
CREATE INDEX delivery_retried ON delivery (attempts) WHERE attempts > 1;
CREATE INDEX delivery_open ON delivery (id) WHERE ended_at IS NULL;
`;
