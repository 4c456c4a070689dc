/**
 * What a world may spend, and what its provider really counted: drawn from the seed, kept apart from
 * the gateway's own accounts, and compared with its limits at the end.
 *
 * A call counts for the child whose session asks, and for every child above it that has not ended,
 * as they stand when the call is let through.
 */
import { dayOf } from "../../src/base/clock.ts";
import type { TurnId } from "../../src/base/ids.ts";
import type { JsonObject } from "../../src/base/json.ts";
import type { Setting } from "../../src/base/setting.ts";
import { BUDGET_UNITS, type BudgetUnit, type CallAsked, type PriceBound } from "../../src/model/budget.ts";
import type { Usage } from "../../src/model/chat.ts";
import type { TurnRef } from "../../src/model/turn.ts";
import type { Kernel, Row } from "../../src/store/sqlite/kernel.ts";
import { OPERATOR } from "../../src/store/sqlite/usage.ts";
import { SETTINGS as BUDGET_SETTINGS } from "../../src/turns/budget-settings.ts";
import { pickBy } from "./ask.ts";
import { Dice } from "./dice.ts";
import type { WorldSettings } from "./world-settings.ts";

/** Millionths of a dollar per token and call, in every world. */
export const PRICE: PriceBound = { input: 2, output: 8, call: 100 };
const MICROS_PER_DOLLAR = 1_000_000;

/** What a seed limits; null = nothing, as in most worlds. */
export interface SpendingPlan {
  /** Chance that a child gets a budget of its own. */
  readonly ofChildren: number;
  readonly settings: Readonly<Record<string, number>>;
}

export function spendingPlan(seed: number): SpendingPlan | null {
  const dice = new Dice(seed, "spending");
  if (!dice.chance(0.35)) return null;
  const some = (chance: number, key: string, value: number): Record<string, number> => (dice.chance(chance) ? { [key]: value } : {});
  return {
    ofChildren: dice.pick([0, 0.5, 1]),
    settings: {
      ...some(0.3, "budgets.tree.tokens", dice.whole(20_000, 200_000)),
      ...some(0.2, "budgets.tree.children", dice.whole(1, 6)),
      ...some(0.2, "budgets.tree.calls", dice.whole(2, 20)),
      ...some(0.2, "budgets.session.tokens", dice.whole(20_000, 200_000)),
      ...some(0.1, "budgets.day.tokens", dice.whole(50_000, 500_000)),
      ...some(0.1, "budgets.person.cost", dice.whole(1, 10) / 10),
    },
  };
}

export function applySpending(settings: WorldSettings, plan: SpendingPlan | null): void {
  for (const [key, value] of Object.entries(plan?.settings ?? {})) settings.set(settingOf(key), value);
}

function settingOf(key: string): Setting<number> {
  return BUDGET_SETTINGS.find((one) => one.key === key) as Setting<number>;
}

/** The budget that a model asks for with a spawn. */
export function childBudget(seed: number, plan: SpendingPlan | null, name: string): JsonObject {
  const dice = new Dice(seed, "budget", name);
  if (plan === null || !dice.chance(plan.ofChildren)) return {};
  const budget = {
    ...(dice.chance(0.7) ? { tokens: dice.whole(8_000, 80_000) } : {}),
    ...(dice.chance(0.3) ? { calls: dice.whole(1, 8) } : {}),
    ...(dice.chance(0.3) ? { children: dice.whole(0, 4) } : {}),
    ...(dice.chance(0.2) ? { cost: dice.whole(2, 30) / 100 } : {}),
  };
  return { budget };
}

/** The accounts that a call counts in. */
type Grant = readonly string[];

type Counts = Record<BudgetUnit, number>;

export class Spending {
  readonly #observer: Kernel;
  readonly #plan: SpendingPlan | null;
  readonly #counts = new Map<string, Counts>();
  /** The highest that each limit ever was: what was spent under it stays spent when it is lowered. */
  readonly #highest: Record<string, number>;
  /** By turn: what its newest call was granted for. Turns of one session may go on side by side, for several people. */
  readonly #grants = new Map<TurnId, Grant>();
  /** Calls beside the turns that were let through and did not go out yet, by their size. */
  readonly #beside = new Map<number, Grant[]>();

  constructor(observer: Kernel, plan: SpendingPlan | null) {
    this.#observer = observer;
    this.#plan = plan;
    this.#highest = { ...plan?.settings };
  }

  get plan(): SpendingPlan | null {
    return this.#plan;
  }

