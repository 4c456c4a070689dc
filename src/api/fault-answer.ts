/**
 * From anything that was thrown to what the caller is shown: a fault of the table, never a stack.
 *
 * A defect of the program is logged with its cause; the caller gets its message with secrets masked.
 */
import type { Log } from "../base/log.ts";
import { redact } from "../base/redact.ts";
import { asFault, Fault } from "../model/faults.ts";
import { toApiFault } from "./shapes.ts";
import type { ApiFault } from "./wire.ts";

/** The fault in `thrown`, whoever threw it: this program, or the HTTP library over a bad request. */
export function faultOf(thrown: unknown, bodyBytesMax: number): Fault {
  if (thrown instanceof Fault || !(thrown instanceof Error)) return asFault(thrown);
  const { code, statusCode } = thrown as Error & { code?: unknown; statusCode?: unknown };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return new Fault("BODY_TOO_LARGE", { bytesMax: bodyBytesMax });
  const isCallers = typeof statusCode === "number" && statusCode >= 400 && statusCode < 500;
  return isCallers ? new Fault("BAD_REQUEST", { where: "request", problem: thrown.message }) : asFault(thrown);
}

export function shownFault(thrown: unknown): ApiFault {
  const fault = toApiFault(asFault(thrown).toRecord());
  if (fault.code !== "INTERNAL") return fault;
  const problem = redact(String(fault.details["problem"]));
  return { ...fault, message: redact(fault.message), details: { problem } };
}

export function logDefect(log: Log, fault: Fault, route: string): void {
  if (fault.code === "INTERNAL") log.error("api.defect", { route, cause: fault.cause ?? fault });
}
