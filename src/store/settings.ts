/** Settings of the store: backups, and how long things are kept. */
import { wholeNumber, type Setting } from "../base/setting.ts";

const DAYS_MAX = 36_500;

export const backupEveryHours: Setting<number> = {
  key: "store.backup.everyHours",
  unit: "count",
  fallback: 24,
  ...wholeNumber({ min: 0, max: 8_760 }),
  takesEffect: "at once",
  doc: "Hours between two backups of the database, made while the gateway works, in `backups/` in the state directory. 0 = only when you ask with `yard backup` or `yard jobs run yard:backup`.",
};

export const backupKeep: Setting<number> = {
  key: "store.backup.keep",
  unit: "count",
  fallback: 7,
  ...wholeNumber({ min: 1, max: 1_000 }),
  takesEffect: "at once",
  doc: "How many backups are kept. An older one goes only when a newer one is complete and checked.",
};

export const eventsDays: Setting<number> = {
  key: "store.retention.eventsDays",
  unit: "count",
  fallback: 30,
  ...wholeNumber({ min: 1, max: DAYS_MAX }),
  takesEffect: "at once",
  doc: "Days for which events, and the journals of ended turns, are kept. A reader who asks for older ones is told so with `resync`. Conversations themselves are not touched.",
};

export const transcriptsDays: Setting<number> = {
  key: "store.retention.transcriptsDays",
  unit: "count",
  fallback: 90,
  ...wholeNumber({ min: 1, max: DAYS_MAX }),
  takesEffect: "at once",
  doc: "Days for which the session of a child is kept after it was archived. Then it is removed with its transcript; its task and result stay.",
};

export const resultsDays: Setting<number> = {
  key: "store.retention.resultsDays",
  unit: "count",
  fallback: 365,
  ...wholeNumber({ min: 1, max: DAYS_MAX }),
  takesEffect: "at once",
  doc: "Days for which an ended task and its result are kept, once its session is gone.",
};

export const messageIdsDays: Setting<number> = {
  key: "store.retention.messageIdsDays",
  unit: "count",
  fallback: 90,
  ...wholeNumber({ min: 30, max: DAYS_MAX }),
  takesEffect: "at once",
  doc: "Days for which an answered message is remembered by its id at its source, so that a second copy of it is accepted once. Its text stays in the conversation.",
};

export const fileMegabytes: Setting<number> = {
  key: "store.retention.fileMegabytes",
  unit: "count",
  fallback: 4_096,
  ...wholeNumber({ min: 16, max: 1_000_000 }),
  takesEffect: "at once",
  doc: "Megabytes (1024 x 1024 bytes) that the database should not grow beyond. When more is in use, events, archived transcripts and results go sooner, the oldest first, each pass halving the days that they are kept, down to an hour. Conversations that are not archived, unfinished work, and message ids of 30 days are never removed for size.",
};

export const SETTINGS: readonly Setting<unknown>[] = [backupEveryHours, backupKeep, eventsDays, transcriptsDays, resultsDays, messageIdsDays, fileMegabytes];
