/**
 * Results that leave the tree: webhooks as rows, batches of spawns, when a result was delivered,
 * what a person has seen, replies that denied a tool; and indexes for the listings.
 */
export const DELIVERIES = `
ALTER TABLE task ADD COLUMN callback TEXT CHECK ((callback IS NOT NULL) = (delivery = 'webhook'));
ALTER TABLE task ADD COLUMN batch TEXT;
ALTER TABLE task ADD COLUMN delivered_at INTEGER;
CREATE INDEX task_batch ON task (batch, n) WHERE batch IS NOT NULL;
-- Texts of tasks and results are long: listings, board and report find their rows in these alone.
CREATE INDEX task_state ON task (state, n, parent_session, label, session, flow_id, batch);
CREATE INDEX task_words ON task (n, label, session);
CREATE INDEX task_queued ON task (queued_at, state, flow_id, batch);
CREATE INDEX task_retried ON task (id) WHERE attempt > 1;

-- One per child that was spawned with a callback, written with its end. The id is the receiver's idempotency key.
CREATE TABLE delivery (
  id TEXT PRIMARY KEY,
  n INTEGER NOT NULL UNIQUE,
  task_id TEXT NOT NULL UNIQUE REFERENCES task (id) ON DELETE CASCADE,
  url TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('prepared','dispatching','delivered','rejected','unknown')),
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  in_doubt INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER,
  http_status INTEGER,
  problem TEXT,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  CHECK ((state = 'prepared') = (next_at IS NOT NULL)),
  CHECK ((state IN ('prepared','dispatching')) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (next_at, id) WHERE state = 'prepared';
CREATE INDEX delivery_state ON delivery (state, n);
CREATE INDEX delivery_retried ON delivery (attempts) WHERE attempts > 1;
CREATE INDEX delivery_open ON delivery (id) WHERE ended_at IS NULL;

-- How far a person has read a conversation.
CREATE TABLE seen (
  session TEXT PRIMARY KEY REFERENCES session (key) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Replies that denied a tool which the model had.
CREATE TABLE tool_denial (
  model TEXT NOT NULL,
  tool TEXT NOT NULL,
  denied INTEGER NOT NULL DEFAULT 0,
  mended INTEGER NOT NULL DEFAULT 0,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (model, tool)
) STRICT, WITHOUT ROWID;

DROP INDEX session_recent;
CREATE INDEX session_listed ON session (last_at DESC, key) WHERE archived_at IS NULL;
CREATE INDEX session_put_away ON session (last_at DESC, key) WHERE archived_at IS NOT NULL;
`;
