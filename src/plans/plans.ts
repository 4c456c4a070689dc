/**
 * Plans, as the rest of the program sees them: checked, run, looked at, and helped on.
 *
 * Always true of a run:
 *   - a task begins when everything it waits for is merged; two that may clash never run side by side
 *   - a task is merged only with evidence that the gateway found itself, whatever its agent says
 *   - every step is a row before it is taken, so a run goes on after any crash, and nothing is done twice
 */
import type { PlanId, SessionKey } from "../base/ids.ts";
import type { PlanRun, PlanSignal } from "../model/plan-run.ts";
import type { Plan } from "../model/plan.ts";
import type { PlanStatus } from "./status.ts";
import type { Verdict } from "../model/verdict.ts";

export interface PlanSource {
  /** Its name; the ending says how it is read. */
  readonly file: string;
  readonly text: string;
  /** A folder in the repository, absolute. */
  readonly repository: string;
}

export interface NewRun extends PlanSource {
  readonly session: SessionKey;
  /** Against the verdict; null = as it says. */
  readonly mode: "sequential" | "parallel" | null;
  readonly watched: boolean | null;
  /** The same key never begins twice. */
  readonly idempotencyKey: string | null;
}

export interface Plans {
  /** @throws {Fault} PLAN_INVALID, NOT_A_REPOSITORY, GIT_FAILED. */
  check(source: PlanSource, options: { readonly watched: boolean | null }): Promise<{ readonly plan: Plan; readonly verdict: Verdict }>;
  /** Begins a run. @throws {Fault} as {@link check}, and BAD_REQUEST, DRAINING. */
  run(request: NewRun): Promise<PlanRun>;
  /** What its tasks come to so far. @throws {Fault} PLAN_NOT_FOUND */
  status(id: PlanId): Promise<PlanStatus>;
  /** @throws {Fault} PLAN_NOT_FOUND */
  get(id: PlanId): Promise<PlanRun>;
  list(query: { readonly after?: PlanId; readonly limit: number }): Promise<{ readonly plans: readonly PlanRun[]; readonly next: PlanId | null }>;
  /** Stops its agents; what they did stays under backup refs. @throws {Fault} PLAN_NOT_FOUND */
  cancel(id: PlanId, by: string): Promise<PlanRun>;
  /** Says yes to a gate. @throws {Fault} PLAN_NOT_FOUND, PLAN_NOT_WAITING */
  approve(id: PlanId, by: string): Promise<PlanRun>;
  /**
   * Puts a successor to work on what is stuck, in the same workspace, told why others stopped and what `note` says.
   * @param task  one task's id; null = all that are stuck.
   * @throws {Fault} PLAN_NOT_FOUND, PLAN_NOT_WAITING
   */
  resume(id: PlanId, options: { readonly task: string | null; readonly note: string | null; readonly by: string }): Promise<PlanRun>;
  /** What an agent says of the task that its session works on. Null: it works on none. */
  signal(session: SessionKey, signal: Omit<PlanSignal, "at">): Promise<{ readonly plan: PlanId; readonly task: string } | null>;
}
