/** Settings of merges and of the radar. */
import { wholeNumber, type Setting } from "../base/setting.ts";

export const batchMax: Setting<number> = {
  key: "merges.batchMax",
  unit: "count",
  fallback: 1,
  ...wholeNumber({ min: 1, max: 32 }),
  takesEffect: "at once",
  doc: "How many waiting merges with the same tests are tested together. When the tests are red, halves are tested until the culprit is found; what is before it lands.",
};

export const attemptsMax: Setting<number> = {
  key: "merges.attemptsMax",
  unit: "count",
  fallback: 5,
  ...wholeNumber({ min: 1, max: 100 }),
  takesEffect: "at once",
  doc: "How often a merge is begun, after restarts, conflicts and moves of its target, before a person is asked.",
};

export const radarSeconds: Setting<number> = {
  key: "merges.radarSeconds",
  unit: "s",
  fallback: 60,
  ...wholeNumber({ min: 0, max: 3600 }),
  takesEffect: "at once",
  doc: "How often unfinished work of workspaces is compared for conflicts to come. 0 = never.",
};

export const SETTINGS: readonly Setting<unknown>[] = [batchMax, attemptsMax, radarSeconds] as readonly Setting<unknown>[];
