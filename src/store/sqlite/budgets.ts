/**
 * Budgets in the store: accounts, what model calls and children reserve in them, and what goes back.
 *
 * Always true of an open account:
 *   - reserved = holds of calls on their way + limits of the open accounts set aside in it
 *   - nothing is granted that does not fit into limit - used - reserved, in one transaction
 *
 * An account that was set aside in another is closed with its child: what it used is the other's use
 * now, the rest goes back, and whoever still works below it spends from the other directly.
 */
import { dayOf } from "../../base/clock.ts";
import type { FlowId, SessionKey, TaskId } from "../../base/ids.ts";
import { assert } from "../../base/assert.ts";
import { BUDGET_UNITS, inWords, isEmptyBudget, keptBack, type Budget, type BudgetScope, type BudgetUnit, type BudgetView, type CallAsked, type CallGrant, type ScopeBudgets } from "../../model/budget.ts";
import type { Usage } from "../../model/chat.ts";
import { Fault } from "../../model/faults.ts";
import type { TurnRef } from "../../model/turn.ts";
import type { CallSpent } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { workOf } from "./usage.ts";

// ── children ────────────────────────────────────────────────────────────────────────────────

/**
 * Counts a new child against the accounts above it and sets its own budget aside in them.
 * @returns whether it has a budget of its own (2), stands below one (1), or neither (0).
 * @throws {Fault} BUDGET_EXHAUSTED no more children; BUDGET_TOO_LARGE more than is left.
 */
export function budgetChild(k: Kernel, child: { taskId: TaskId; parentTask: TaskId | null; flowId: FlowId; budget: Budget; tree: Budget }): 0 | 1 | 2 {
  const { taskId, parentTask, flowId, budget } = child;
  countChild(k, nearestAccount(k, parentTask, "children"));
  if (child.tree.children !== undefined) countChild(k, scopeAccount(k, "tree", flowId, "children", child.tree.children));
  for (const unit of BUDGET_UNITS) {
    const max = budget[unit];
    if (max === undefined) continue;
    const above = nearestAccount(k, parentTask, unit);
    if (above !== undefined) {
      const left = Math.max(0, leftIn(above));
      if (max > left) throw new Fault("BUDGET_TOO_LARGE", inWords(unit, { asked: max, left }));
      k.run("UPDATE budget SET reserved = reserved + ? WHERE id = ?", max, above["id"]);
    }
    k.run("INSERT INTO budget (scope, name, unit, parent_id, max) VALUES ('task', ?, ?, ?, ?)", taskId, unit, above?.["id"] ?? null, max);
  }
  if (!isEmptyBudget(budget)) return 2;
  return parentTask !== null && k.get("SELECT 1 FROM task WHERE id = ? AND budgeted > 0", parentTask) !== undefined ? 1 : 0;
}

function countChild(k: Kernel, account: Row | undefined): void {
  if (account === undefined) return;
  if (leftIn(account) < 1) throw new Fault("BUDGET_EXHAUSTED", { scope: account["scope"], unit: "children", limit: account["max"], used: account["used"] });
  k.run("UPDATE budget SET used = used + 1 WHERE id = ?", account["id"]);
}

/** A child with a budget of its own has ended: what it did not need goes back. */
export function closeBudget(k: Kernel, taskId: TaskId): void {
  for (const account of k.all("SELECT * FROM budget WHERE scope = 'task' AND name = ? AND parent_id IS NOT NULL AND closed = 0", taskId)) {
    const setAside = k.count("SELECT coalesce(sum(max), 0) FROM budget WHERE parent_id = ? AND closed = 0", account["id"]);
    // Calls still on their way count as spent until the provider's count is known.
    const spent = account["used"] + account["reserved"] - setAside;
    k.run("UPDATE budget SET reserved = reserved - ? + ?, used = used + ? WHERE id = ?", account["max"], setAside, spent, account["parent_id"]);
    k.run("UPDATE budget SET parent_id = ? WHERE parent_id = ? AND closed = 0", account["parent_id"], account["id"]);
    k.run("UPDATE budget SET closed = 1, reserved = reserved - ? WHERE id = ?", setAside, account["id"]);
  }
}

/** The limits that a child was given, e.g. for another attempt. */
export function limitsOf(k: Kernel, taskId: TaskId): Budget {
  return Object.fromEntries(k.all("SELECT unit, max FROM budget WHERE scope = 'task' AND name = ?", taskId).map((row) => [row["unit"], row["max"]]));
}

