/** Which known name a misspelled one was meant to be. */

/** A name further away than this part of its length is no suggestion, but a guess. */
const DISTANCE_PART_MAX = 0.34;
/** Longer names are not compared: nobody misspells by hand what is this long. */
const NAME_LENGTH_MAX = 200;

/**
 * The known name nearest to `name`: equal but for case, equal in its last dotted segment, or a few
 * slips of the finger away (a letter missing, added, changed, or two swapped). Null when none is near.
 */
export function nearest(name: string, known: readonly string[]): string | null {
  if (name.length > NAME_LENGTH_MAX) return null;
  const wanted = name.toLowerCase();
  const byDistance = closest(wanted, known, (candidate) => candidate.toLowerCase());
  if (byDistance !== null) return byDistance;
  const last = lastSegment(wanted);
  return closest(last, known, (candidate) => lastSegment(candidate.toLowerCase()));
}

function closest(wanted: string, known: readonly string[], textOf: (candidate: string) => string): string | null {
  let best: string | null = null;
  let bestDistance = Math.floor(wanted.length * DISTANCE_PART_MAX) + 1;
  for (const candidate of known) {
    const distance = slips(wanted, textOf(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** Damerau-Levenshtein distance (optimal string alignment). Cost: product of the lengths. */
export function slips(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(changed, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, beforeLast[j - 2]! + 1);
      row.push(least);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}
