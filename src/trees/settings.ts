/** Settings of children: how many, how deep, how long, with which tools, how they are watched, and where their results go. */
import { BadValue, listOf, oneOf, text, wholeNumber, type Setting } from "../base/setting.ts";
import { ATTEMPTS_MAX, BACKOFF_SECONDS_MAX, ON_CONFLICT, ON_END, type OnConflict, type OnEnd } from "../model/supervision.ts";
import { parseTools, type ToolRules } from "../turns/agents-list.ts";

const DEPTH_MAX = 5;

export const maxSpawnDepth: Setting<number> = {
  key: "agents.defaults.subagents.maxSpawnDepth",
  unit: "count",
  fallback: 1,
  ...wholeNumber({ min: 0, max: DEPTH_MAX }),
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

export const toolsByDepth: Setting<Readonly<Record<string, ToolRules>>> = {
  key: "agents.defaults.subagents.tools",
  unit: "map",
  fallback: {},
  bounds: `a map of depths 1..${DEPTH_MAX} to {allow?, deny?}`,
  takesEffect: "next turn",
  doc: "Which tools children have, by depth: a rule holds at its depth and everywhere below it. Names of tools, * at the end for any rest; deny wins over allow. A child never has a tool that its parent has not.",
  parse(value) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new BadValue(toolsByDepth.bounds);
    return Object.fromEntries(
      Object.entries(value).map(([depth, rules]) => {
        if (!/^\d$/.test(depth) || Number(depth) < 1 || Number(depth) > DEPTH_MAX) throw new BadValue(`${toolsByDepth.bounds} (${JSON.stringify(depth.slice(0, 20))} is no such depth)`);
        return [depth, parseTools(rules, `"${depth}"`)];
      }),
    );
  },
};

/** The rules that hold at a depth. */
export function toolRulesAt(byDepth: Readonly<Record<string, ToolRules>>, depth: number): readonly ToolRules[] {
  return Object.entries(byDepth).flatMap(([from, rules]) => (Number(from) <= depth ? [rules] : []));
}

export const progressSeconds: Setting<number> = {
  key: "agents.defaults.subagents.progressSeconds",
  unit: "s",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 30 * 86_400 }),
  takesEffect: "at once",
  doc: "An attempt of a child that brings no new result of a tool for so long, and changes no file in a call that takes longer, is over. 0 = no such limit.",
};

export const attemptsOfChildren: Setting<number> = {
  key: "agents.defaults.subagents.attempts",
  unit: "count",
  fallback: 1,
  ...wholeNumber({ min: 1, max: ATTEMPTS_MAX }),
  takesEffect: "at once",
  doc: "How often a child is tried in all, when its spawn does not say.",
};

export const backoffSeconds: Setting<number> = {
  key: "agents.defaults.subagents.backoffSeconds",
  unit: "s",
  fallback: 5,
  ...wholeNumber({ min: 0, max: BACKOFF_SECONDS_MAX }),
  takesEffect: "at once",
  doc: "Pause before a child's second attempt. It doubles with each further one, up to ten minutes.",
};

export const retryModel: Setting<string> = {
  key: "agents.defaults.subagents.retryModel",
  unit: "text",
  fallback: "",
  ...text({ max: 200 }),
  takesEffect: "at once",
  doc: "The model of a child's further attempts, as <provider>/<model>. Empty = the same.",
};

export const circuitFailures: Setting<number> = {
  key: "agents.defaults.subagents.circuit.failures",
  unit: "count",
  fallback: 5,
  ...wholeNumber({ min: 0, max: 1_000 }),
  takesEffect: "at once",
  doc: "After so many failures in a row of children of one agent and one category, spawns of that category are refused for a while. 0 = never.",
};

export const circuitOpenSeconds: Setting<number> = {
  key: "agents.defaults.subagents.circuit.openSeconds",
  unit: "s",
  fallback: 60,
  ...wholeNumber({ min: 1, max: 86_400 }),
  takesEffect: "at once",
  doc: "How long such spawns are refused before one may try again.",
};

