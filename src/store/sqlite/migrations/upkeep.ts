/** What built-in jobs did. */
export const UPKEEP = `
CREATE TABLE upkeep_run (
  id TEXT PRIMARY KEY,
  task TEXT NOT NULL,
  source TEXT CHECK (source IN ('manual')),
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  result TEXT,
  fault TEXT,
  CHECK (result IS NULL OR fault IS NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX upkeep_run_task ON upkeep_run (task, started_at);
`;