/** The limit on the children of a tree that held when one was last spawned: one that is started again counts too. */
export function treeChildrenLimit(k: Kernel, flow: FlowId): Budget {
  const account = k.get("SELECT max FROM budget WHERE scope = 'tree' AND name = ? AND unit = 'children'", flow);
  return account === undefined ? {} : { children: account["max"] };
}

export function budgetView(k: Kernel, scope: BudgetScope, name: string): BudgetView | null {
  const rows = k.all("SELECT * FROM budget WHERE scope = ? AND name = ? ORDER BY id", scope, name);
  if (rows.length === 0) return null;
  const figures = (figure: (row: Row) => number): Budget => Object.fromEntries(rows.map((row) => [row["unit"], figure(row)]));
  return { limit: figures((row) => row["max"]), reserved: figures((row) => row["reserved"]), used: figures((row) => row["used"]), left: figures((row) => Math.max(0, leftIn(row))) };
}

// ── model calls ─────────────────────────────────────────────────────────────────────────────

export function reserveCall(k: Kernel, { turn, asked, scopes }: { turn: TurnRef; asked: CallAsked; scopes: ScopeBudgets }): CallGrant {
  const row = k.get("SELECT * FROM turn WHERE id = ? AND epoch = ? AND state = 'running'", turn.turnId, turn.epoch);
  return row === undefined ? { outcome: "superseded" } : reserve(k, row, asked, scopes);
}

/** For a call that no turn of ours makes: of a harness or another program, or a question beside a conversation. */
export function reserveCallBeside(k: Kernel, { session, asked, scopes }: { session: SessionKey | null; asked: CallAsked; scopes: ScopeBudgets }): CallGrant {
  return reserve(k, workOf(k, session), asked, scopes);
}

function reserve(k: Kernel, row: Row, asked: CallAsked, scopes: ScopeBudgets): CallGrant {
  const accounts = accountsOf(k, row, scopes);
  if (asked.price === null && accounts.some((account) => account["unit"] === "costMicros")) return { outcome: "unpriced" };
  let outputTokensMax = asked.outputTokensMax;
  let tightest: Row | undefined;
  for (const account of accounts) {
    const fits = outputThatFits(account, asked);
    if (fits >= outputTokensMax) continue;
    outputTokensMax = fits;
    tightest = account;
  }
  if (tightest !== undefined && outputTokensMax < asked.outputTokensMin) {
    const { scope, name, unit, max, used } = tightest as { scope: BudgetScope; name: string; unit: BudgetUnit; max: number; used: number };
    const tokens = accounts.filter((account) => account["unit"] === "tokens").map(leftIn);
    return { outcome: "exhausted", by: { scope, name, unit, limit: max, used }, tokensLeft: tokens.length === 0 ? null : Math.max(0, Math.min(...tokens)) };
  }
  const hold = k.ids.bare();
  for (const account of accounts) {
    const amount = mostOf(account["unit"], asked, outputTokensMax);
    k.run("INSERT INTO budget_hold (call, budget_id, amount) VALUES (?,?,?)", hold, account["id"], amount);
    k.run("UPDATE budget SET reserved = reserved + ? WHERE id = ?", amount, account["id"]);
  }
  return { outcome: "granted", hold, outputTokensMax };
}

/** Every account that limits the model calls of a turn. */
function accountsOf(k: Kernel, turn: Row, scopes: ScopeBudgets): Row[] {
  const day = dayOf(k.now());
  const names: Readonly<Record<keyof ScopeBudgets, string>> = { session: turn["session"], tree: turn["tree"], person: `${day} ${turn["person"]}`, day };
  const accounts: Row[] = [];
  for (const unit of BUDGET_UNITS) {
    if (unit === "children") continue;
    const own = nearestAccount(k, turn["task_id"], unit);
    if (own !== undefined) accounts.push(own);
    for (const scope of Object.keys(names) as (keyof ScopeBudgets)[]) {
      const max = scopes[scope][unit];
      if (max !== undefined && names[scope] !== "") accounts.push(scopeAccount(k, scope, names[scope], unit, max));
    }
  }
  return accounts;
}

/** Output tokens for which there is room; below 0 when not even the prompt fits. */
function outputThatFits(account: Row, asked: CallAsked): number {
  const left = leftIn(account) - (asked.isLast ? 0 : keptBack(account["unit"], account["max"]));
  if (account["unit"] === "calls") return left >= 1 ? Infinity : -1;
  if (account["unit"] === "tokens") return left - asked.inputTokensMax;
  const price = asked.price!;
  const room = left - asked.inputTokensMax * price.input - price.call;
  if (room < 0) return -1;
  return price.output === 0 ? Infinity : Math.floor(room / price.output);
}

