/** What was on its way when a plan ended comes too late. */
import type { PlanId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { Kernel } from "./kernel.ts";

/** @param what  what was on its way, e.g. "an agent". @throws {Fault} PLAN_NOT_WAITING. */
export function mustGoOn(k: Kernel, plan: PlanId, what: string): void {
  const state = k.get("SELECT state FROM plan WHERE id = ? AND ended_at IS NOT NULL", plan)?.["state"];
  if (state !== undefined) throw new Fault("PLAN_NOT_WAITING", { plan, what, state });
}