  /** One of the limits is so many times what it was at first; it is never lifted, because without any nobody counts. */
  change(settings: WorldSettings, which: number, times: number): void {
    const limit = pickBy(Object.entries(this.#plan?.settings ?? {}), which);
    if (limit === undefined) return;
    const [key, first] = limit;
    const value = key.endsWith(".cost") ? first * times : Math.max(1, Math.round(first * times));
    this.#highest[key] = Math.max(this.#highest[key]!, value);
    settings.set(settingOf(key), value);
  }

  /** A call of this turn was let through just now. */
  granted({ turnId, session }: TurnRef, wallMs: number): void {
    if (this.#plan === null) return;
    this.#grants.set(turnId, this.#grantFor(session, dayOf(wallMs), String(this.#observer.get("SELECT person FROM turn WHERE id = ?", turnId)?.["person"] ?? "")));
  }

  /** A call beside the turns of this session was let through just now. */
  grantedBeside(session: string, { inputTokensMax }: CallAsked, wallMs: number): void {
    if (this.#plan === null) return;
    const person = String(this.#task("session = ?", session)?.["person"] ?? OPERATOR);
    const grants = this.#beside.get(inputTokensMax) ?? [];
    this.#beside.set(inputTokensMax, grants);
    grants.push(this.#grantFor(session, dayOf(wallMs), person));
  }

  /** The process is gone, and with it what it was about to ask. */
  forgetBeside(): void {
    this.#beside.clear();
  }

  /** The provider counted a call beside all turns; whose it was is told by its size. @returns what is wrong with it, or null. */
  countedBeside(inputTokensMax: number, usage: Usage): string | null {
    if (this.#plan === null) return null;
    // One that was let through too late for its caller never goes out; the newest is the one.
    const grant = this.#beside.get(inputTokensMax)?.pop();
    if (grant !== undefined) this.#count(grant, usage);
    return grant === undefined && Object.keys(this.#plan.settings).length > 0 ? `budgets: a call beside the turns was not reserved (${inputTokensMax} tokens at most)` : null;
  }

  /** The provider counted a call that a turn asked for. One of a turn without limits was not reserved. */
  counted(turn: TurnId, usage: Usage): void {
    const grant = this.#grants.get(turn);
    if (grant !== undefined) this.#count(grant, usage);
  }

  #count(names: Grant, { input, output, costMicros }: Usage): void {
    for (const name of names) this.#add(name, { tokens: input + output, costMicros, calls: 1, children: 0 });
  }

  /** As children stand now: while a call waits for its provider some may end, and others be handed up. */
  #grantFor(session: string, day: string, person: string): Grant {
    const task = this.#task("session = ?", session);
    return [`session ${session}`, `day ${day}`, `person ${day} ${person}`, ...(task === undefined ? [] : [`tree ${task["flow_id"]}`, ...this.#line(task)])];
  }

  /** A child was admitted. */
  spawned(taskId: string): void {
    const task = this.#task("id = ?", taskId);
    if (this.#plan === null || task === undefined) return;
    for (const name of [`tree ${task["flow_id"]}`, ...this.#line(task).slice(1)]) this.#add(name, { tokens: 0, costMicros: 0, calls: 0, children: 1 });
  }

  /** A line for each limit that was broken, and for each account that knows of less than was counted. */
  violations(): string[] {
    if (this.#plan === null) return [];
    const found: string[] = [];
    for (const account of this.#observer.all("SELECT * FROM budget")) {
      const name = account["scope"] === "task" ? `task ${account["name"]}` : `${account["scope"]} ${account["name"]}`;
      const unit = account["unit"] as BudgetUnit;
      const counted = this.#counts.get(name)?.[unit] ?? 0;
      const limit = account["scope"] === "task" ? account["max"] : (this.#limitOf(account["scope"], unit) ?? Infinity);
      if (counted > limit) found.push(`budgets: ${name} spent ${counted} ${unit} of ${limit}`);
      // A closed account gave its children's accounts to the one above with all that was spent from them.
      if (unit !== "children" && account["closed"] !== 1 && account["used"] + account["reserved"] < counted) found.push(`budgets: the account of ${name} knows of ${account["used"]} ${unit} used and ${account["reserved"]} reserved; the provider counted ${counted}`);
    }
    return found;
  }

  #limitOf(scope: string, unit: BudgetUnit): number | undefined {
    const limit = this.#highest[`budgets.${scope}.${unit === "costMicros" ? "cost" : unit}`];
    return limit === undefined || unit !== "costMicros" ? limit : limit * MICROS_PER_DOLLAR;
  }

  #task(where: string, value: string): Row | undefined {
    return this.#observer.get(`SELECT id, flow_id, parent_task, person FROM task WHERE ${where} AND ended_at IS NULL`, value);
  }

  /** A child and those above it. */
  #line(task: Row): string[] {
    const names: string[] = [];
    for (let one: Row | undefined = task; one !== undefined; one = one["parent_task"] === null ? undefined : this.#task("id = ?", one["parent_task"])) names.push(`task ${one["id"]}`);
    return names;
  }

  #add(name: string, more: Counts): void {
    const counts = this.#counts.get(name) ?? { tokens: 0, costMicros: 0, calls: 0, children: 0 };
    for (const unit of BUDGET_UNITS) counts[unit] += more[unit];
    this.#counts.set(name, counts);
  }
}

