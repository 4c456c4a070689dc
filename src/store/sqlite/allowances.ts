/** Allowances of providers as rows: several gateways over one store take from the same ones. */
import { changed, emptyAllowance, moved, takeFrom, type Allowance, type AllowanceAnswer, type AllowanceAsk, type AllowanceChange } from "../../model/allowance.ts";
import type { Kernel, Row } from "./kernel.ts";

/** A allowance that nobody touched for this long says nothing any more. */
const FORGOTTEN_AFTER_MS = 86_400_000;

export function takeAllowance(k: Kernel, ask: AllowanceAsk): AllowanceAnswer {
  const { allowance, answer } = takeFrom(allowanceOf(k, ask.key), ask, k.now());
  if (answer.waitMs === 0) write(k, allowance);
  return answer;
}

export function adjustAllowance(k: Kernel, change: AllowanceChange): void {
  write(k, changed(allowanceOf(k, change.key), change, k.now()));
}

/** All that still say something; the others are removed. */
export function allowances(k: Kernel): readonly Allowance[] {
  k.run("DELETE FROM allowance WHERE changed_at < ? AND wall_until < ?", k.now() - FORGOTTEN_AFTER_MS, k.now());
  return k.all("SELECT * FROM allowance ORDER BY key").map(fromRow);
}

function allowanceOf(k: Kernel, key: string): Allowance {
  const row = k.get("SELECT * FROM allowance WHERE key = ?", key);
  return row === undefined ? emptyAllowance(key) : fromRow(row);
}

/** The wall clock moved by itself. */
export function moveAllowances(k: Kernel, byMs: number): void {
  for (const row of k.all("SELECT * FROM allowance")) write(k, moved(fromRow(row), byMs));
}

function write(k: Kernel, { key, requests, tokens, wallUntil, learned }: Allowance): void {
  k.run("INSERT OR REPLACE INTO allowance VALUES (?,?,?,?,?,?)", key, JSON.stringify(requests), JSON.stringify(tokens), Math.ceil(wallUntil), JSON.stringify(learned), k.now());
}

function fromRow(row: Row): Allowance {
  return { key: row["key"], requests: JSON.parse(row["requests"]), tokens: JSON.parse(row["tokens"]), wallUntil: row["wall_until"], learned: JSON.parse(row["learned"]) };
}
