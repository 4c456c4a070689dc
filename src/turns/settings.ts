/** Settings of turns: models, deadlines, context. */
import { text, wholeNumber, type Setting } from "../base/setting.ts";

export const defaultModel: Setting<string> = {
  key: "agents.defaults.model",
  unit: "text",
  fallback: "",
  ...text({ max: 200 }),
  takesEffect: "next turn",
  doc: "The model of all agents that name none, as <provider>/<model>. Empty = the first provider that is found, or the built-in rehearsal agent.",
};

export const defaultWorkspace: Setting<string> = {
  key: "agents.defaults.workspace",
  unit: "text",
  fallback: "",
  ...text({ max: 4096 }),
  takesEffect: "next turn",
  doc: "The folder that agents work in, with AGENTS.md and the other files that are read for every turn. Empty = workspace/ in the state directory.",
};

export const turnTimeoutSeconds: Setting<number> = {
  key: "agents.defaults.timeoutSeconds",
  unit: "s",
  fallback: 3600,
  ...wholeNumber({ min: 1, max: 7 * 86_400 }),
  takesEffect: "next turn",
  doc: "The longest a turn may take in all.",
};

export const progressTimeoutSeconds: Setting<number> = {
  key: "agents.defaults.progressTimeoutSeconds",
  unit: "s",
  fallback: 900,
  ...wholeNumber({ min: 1, max: 7 * 86_400 }),
  takesEffect: "next turn",
  doc: "The longest a turn may go without a finished step (a model's answer, a tool's result). Bytes that change nothing do not count.",
};

export const stepsMax: Setting<number> = {
  key: "agents.defaults.maxSteps",
  unit: "count",
  fallback: 200,
  ...wholeNumber({ min: 1, max: 10_000 }),
  takesEffect: "next turn",
  doc: "The most model calls in one turn.",
};

export const toolOutputMax: Setting<number> = {
  key: "agents.defaults.toolOutputMaxBytes",
  unit: "bytes",
  fallback: 50_000,
  ...wholeNumber({ min: 1000, max: 1_000_000 }),
  takesEffect: "next turn",
  doc: "The most of a tool's output that the model is shown; the middle of a longer one is left out.",
};

export const toolsShownMax: Setting<number> = {
  key: "agents.defaults.toolsShown",
  unit: "count",
  fallback: 16,
  ...wholeNumber({ min: 1, max: 1000 }),
  takesEffect: "next turn",
  doc: "With more tools than this, an agent is shown the usual ones, and finds the rarely used ones with tool_search; every prompt pays for what it lists.",
};

export const contextTokensMax: Setting<number> = {
  key: "agents.defaults.contextTokens",
  unit: "tokens",
  fallback: 120_000,
  ...wholeNumber({ min: 2000, max: 2_000_000 }),
  takesEffect: "next turn",
  doc: "How large the conversation may grow before its older part is replaced by a summary. Never more than three quarters of the model's window.",
};

export const contextEntriesMax: Setting<number> = {
  key: "agents.defaults.contextEntries",
  unit: "count",
  fallback: 200,
  ...wholeNumber({ min: 20, max: 10_000 }),
  takesEffect: "next turn",
  doc: "How many entries of the conversation are given to the model word for word; older ones are summarised. Keeps a session with 10 000 messages as quick as a new one.",
};

export const staleHours: Setting<number> = {
  key: "recovery.staleHours",
  unit: "count",
  fallback: 72,
  ...wholeNumber({ min: 0, max: 8_760 }),
  takesEffect: "restart",
  doc: "Hours after which a start does not go on with what was open when the gateway was last there: turns, waiting messages and children are ended, and their conversations are told. 0 = it always goes on.",
};

export const deathsMax: Setting<number> = {
  key: "recovery.deathsMax",
  unit: "count",
  fallback: 20,
  ...wholeNumber({ min: 0, max: 10_000 }),
  takesEffect: "restart",
  doc: "How often in a row the gateway may die before it got anything done. The next start begins nothing: no turn, no job; it shows and stops things (also by /status, /tasks and /stop), and refuses new work with SAFE_MODE. A stop that is asked for ends that. 0 = it always begins.",
};

export const SETTINGS: readonly Setting<unknown>[] = [
  defaultModel,
  defaultWorkspace,
  turnTimeoutSeconds,
  progressTimeoutSeconds,
  stepsMax,
  toolOutputMax,
  toolsShownMax,
  contextTokensMax,
  contextEntriesMax,
  staleHours,
  deathsMax,
] as readonly Setting<unknown>[];
