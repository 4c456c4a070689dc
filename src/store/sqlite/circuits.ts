/**
 * Circuits: whether children of one agent and one category are worth starting.
 *
 *     closed ──so many failures in a row──▶ open ──its time──▶ half open: one child may try
 *        ▲                                   ▲                     │        │
 *        └─────────────────────── it succeeds ┼────────────────────┘        │
 *                                             └──────── it fails ───────────┘
 *
 * A row stands for failures only; a circuit without one is closed.
 */
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { TaskState } from "../../model/task.ts";
import type { Kernel, Row } from "./kernel.ts";

/** When a spawn that came beside a trial may ask again, milliseconds. */
const TRIAL_RETRY_MS = 1_000;

/** Before a child is made. @throws {Fault} CIRCUIT_OPEN. */
export function passCircuit(k: Kernel, agent: string, category: string): void {
  const circuit = k.get("SELECT * FROM circuit WHERE agent = ? AND category = ? AND open_until IS NOT NULL", agent, category);
  if (circuit === undefined) return;
  const restMs = circuit["open_until"] - k.now();
  const isTried = circuit["probe"] !== null && k.get("SELECT 1 FROM task WHERE id = ? AND ended_at IS NULL", circuit["probe"]) !== undefined;
  if (restMs <= 0 && !isTried) return;
  const retryAfterMs = Math.max(restMs, TRIAL_RETRY_MS);
  throw new Fault("CIRCUIT_OPEN", { agent, category, failures: circuit["failures"], seconds: Math.ceil(retryAfterMs / 1000) }, { retryAfterMs });
}

/** A child was made: while the circuit is half open, it is the one that tries. */
export function enterCircuit(k: Kernel, task: Row): void {
  k.run("UPDATE circuit SET probe = ? WHERE agent = ? AND category = ? AND open_until IS NOT NULL", task["id"], task["agent"], task["category"]);
}

export function isCircuitOpen(k: Kernel, task: Row): boolean {
  return task["category"] !== null && k.get("SELECT 1 FROM circuit WHERE agent = ? AND category = ? AND open_until > ?", task["agent"], task["category"], k.now()) !== undefined;
}

/** Whether a failure of this child is one too many. */
export function opensCircuit(k: Kernel, { agent, category, circuit_failures: failuresMax }: Row): boolean {
  if (category === null || failuresMax === 0) return false;
  return k.count("SELECT coalesce((SELECT failures FROM circuit WHERE agent = ? AND category = ?), 0) + 1", agent, category) >= failuresMax;
}

/** An attempt of a child with a category is over. */
export function tellCircuit(k: Kernel, task: Row, state: TaskState): void {
  const { agent, category, circuit_failures: failuresMax } = task;
  if (category === null || state === "cancelled") return;
  if (state === "succeeded") {
    k.run("DELETE FROM circuit WHERE agent = ? AND category = ?", agent, category);
    return;
  }
  const { failures } = k.get("INSERT INTO circuit (agent, category, failures) VALUES (?,?,1) ON CONFLICT (agent, category) DO UPDATE SET failures = failures + 1 RETURNING failures", agent, category)!;
  if (failuresMax === 0 || failures < failuresMax) return;
  k.run("UPDATE circuit SET open_until = ?, probe = NULL WHERE agent = ? AND category = ?", k.now() + task["circuit_open_ms"], agent, category);
  const text = `${failures} children of agent ${agent} for ${JSON.stringify(category)} failed in a row; no further one starts for ${Math.ceil(task["circuit_open_ms"] / 1000)} s`;
  k.emit((task["parent_session"] ?? task["session"]) as SessionKey, { type: "notice", taskId: task["id"], data: { text, level: "warn", code: "CIRCUIT_OPEN" } });
}
