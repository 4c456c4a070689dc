/** What people may be answered with: a refusal. Anything else that is thrown is the program's own mistake. */
import { Fault } from "../../src/model/faults.ts";

export function isRefusal(cause: unknown): cause is Fault {
  return cause instanceof Fault && cause.code !== "INTERNAL";
}
