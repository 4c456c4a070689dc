/**
 * Budgets: what a piece of work may spend, counted in tokens, money, model calls and children.
 *
 * An account holds one limit. Before a model call its most possible cost is reserved in every
 * account that the call counts against, and corrected afterwards by the provider's own count; so
 * calls that run side by side cannot spend the same remainder. A child's own budget is set aside in
 * the nearest account above it, and what it did not need goes back at its end.
 *
 *     left = limit - used - reserved
 *
 * Always true: `used` is never below the provider's count. A call that may have reached the
 * provider and whose count nobody knows stays spent at what was reserved for it.
 */
import type { ChatMessage, ModelRequest } from "./chat.ts";

export const BUDGET_UNITS = ["tokens", "costMicros", "calls", "children"] as const;
export type BudgetUnit = (typeof BUDGET_UNITS)[number];

/** What an account belongs to: one child with all below it, a conversation, a tree, a person's day, everybody's day. */
export type BudgetScope = "task" | "session" | "tree" | "person" | "day";

/** Limits by unit; a unit that is absent is not limited. */
export type Budget = Readonly<Partial<Record<BudgetUnit, number>>>;

export interface BudgetView {
  readonly limit: Budget;
  /** For model calls that run, and for the budgets of children. */
  readonly reserved: Budget;
  readonly used: Budget;
  readonly left: Budget;
}

/** Limits that hold for all work of a scope, from settings; an empty budget means none. */
export type ScopeBudgets = Readonly<Record<Exclude<BudgetScope, "task">, Budget>>;

/** Most that a call can cost, in millionths of a dollar per token and per call. */
export interface PriceBound {
  readonly input: number;
  readonly output: number;
  readonly call: number;
}

export interface CallAsked {
  /** No count of the prompt by any provider is above this. */
  readonly inputTokensMax: number;
  /** The answer's wished-for limit, and the least with which the call makes sense. */
  readonly outputTokensMax: number;
  readonly outputTokensMin: number;
  /** null: nobody knows the model's price. */
  readonly price: PriceBound | null;
  /** True for the last call, which may use what was kept back for it. */
  readonly isLast: boolean;
}

/** What a model is held to when a call to it is planned. */
export interface CallTerms {
  readonly outputTokensMax: number;
  readonly price: PriceBound | null;
}

/** What a refusal names. */
export interface Exhausted {
  readonly scope: BudgetScope;
  readonly name: string;
  readonly unit: BudgetUnit;
  readonly limit: number;
  readonly used: number;
}

export type CallGrant =
  | { readonly outcome: "granted"; readonly hold: string; readonly outputTokensMax: number }
  | { readonly outcome: "exhausted"; readonly by: Exhausted; /** Tokens that the last call could still use; null = not limited. */ readonly tokensLeft: number | null }
  | { readonly outcome: "unpriced" }
  /** The turn was stopped. */
  | { readonly outcome: "superseded" };

/** The part of a limit that is kept back for a last call that ends the work with what there is. */
const KEPT_BACK_PART = 0.1;

export function keptBack(unit: BudgetUnit, limit: number): number {
  if (unit === "children") return 0;
  return unit === "calls" ? (limit > 1 ? 1 : 0) : Math.floor(limit * KEPT_BACK_PART);
}

/** A budget as people write it: dollars for money, and seconds, which become a deadline. */
export interface SpawnBudget {
  readonly tokens?: number | undefined;
  readonly cost?: number | undefined;
  readonly calls?: number | undefined;
  readonly children?: number | undefined;
  readonly seconds?: number | undefined;
}

/** The most of each, from whoever spawns. */
export const SPAWN_BUDGET_MAX = { tokens: 1_000_000_000_000, cost: 1_000_000, calls: 1_000_000_000, children: 1_000_000, seconds: 30 * 86_400 } as const;

const MICROS_PER_DOLLAR = 1_000_000;

export function budgetOf({ tokens, cost, calls, children }: SpawnBudget): Budget {
  const budget = { tokens, costMicros: cost === undefined ? undefined : Math.round(cost * MICROS_PER_DOLLAR), calls, children };
  return Object.fromEntries(Object.entries(budget).filter(([, limit]) => limit !== undefined));
}

/** The earlier of a deadline and the end of a budget's wall time. */
export function deadlineOf(deadlineSeconds: number | undefined, budget: SpawnBudget | undefined): number | null {
  const seconds = Math.min(deadlineSeconds ?? Infinity, budget?.seconds ?? Infinity);
  return Number.isFinite(seconds) ? seconds : null;
}

/** Amounts of a unit as people are told of them. */
export function inWords<Amounts extends Readonly<Record<string, number>>>(unit: BudgetUnit, amounts: Amounts): Amounts & { readonly unit: string } {
  if (unit !== "costMicros") return { ...amounts, unit };
  const dollars = Object.fromEntries(Object.entries(amounts).map(([name, micros]) => [name, micros / MICROS_PER_DOLLAR])) as Amounts;
  return { ...dollars, unit: "US dollars" };
}

export function isEmptyBudget(budget: Budget): boolean {
  return BUDGET_UNITS.every((unit) => budget[unit] === undefined);
}

/** What APIs wrap around one message, one tool and a whole request, in tokens at most. */
const MESSAGE_WRAP_TOKENS = 16;
const TOOL_WRAP_TOKENS = 64;
const REQUEST_WRAP_TOKENS = 64;
/** The prompt that some providers add themselves as soon as there are tools. */
const TOOLS_PROMPT_TOKENS = 1_000;

/** An upper bound of a prompt's tokens: a token stands for one byte of text at least. */
export function inputTokensBound({ system, messages, tools }: Pick<ModelRequest, "system" | "messages" | "tools">): number {
  let bound = REQUEST_WRAP_TOKENS + Buffer.byteLength(system) + (tools.length > 0 ? TOOLS_PROMPT_TOKENS : 0);
  for (const tool of tools) bound += TOOL_WRAP_TOKENS + Buffer.byteLength(JSON.stringify(tool));
  return bound + messagesBound(messages);
}

export function messagesBound(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, message) => sum + MESSAGE_WRAP_TOKENS + Buffer.byteLength(JSON.stringify(message)), 0);
}
