/** How much of a conversation a harness knows, since turns may work beside it; and turns that wait for theirs without a slot. */
export const HARNESS_SPARES = `
-- Null: all there is.
ALTER TABLE harness_session ADD COLUMN known_upto INTEGER;
-- Turns after that which it did itself: a list in JSON.
ALTER TABLE harness_session ADD COLUMN own_turns TEXT NOT NULL DEFAULT '[]';

CREATE TABLE parked_new (
  turn_id TEXT PRIMARY KEY REFERENCES turn (id) ON DELETE CASCADE,
  since INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('wall','rate','busy','harness')),
  model TEXT NOT NULL,
  until INTEGER NOT NULL,
  deadline_left_ms INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO parked_new SELECT * FROM parked;
DROP TABLE parked;
ALTER TABLE parked_new RENAME TO parked;
`;
