/** What was removed for its age: up to which number a session's events are gone, and what is put away since when. */
export const RETENTION = `
ALTER TABLE lane ADD COLUMN forgotten_seq INTEGER NOT NULL DEFAULT 0;
INSERT INTO meta VALUES ('forgotten_cursor', 0);
CREATE INDEX session_archived ON session (archived_at, key) WHERE archived_at IS NOT NULL;
`;
