/** Tokens that open one part of the gateway only; what they were used for is counted on them. */
export const ACCESS_TOKENS = `
CREATE TABLE access_token (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL CHECK (scope IN ('proxy','mcp')),
  label TEXT,
  session TEXT REFERENCES session (key) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  input INTEGER NOT NULL DEFAULT 0,
  output INTEGER NOT NULL DEFAULT 0,
  cache_read INTEGER NOT NULL DEFAULT 0,
  cache_write INTEGER NOT NULL DEFAULT 0,
  reasoning INTEGER NOT NULL DEFAULT 0,
  calls INTEGER NOT NULL DEFAULT 0,
  cost_micros INTEGER NOT NULL DEFAULT 0,
  unpriced INTEGER NOT NULL DEFAULT 0,
  CHECK (scope <> 'mcp' OR session IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_token_session ON access_token (session) WHERE session IS NOT NULL;
CREATE INDEX access_token_recent ON access_token (created_at DESC, id);
`;
