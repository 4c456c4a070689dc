/** What providers let us take, shared by all who ask them; and turns whose model call waits to be let through. */
export const GOVERNOR = `
CREATE TABLE allowance (
  key TEXT PRIMARY KEY,
  requests TEXT NOT NULL,
  tokens TEXT NOT NULL,
  wall_until INTEGER NOT NULL DEFAULT 0 CHECK (wall_until >= 0),
  learned TEXT NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
  turn_id TEXT PRIMARY KEY REFERENCES turn (id) ON DELETE CASCADE,
  since INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('wall','rate','busy')),
  model TEXT NOT NULL,
  until INTEGER NOT NULL,
  -- What was left until the child's deadline; the deadline rests while its turn is parked.
  deadline_left_ms INTEGER
) STRICT, WITHOUT ROWID;
`;
