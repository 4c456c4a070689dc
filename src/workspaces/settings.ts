/** Settings of workspaces: how many, how large, how long. */
import { wholeNumber, type Setting } from "../base/setting.ts";

export const workspacesMax: Setting<number> = {
  key: "workspaces.max",
  unit: "count",
  fallback: 64,
  ...wholeNumber({ min: 1, max: 1000 }),
  takesEffect: "at once",
  doc: "How many workspaces (git worktrees lent to work) may be there at once.",
};

export const freeBytesMin: Setting<number> = {
  key: "workspaces.freeBytesMin",
  unit: "bytes",
  fallback: 1_000_000_000,
  ...wholeNumber({ min: 0, max: 1_000_000_000_000 }),
  takesEffect: "at once",
  doc: "No workspace is made while the disk has less room than this.",
};

export const portFirst: Setting<number> = {
  key: "workspaces.portFirst",
  unit: "count",
  fallback: 20_000,
  ...wholeNumber({ min: 1024, max: 60_000 }),
  takesEffect: "at once",
  doc: "The first port that workspaces are given. Each gets a range of its own, in YARD_PORT_FIRST and YARD_PORT_COUNT.",
};

export const portsEach: Setting<number> = {
  key: "workspaces.portsEach",
  unit: "count",
  fallback: 10,
  ...wholeNumber({ min: 1, max: 100 }),
  takesEffect: "at once",
  doc: "How many ports each workspace is given.",
};

export const setupTimeoutSeconds: Setting<number> = {
  key: "workspaces.setupTimeoutSeconds",
  unit: "s",
  fallback: 600,
  ...wholeNumber({ min: 1, max: 7200 }),
  takesEffect: "at once",
  doc: "How long the set-up line of a workspace may take.",
};

export const SETTINGS: readonly Setting<unknown>[] = [workspacesMax, freeBytesMin, portFirst, portsEach, setupTimeoutSeconds] as readonly Setting<unknown>[];
