/** Which session of its own a harness has for one of ours, so that it can go on after its process ended. */
export const HARNESS_SESSIONS = `
CREATE TABLE harness_session (
  session TEXT PRIMARY KEY REFERENCES session (key) ON DELETE CASCADE,
  harness TEXT NOT NULL,
  acp_id TEXT NOT NULL CHECK (acp_id <> ''),
  cwd TEXT NOT NULL,
  mode TEXT,
  resumable TEXT NOT NULL CHECK (resumable IN ('load','resume','summary')),
  -- When the harness made its session, and when it last did something.
  created_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX harness_session_recent ON harness_session (last_at DESC);
`;
