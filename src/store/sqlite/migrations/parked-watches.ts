/** What was left until a child had to bring something new; this rests too while its turn is parked. */
export const PARKED_WATCHES = `
ALTER TABLE parked ADD COLUMN progress_left_ms INTEGER;
`;
