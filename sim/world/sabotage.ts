/**
 * Shows that the checks bite: runs each deliberately broken gateway until it is caught.
 *
 *     node sim/world/sabotage.ts [WORD...]     those whose name holds a word; without one, all
 *     node sim/world/sabotage.ts --table       which promise has one, as a table
 *
 * Exit code 1 when one survives.
 */
import { promisesTable } from "./promises.ts";
import { SABOTAGES, type Sabotage } from "./sabotages.ts";
import { Tables } from "./tables.ts";
import { runWorld } from "./world.ts";

/** A check that has not noticed by then is worthless. */
export const SEEDS_MAX = 2_000;

export interface Caught {
  /** How many seeds it took; null = it survived them all. */
  readonly seeds: number | null;
  readonly violation: string;
  /** False: the statements that it means to break are not there any more. */
  readonly tookEffect: boolean;
}

/** Runs a broken gateway from seed 1 on until something is noticed. */
export async function catchSabotage(sabotage: Sabotage, seedsMax = SEEDS_MAX): Promise<Caught> {
  let tookEffect = sabotage.settings !== undefined;
  // One that changes the schema cannot give the tables back as they were.
  const tables = sabotage.prepare === undefined ? new Tables() : null;
  try {
    for (let seed = 1; seed <= seedsMax; seed++) {
      if (sabotage.meets?.(seed) === false) continue;
      const { violations, counts } = await runWorld({ seed, sabotage, ...(tables === null ? {} : { tables }) });
      tookEffect ||= counts.tampered > 0;
      if (violations.length > 0) return { seeds: seed, violation: violations[0]!, tookEffect };
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { seeds: null, violation: "", tookEffect };
  } finally {
    tables?.close();
  }
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  if (words[0] === "--table") {
    process.stdout.write(promisesTable());
    process.exit();
  }
  let survivors = 0;
  for (const sabotage of SABOTAGES) {
    if (words.length > 0 && !words.some((word) => sabotage.name.includes(word))) continue;
    const { seeds, violation, tookEffect } = await catchSabotage(sabotage);
    if (seeds === null || !tookEffect) survivors++;
    const text = violation.split("\n")[0]!.slice(0, 110);
    process.stdout.write(`${!tookEffect ? "NO EFFECT" : seeds === null ? `SURVIVES ${SEEDS_MAX}` : String(seeds).padStart(4)}  ${sabotage.name} (${sabotage.breaks})${text === "" ? "" : `: ${text}`}\n`);
  }
  process.exitCode = survivors > 0 ? 1 : 0;
}