function mostOf(unit: BudgetUnit, { inputTokensMax, price }: CallAsked, outputTokens: number): number {
  if (unit === "calls") return 1;
  if (unit === "tokens") return inputTokensMax + outputTokens;
  return Math.ceil(inputTokensMax * price!.input + outputTokens * price!.output + price!.call);
}

/** Corrects a reservation by what the provider counted. Unknown counts stay spent as they were reserved. */
export function settleCall(k: Kernel, { hold, spent }: { hold: string; spent: CallSpent }): void {
  for (const { budget_id: id, amount, unit } of k.all("SELECT h.budget_id, h.amount, b.unit FROM budget_hold h JOIN budget b ON b.id = h.budget_id WHERE h.call = ?", hold)) {
    const actual = spent === "unknown" ? amount : spent === "nothing" ? 0 : countedIn(unit, spent);
    k.run("UPDATE budget SET used = used + ?, reserved = reserved - ? WHERE id = ?", actual, amount, id);
    correctAbove(k, id, actual - amount);
  }
  k.run("DELETE FROM budget_hold WHERE call = ?", hold);
}

/** An account that was closed with the call on its way had passed it on as spent in full. */
function correctAbove(k: Kernel, id: number, difference: number): void {
  if (difference === 0) return;
  for (let row = k.get("SELECT * FROM budget WHERE id = ?", id)!; row["closed"] === 1; ) {
    row = k.get("SELECT * FROM budget WHERE id = ?", row["parent_id"])!;
    k.run("UPDATE budget SET used = used + ? WHERE id = ?", difference, row["id"]);
  }
}

function countedIn(unit: BudgetUnit, usage: Usage): number {
  if (unit === "tokens") return usage.input + usage.output;
  return unit === "calls" ? usage.calls : usage.costMicros;
}

/** After a crash: whatever was on its way may have been answered. */
export function spendHolds(k: Kernel): void {
  for (const { call } of k.all("SELECT DISTINCT call FROM budget_hold")) settleCall(k, { hold: call, spent: "unknown" });
}

// ── accounts ────────────────────────────────────────────────────────────────────────────────

function leftIn(account: Row): number {
  return account["max"] - account["used"] - account["reserved"];
}

/** The open account of a task, or of the nearest one above it, that limits a unit. */
function nearestAccount(k: Kernel, taskId: string | null, unit: BudgetUnit): Row | undefined {
  for (let id = taskId; id !== null; ) {
    const account = k.get("SELECT * FROM budget WHERE scope = 'task' AND name = ? AND unit = ? AND closed = 0", id, unit);
    if (account !== undefined) return account;
    const task = k.get("SELECT parent_task, budgeted FROM task WHERE id = ?", id);
    assert(task !== undefined, "a task is there as long as its children");
    id = task["budgeted"] === 0 ? null : task["parent_task"];
  }
  return undefined;
}

const LEDGER: Readonly<Record<BudgetUnit, string>> = { tokens: "sum(input) + sum(output)", costMicros: "sum(cost_micros)", calls: "sum(calls)", children: "" };

/** The account of a scope that settings limit; a new one begins with what the ledger says was used. */
function scopeAccount(k: Kernel, scope: keyof ScopeBudgets, name: string, unit: BudgetUnit, max: number): Row {
  const known = k.get("SELECT * FROM budget WHERE scope = ? AND name = ? AND unit = ?", scope, name, unit);
  if (known !== undefined && known["max"] === max) return known;
  if (known !== undefined) return k.get("UPDATE budget SET max = ? WHERE id = ? RETURNING *", max, known["id"])!;
  return k.get("INSERT INTO budget (scope, name, unit, max, used) VALUES (?,?,?,?,?) RETURNING *", scope, name, unit, max, usedBefore(k, scope, name, unit))!;
}

function usedBefore(k: Kernel, scope: keyof ScopeBudgets, name: string, unit: BudgetUnit): number {
  if (unit === "children") return Math.max(0, k.count("SELECT count(*) FROM task WHERE flow_id = ?", name));
  const [day, ...person] = name.split(" ");
  switch (scope) {
    case "session":
      return k.count(`SELECT coalesce(${LEDGER[unit]}, 0) FROM usage WHERE session = ?`, name);
    case "tree":
      return k.count(`SELECT coalesce(${LEDGER[unit]}, 0) FROM usage WHERE tree = ? AND tree <> ''`, name);
    case "person":
      return k.count(`SELECT coalesce(${LEDGER[unit]}, 0) FROM usage WHERE person = ? AND day = ?`, person.join(" "), day!);
    case "day":
      return k.count(`SELECT coalesce(${LEDGER[unit]}, 0) FROM usage WHERE day = ?`, name);
  }
}
