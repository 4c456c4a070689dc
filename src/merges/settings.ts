/** Settings of merges and of the radar. */
import { MERGE_STRATEGIES, MERGE_STYLES, type MergeStrategy, type MergeStyle } from "../model/merge.ts";
import { listOf, oneOf, wholeNumber, type Setting } from "../base/setting.ts";

export const batchMax: Setting<number> = {
  key: "merges.batchMax",
  unit: "count",
  fallback: 1,
  ...wholeNumber({ min: 1, max: 32 }),
  takesEffect: "at once",
  doc: "How many waiting merges with the same tests are tested together. When the tests are red, halves are tested until the culprit is found; what is before it lands.",
};

export const mergeStyle: Setting<MergeStyle> = {
  key: "merges.style",
  unit: "choice",
  fallback: "squash",
  ...oneOf(...MERGE_STYLES),
  takesEffect: "at once",
  doc: "How work lands when nobody says: squash = one clean commit, rebase = each commit again on top, merge = a merge commit. Work that others of a plan build on is merged in any case.",
};

export const mergeStrategies: Setting<readonly MergeStrategy[]> = {
  key: "merges.strategies",
  unit: "list",
  fallback: MERGE_STRATEGIES,
  ...listOf(oneOf(...MERGE_STRATEGIES), { max: MERGE_STRATEGIES.length }),
  takesEffect: "at once",
  doc: "What is tried about a conflict when nobody says, in this order until one helps; none = a person is asked at once.",
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

export const SETTINGS: readonly Setting<unknown>[] = [batchMax, mergeStyle, mergeStrategies, attemptsMax, radarSeconds] as readonly Setting<unknown>[];
