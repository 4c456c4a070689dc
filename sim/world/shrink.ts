/** Makes a failing run smaller: leaves out actions as long as the same thing still goes wrong. */
import { actionCount } from "./plan.ts";
import { runWorld, type WorldOptions } from "./world.ts";

/** Runs that one shrinking may take. */
const TRIES_MAX = 400;
/** The beginning of a violation says what kind it is. */
const KIND_CHARS = 50;

/** What was violated, without the names of those whom it met. */
function kindOf(violations: readonly string[]): string {
  return (violations[0] ?? "").replaceAll(/[a-z]+_[0-9a-z]{16}|agent:[\w:.-]+|\d+/g, "#").slice(0, KIND_CHARS);
}

/** @returns the numbers of the actions that are needed; fewer would not fail. */
export async function shrink(options: WorldOptions): Promise<readonly number[]> {
  let kept = Array.from({ length: actionCount(options.seed) }, (_, n) => n);
  const kind = kindOf((await runWorld(options)).violations);
  let tries = 0;
  for (let part = Math.ceil(kept.length / 2); part >= 1 && tries < TRIES_MAX; ) {
    let smaller = false;
    for (let from = 0; from < kept.length && tries < TRIES_MAX; ) {
      const rest = kept.toSpliced(from, part);
      tries++;
      if (kindOf((await runWorld({ ...options, keep: new Set(rest) })).violations) === kind) {
        kept = rest;
        smaller = true;
      } else from += part;
    }
    if (part === 1 && !smaller) break;
    part = part === 1 ? 1 : Math.ceil(part / 2);
  }
  return kept;
}
