/** How a command says that it did not work: one fault, one exit code. */
import type { ApiFault } from "../api/wire.ts";
import { asFault, Fault } from "../model/faults.ts";

export const EXIT = { done: 0, failed: 1, wrongUse: 2, noGateway: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A fault that the gateway answered with. */
export class AnsweredFault extends Error {
  override readonly name = "AnsweredFault";
  readonly fault: ApiFault;
  constructor(fault: ApiFault) {
    super(fault.message);
    this.fault = fault;
  }
}

export function faultOf(thrown: unknown): ApiFault {
  if (thrown instanceof AnsweredFault) return thrown.fault;
  return { ...asFault(thrown).toRecord(), details: { ...asFault(thrown).details } };
}

export function exitCodeOf(fault: ApiFault): ExitCode {
  if (fault.code === "GATEWAY_NOT_THERE") return EXIT.noGateway;
  return fault.code === "WRONG_USE" ? EXIT.wrongUse : EXIT.failed;
}

/** @throws {Fault} WRONG_USE */
export function wrongUse(problem: string): never {
  throw new Fault("WRONG_USE", { problem });
}
