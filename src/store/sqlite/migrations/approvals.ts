/** What people are asked to approve, what they approved for good, and conversations that another session answers. */
export const APPROVALS = `
CREATE TABLE approval (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  ask_key TEXT NOT NULL UNIQUE,
  session TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  place TEXT NOT NULL,
  turn_id TEXT,
  holder TEXT NOT NULL,
  tool TEXT NOT NULL,
  what TEXT NOT NULL,
  path TEXT,
  input TEXT NOT NULL,
  hash TEXT NOT NULL,
  cwd TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending','approved','denied','expired','cancelled')),
  asked_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  ended_by TEXT,
  standing INTEGER NOT NULL DEFAULT 0 CHECK (standing IN (0,1)),
  CHECK ((state = 'pending') = (ended_at IS NULL)),
  CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
  CHECK (standing = 0 OR state = 'approved')
) STRICT;
CREATE INDEX approval_pending ON approval (n) WHERE state = 'pending';
CREATE INDEX approval_turn ON approval (turn_id) WHERE state = 'pending';
CREATE INDEX approval_session ON approval (session);

CREATE TABLE standing_approval (
  place TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  holder TEXT NOT NULL,
  tool TEXT NOT NULL,
  hash TEXT NOT NULL,
  cwd TEXT NOT NULL,
  what TEXT NOT NULL,
  given_at INTEGER NOT NULL,
  given_by TEXT NOT NULL,
  PRIMARY KEY (place, holder, tool, hash, cwd)
) STRICT, WITHOUT ROWID;

-- Plain messages of a conversation go to another session, which answers in it.
CREATE TABLE binding (
  conversation TEXT PRIMARY KEY REFERENCES session (key) ON DELETE CASCADE,
  target TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  bound_at INTEGER NOT NULL,
  CHECK (conversation <> target)
) STRICT, WITHOUT ROWID;
CREATE INDEX binding_target ON binding (target);

-- Messages that came by a binding: which conversation wants to see the answer.
CREATE TABLE bound_message (
  message TEXT PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
  conversation TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
  channel TEXT NOT NULL,
  source_id TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX bound_message_source ON bound_message (conversation, channel, source_id) WHERE source_id IS NOT NULL;
CREATE INDEX bound_message_conversation ON bound_message (conversation);
`;
