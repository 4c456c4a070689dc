/** Collects everything that is wrong with one plan file, so that a person mends it in one go. */
import { Fault } from "../model/faults.ts";
import type { PlanProblem } from "../model/plan.ts";

const PROBLEMS_MAX = 50;

export class PlanProblems {
  readonly file: string;
  readonly #found: PlanProblem[] = [];

  constructor(file: string) {
    this.file = file;
  }

  add(line: number, what: string, mend: string): void {
    if (this.#found.some((one) => one.line === line && one.what === what)) return;
    if (this.#found.length < PROBLEMS_MAX) this.#found.push({ file: this.file, line, what, mend });
  }

  get count(): number {
    return this.#found.length;
  }

  /** @throws {Fault} PLAN_INVALID with all of them, in the order of the file. */
  throwIfAny(): void {
    if (this.#found.length === 0) return;
    throw new Fault("PLAN_INVALID", { file: this.file, problems: this.#found.toSorted((a, b) => a.line - b.line) });
  }
}
