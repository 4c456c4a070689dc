/** Settings of budgets: what a conversation, a tree, a person's day and everybody's day may spend. */
import { decimal, text, wholeNumber, type Setting } from "../base/setting.ts";
import type { Settings } from "../base/setting.ts";
import type { Budget, BudgetUnit, ScopeBudgets } from "../model/budget.ts";

const MICROS_PER_DOLLAR = 1_000_000;
const TOKENS_MAX = 1_000_000_000_000;
const DOLLARS_MAX = 1_000_000;
const CALLS_MAX = 1_000_000_000;

type Scope = keyof ScopeBudgets;

const OF: Readonly<Record<Scope, string>> = {
  session: "one conversation over its whole life, without its children",
  tree: "all children of one turn together, with everything below them",
  person: "one person in one day (UTC), with all children that work for them",
  day: "everybody together in one day (UTC)",
};

const tokens = (scope: Scope): Setting<number> => ({
  key: `budgets.${scope}.tokens`,
  unit: "tokens",
  fallback: 0,
  ...wholeNumber({ min: 0, max: TOKENS_MAX }),
  takesEffect: "at once",
  doc: `The most tokens, of prompts and answers, for ${OF[scope]}. 0 = not limited.`,
});

const cost = (scope: Scope): Setting<number> => ({
  key: `budgets.${scope}.cost`,
  unit: "US dollars",
  fallback: 0,
  ...decimal({ min: 0, max: DOLLARS_MAX }),
  takesEffect: "at once",
  doc: `The most money, by the price table and models.prices, for ${OF[scope]}. A model without a known price is refused then. 0 = not limited.`,
});

const calls = (scope: Scope): Setting<number> => ({
  key: `budgets.${scope}.calls`,
  unit: "count",
  fallback: 0,
  ...wholeNumber({ min: 0, max: CALLS_MAX }),
  takesEffect: "at once",
  doc: `The most model calls for ${OF[scope]}. 0 = not limited.`,
});

const SCOPES = (["session", "tree", "person", "day"] as const).map((scope) => ({ scope, tokens: tokens(scope), cost: cost(scope), calls: calls(scope) }));

const treeChildren: Setting<number> = {
  key: "budgets.tree.children",
  unit: "count",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 1_000_000 }),
  takesEffect: "at once",
  doc: "The most children that one tree may ever have, at all depths. 0 = not limited.",
};

export const treeSeconds: Setting<number> = {
  key: "budgets.tree.seconds",
  unit: "s",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 30 * 86_400 }),
  takesEffect: "at once",
  doc: "The longest that a child may take, whatever deadline its spawn names; what is below it ends with it. 0 = not limited.",
};

export const cheaperModel: Setting<string> = {
  key: "budgets.cheaperModel",
  unit: "text",
  fallback: "",
  ...text({ max: 200 }),
  takesEffect: "at once",
  doc: "The model, as <provider>/<model>, that goes on when a budget of money is too small for the one in use. Empty = none.",
};

export const SETTINGS: readonly Setting<unknown>[] = [...SCOPES.flatMap((scope) => [scope.tokens, scope.cost, scope.calls]), treeChildren, treeSeconds, cheaperModel] as readonly Setting<unknown>[];

/** What settings limit right now; null when nothing is, which costs a turn nothing. */
export function scopeBudgets(settings: Settings): ScopeBudgets | null {
  let limited = false;
  const budgets = {} as Record<Scope, Budget>;
  for (const { scope, ...each } of SCOPES) {
    const budget: Partial<Record<BudgetUnit, number>> = {};
    const limit = (unit: BudgetUnit, value: number): void => {
      if (value > 0) budget[unit] = value;
    };
    limit("tokens", settings.get(each.tokens));
    limit("costMicros", Math.round(settings.get(each.cost) * MICROS_PER_DOLLAR));
    limit("calls", settings.get(each.calls));
    if (scope === "tree") limit("children", settings.get(treeChildren));
    budgets[scope] = budget;
    limited ||= Object.keys(budget).length > 0;
  }
  return limited ? budgets : null;
}