export const onEnd: Setting<OnEnd> = {
  key: "agents.defaults.subagents.onEnd",
  unit: "choice",
  fallback: "wait",
  ...oneOf(...ON_END),
  takesEffect: "at once",
  doc: "A child that is done while children of its own run: wait = it ends when they have; handUp = its parent gets them.",
};

export const onConflict: Setting<OnConflict> = {
  key: "agents.defaults.subagents.onConflict",
  unit: "choice",
  fallback: "wait",
  ...oneOf(...ON_CONFLICT),
  takesEffect: "at once",
  doc: "A spawn whose claims overlap with another child's: wait = it waits in line; refuse = it is refused.",
};

export const sweepMinutes: Setting<number> = {
  key: "sessions.sweepMinutes",
  unit: "minutes",
  fallback: 1,
  ...wholeNumber({ min: 0, max: 1440 }),
  takesEffect: "at once",
  doc: "How often the gateway looks for sessions that are to be put away or removed (the built-in job yard:archive). 0 = only when you ask with `yard jobs run yard:archive`.",
};

export const archiveUnusedDays: Setting<number> = {
  key: "sessions.archiveUnusedDays",
  unit: "count",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 3650 }),
  takesEffect: "at once",
  doc: "After how many days without a message a person's conversation is put away; the next message brings it back. 0 = never. An agent's main session always stays.",
};

export const webhookSecret: Setting<string> = {
  key: "deliveries.webhook.secret",
  unit: "text",
  fallback: "",
  ...text({ max: 500, pattern: /^(.{16,})?$/, what: "at least 16 characters, or empty" }),
  takesEffect: "at once",
  secret: true,
  doc: "What results that are posted to a callback are signed with; `whsec_` and base64, or any text. Empty = a secret made from the gateway's token, which `yard token --webhook` prints.",
};

export const webhookAllowPrivate: Setting<readonly string[]> = {
  key: "deliveries.webhook.allowPrivate",
  unit: "list",
  fallback: [],
  ...listOf(text({ max: 300 }), { max: 100 }),
  takesEffect: "at once",
  doc: 'Receivers that need not be in the public internet, as host:port, e.g. ["127.0.0.1:8080"]. Every other callback must have public addresses only.',
};

export const webhookAttempts: Setting<number> = {
  key: "deliveries.webhook.attempts",
  unit: "count",
  fallback: 12,
  ...wholeNumber({ min: 1, max: 100 }),
  takesEffect: "at once",
  doc: "How often a result is posted to its callback before it is given up.",
};

export const webhookRetryMs: Setting<number> = {
  key: "deliveries.webhook.retryMs",
  unit: "ms",
  fallback: 1000,
  ...wholeNumber({ min: 10, max: 3_600_000 }),
  takesEffect: "at once",
  doc: "The pause before the second attempt. It doubles with each further one, up to ten minutes; a receiver's Retry-After counts when it is longer.",
};

export const webhookTimeoutSeconds: Setting<number> = {
  key: "deliveries.webhook.timeoutSeconds",
  unit: "s",
  fallback: 15,
  ...wholeNumber({ min: 1, max: 300 }),
  takesEffect: "at once",
  doc: "How long a receiver may take to answer one attempt.",
};

export const SETTINGS: readonly Setting<unknown>[] = [
  maxSpawnDepth, maxChildrenPerAgent, runTimeoutSeconds, archiveAfterMinutes, childModel, gatherMs, sweepMinutes, archiveUnusedDays,
  toolsByDepth, progressSeconds, attemptsOfChildren, backoffSeconds, retryModel, circuitFailures, circuitOpenSeconds, onEnd, onConflict,
  webhookSecret, webhookAllowPrivate, webhookAttempts, webhookRetryMs, webhookTimeoutSeconds,
] as readonly Setting<unknown>[];
