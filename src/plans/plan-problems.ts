/** Collects everything that is wrong with one plan file, so that a person mends it in one go. */
import { Fault } from "../model/faults.ts";
import type { PlanProblem } from "../model/plan.ts";

const PROBLEMS_MAX = 50;
/** What the library of YAML says of a file quotes it, up to the whole of it. */
const WHAT_CHARS_MAX = 240;

export class PlanProblems {
  readonly file: string;
  readonly #found: PlanProblem[] = [];

  constructor(file: string) {
    this.file = file;
  }

  add(line: number, text: string, mend: string): void {
    const what = text.length <= WHAT_CHARS_MAX ? text : `${text.slice(0, WHAT_CHARS_MAX)}…`;
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
