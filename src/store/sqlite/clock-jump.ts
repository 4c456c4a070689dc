/**
 * The wall clock was set, or the machine slept: what was to come in an hour still comes in an hour.
 *
 * Rows hold moments of wall time, because several programs and restarts share them. When that clock
 * moves by itself, the moments still to come move along, so that no wait freezes and no deadline
 * strikes early. What is bound to the calendar (the moments of jobs) and what is past stay as they are.
 *
 * Not known: how far a clock was set forward while no gateway ran; that counts as time that passed.
 */
import { moveAllowances } from "./allowances.ts";
import type { Kernel } from "./kernel.ts";

/** Less is no jump: clocks are corrected by a little all the time. */
const JUMP_MS_MIN = 2_000;

const MOMENTS: readonly { readonly table: string; readonly columns: readonly string[]; readonly where: string }[] = [
  { table: "lane", columns: ["ready_at", "sort_key", "check_at"], where: "ready_at IS NOT NULL OR check_at IS NOT NULL" },
  { table: "message", columns: ["ready_at"], where: "state IN ('waiting','held')" },
  { table: "turn", columns: ["started_at"], where: "state = 'running'" },
  { table: "barrier", columns: ["deadline_at"], where: "state = 'open'" },
  { table: "flow", columns: ["place"], where: "id IN (SELECT flow_id FROM task WHERE ended_at IS NULL)" },
  { table: "task", columns: ["deadline_at", "progress_due_at"], where: "ended_at IS NULL" },
  { table: "circuit", columns: ["open_until"], where: "open_until IS NOT NULL" },
  { table: "parked", columns: ["until"], where: "1" },
  { table: "occurrence", columns: ["retry_at"], where: "retry_at IS NOT NULL" },
  { table: "delivery", columns: ["next_at"], where: "state = 'prepared'" },
];

/** To be called in each transaction before anything looks at the time. @returns the moment at which what is to come was moved; null = it was not. */
export function followClock(k: Kernel): number | null {
  const byMs = k.clockJump();
  return Math.abs(byMs) >= JUMP_MS_MIN && !isSuperseded(k) ? move(k, byMs) : null;
}

/** A process that slept and lost its place sees the jump late: the one in its place has followed it. */
function isSuperseded(k: Kernel): boolean {
  return k.generation !== null && k.generation !== k.count("SELECT value FROM meta WHERE name = 'generation'");
}

/** After a start: the clock stands before what was last written, so it was set back meanwhile. */
export function followClockSinceLastRun(k: Kernel): void {
  const lastEvent = k.get("SELECT at FROM event ORDER BY cursor DESC LIMIT 1")?.["at"] as number | undefined;
  // Nothing may have happened since a jump was followed.
  const lastMove = k.get("SELECT value FROM meta WHERE name = 'clockFollowedAt'")?.["value"] as number | undefined;
  const last = Math.max(lastEvent ?? 0, lastMove ?? 0);
  if (last - k.now() >= JUMP_MS_MIN) move(k, k.now() - last);
}

function move(k: Kernel, byMs: number): number {
  for (const { table, columns, where } of MOMENTS) k.run(`UPDATE ${table} SET ${columns.map((column) => `${column} = ${column} + ?1`).join(", ")} WHERE ${where}`, Math.round(byMs));
  moveAllowances(k, byMs);
  const at = k.now();
  k.run("INSERT INTO meta VALUES ('clockFollowedAt', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", at);
  return at;
}

/** After a commit that reported a failure: whether the moments moved all the same. They must not move twice. @param at  as {@link followClock} gave it. */
export function clockWasFollowed(k: Kernel, at: number | null): boolean {
  return at !== null && k.get("SELECT value FROM meta WHERE name = 'clockFollowedAt'")?.["value"] === at;
}
