/** Settings of children: how many, how deep, how long. */
import { text, wholeNumber, type Setting } from "../base/setting.ts";

export const maxSpawnDepth: Setting<number> = {
  key: "agents.defaults.subagents.maxSpawnDepth",
  unit: "count",
  fallback: 1,
  ...wholeNumber({ min: 0, max: 5 }),
  takesEffect: "at once",
  doc: "How deep children may nest: 1 = children cannot have children of their own; 0 = nobody may spawn.",
};

export const maxChildrenPerAgent: Setting<number> = {
  key: "agents.defaults.subagents.maxChildrenPerAgent",
  unit: "count",
  fallback: 5,
  ...wholeNumber({ min: 1, max: 10_000 }),
  takesEffect: "at once",
  doc: "How many children of one session may be active at once. A further spawn is accepted and waits in line.",
};

export const runTimeoutSeconds: Setting<number> = {
  key: "agents.defaults.subagents.runTimeoutSeconds",
  unit: "s",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 30 * 86_400 }),
  takesEffect: "at once",
  doc: "Deadline of a child when its spawn names none, from when it was accepted. 0 = none.",
};

export const archiveAfterMinutes: Setting<number> = {
  key: "agents.defaults.subagents.archiveAfterMinutes",
  unit: "minutes",
  fallback: 60,
  ...wholeNumber({ min: 0, max: 525_600 }),
  takesEffect: "at once",
  doc: "How long after its end a child's session stays in the listings. 0 = for ever.",
};

export const childModel: Setting<string> = {
  key: "agents.defaults.subagents.model",
  unit: "text",
  fallback: "",
  ...text({ max: 200 }),
  takesEffect: "next turn",
  doc: "The model of children, as <provider>/<model>. Empty = the same as their agent's.",
};

export const gatherMs: Setting<number> = {
  key: "agents.defaults.subagents.gatherMs",
  unit: "ms",
  fallback: 1000,
  ...wholeNumber({ min: 0, max: 600_000 }),
  takesEffect: "at once",
  doc: "How long finished children are gathered before their parent gets them as one digest.",
};

export const SETTINGS: readonly Setting<unknown>[] = [maxSpawnDepth, maxChildrenPerAgent, runTimeoutSeconds, archiveAfterMinutes, childModel, gatherMs] as readonly Setting<unknown>[];
