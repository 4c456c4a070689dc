/** Signs of life of children. */
export const HEARTBEATS = `
ALTER TABLE task ADD COLUMN alive_at INTEGER;
`;
