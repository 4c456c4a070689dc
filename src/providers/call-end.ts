/** What the governor is told of a call that failed: read from the failure, for our own calls and for those passed through. */
import type { Failure } from "./failure.ts";
import type { CallEnd } from "./admission.ts";
import { kindOf } from "./verdict.ts";
import { waitHintMs } from "./wait-hint.ts";

/**
 * @param accounts  how many the provider has: the only one is closed for a wrong key alone, because
 *                  whoever pays, or is given a right, wants to go on at once.
 */
export function callEndOf(failure: Pick<Failure, "status" | "headers" | "body"> & Partial<Failure>, accounts: number, nowMs: number): CallEnd {
  const kind = kindOf({ began: false, problem: "", ...failure });
  if (kind === "limited" || kind === "overloaded") return { is: kind, headers: failure.headers, waitMs: waitHintMs(failure, nowMs) ?? null };
  if (failure.status === 401) return { is: "refused", status: 401, all: true };
  if (accounts > 1 && kind === "quota") return { is: "refused", status: 402, all: true };
  if (accounts > 1 && kind === "auth") return { is: "refused", status: failure.status ?? 401, all: false };
  return { is: "gone" };
}
