/** Tokens may open the session tools as well. A CHECK cannot be changed in place, so the table is made anew. */
export const TOKEN_SCOPES = `
ALTER TABLE access_token RENAME TO access_token_before;
DROP INDEX access_token_session;
DROP INDEX access_token_recent;
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
INSERT INTO access_token SELECT * FROM access_token_before;
DROP TABLE access_token_before;
CREATE INDEX access_token_session ON access_token (session) WHERE session IS NOT NULL;
CREATE INDEX access_token_recent ON access_token (created_at DESC, id);
`;
