/** The ledger of usage: one row per day, session, model, person and tree, written with each model call's result. */
import { dayOf } from "../../base/clock.ts";
import type { SessionKey } from "../../base/ids.ts";
import type { Usage } from "../../model/chat.ts";
import type { StepResult } from "../../model/turn.ts";
import type { UsageQuery, UsageReport } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { usageOf, usageValues, USAGE_COLUMNS } from "./rows.ts";

/** Whose usage it is when nobody is named: that of whoever holds the token. */
export const OPERATOR = "operator";
const SUMS = USAGE_COLUMNS.split(", ").map((column) => `sum(${column}) AS ${column}`).join(", ");

/** @param turn  the row of the turn that the step belongs to. */
export function recordUsage(k: Kernel, turn: Row, result: StepResult): void {
  if (result.kind === "model") add(k, turn, result.answer.model, result.answer.usage);
  else if (result.kind === "compaction") add(k, turn, result.model ?? "", result.usage);
}

/** Of a call beside any turn: for a session, or for nobody's. */
export function recordCall(k: Kernel, session: SessionKey | null, model: string, usage: Usage): void {
  add(k, workOf(k, session), model, usage);
}

/** For whom a call beside any turn is: the child that works in the session, and its person and tree. */
export function workOf(k: Kernel, session: SessionKey | null): Row {
  const task = session === null ? undefined : k.get("SELECT id, person, flow_id FROM task WHERE session = ? AND ended_at IS NULL", session);
  return { session: session ?? "", person: task?.["person"] ?? OPERATOR, tree: task?.["flow_id"] ?? "", task_id: task?.["id"] ?? null };
}

function add(k: Kernel, turn: Row, model: string, usage: Usage): void {
  k.run(
    `INSERT INTO usage (day, session, model, person, tree, ${USAGE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
     ON CONFLICT DO UPDATE SET input = input + excluded.input, output = output + excluded.output, cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
       reasoning = reasoning + excluded.reasoning, calls = calls + excluded.calls, cost_micros = cost_micros + excluded.cost_micros, unpriced = unpriced + excluded.unpriced`,
    dayOf(k.now()), turn["session"], model, turn["person"], turn["tree"], ...usageValues(usage),
  );
}

const GROUPS = { model: "model", session: "session", tree: "tree", person: "person", day: "day" } as const;

export function usage(k: Kernel, { by, since, limit }: UsageQuery): UsageReport {
  const from = since ?? "";
  const named = by === "tree" ? "AND tree <> ''" : "";
  const rows = k.all(`SELECT ${GROUPS[by]} AS name, ${SUMS} FROM usage WHERE day >= ? ${named} GROUP BY ${GROUPS[by]} ORDER BY ${by === "day" ? "name DESC" : "sum(input) + sum(output) DESC, name"} LIMIT ?`, from, limit + 1);
  const total = k.get(`SELECT ${SUMS}, count(*) AS n FROM usage WHERE day >= ?`, from)!;
  return {
    rows: rows.slice(0, limit).map((row) => ({ name: row["name"], usage: usageOf(row) })),
    total: usageOf(total["n"] === 0 ? Object.fromEntries(USAGE_COLUMNS.split(", ").map((column) => [column, 0])) : total),
    more: rows.length > limit,
  };
}
