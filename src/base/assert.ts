/** Stops the program's current action when something that is always true is not. Stays on in production. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new BrokenInvariant(invariant);
}

/** A defect of this program, never of its input. */
export class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant";
}

/** For the last branch of a `switch` over a union: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new BrokenInvariant(`unexpected value ${JSON.stringify(value)}`);
}
