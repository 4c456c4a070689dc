/**
 * Clocks on walls: what time it is in a zone, and when a time of the wall clock comes.
 *
 * Always true of `instantOf(zone, wall)`: it is the first moment at which the zone's wall clock has
 * reached `wall`. So a time that the clock shows twice (autumn) means the first, and one that it
 * leaps over (spring) means the end of the leap. It never decreases as `wall` grows.
 *
 * A wall time is a number too: the milliseconds since 1970 that the same hands would mean in UTC.
 */

/** Offsets of a zone are looked up in windows this long; no zone changes twice within one and back. */
const WINDOW_MS = 7 * 86_400_000;
/** No zone is further from UTC than this, milliseconds. */
const OFFSET_MAX_MS = 26 * 3_600_000;
/** Windows remembered over all zones. */
const WINDOWS_MAX = 20_000;
const ZONES_MAX = 700;

/** A stretch of time with one offset: `until` is not part of it. */
interface Stretch {
  readonly from: number;
  readonly until: number;
  readonly offset: number;
}

export class CivilTime {
  readonly #formats = new Map<string, Intl.DateTimeFormat>();
  readonly #windows = new Map<string, readonly Stretch[]>();

  /** True when the zone is one that this machine knows, e.g. `Europe/Vienna`. */
  knows(zone: string): boolean {
    try {
      this.#format(zone);
      return true;
    } catch {
      return false;
    }
  }

  /** What the wall clock shows. */
  wallOf(zone: string, at: number): number {
    return at + this.#offset(zone, at);
  }

  /** The furthest that the wall clock has shown up to a moment; more than now in the hour that comes twice. */
  furthestWall(zone: string, at: number): number {
    let furthest = -Infinity;
    for (const { from, until, offset } of this.#stretches(zone, at - OFFSET_MAX_MS, at)) {
      if (from > at) break;
      furthest = Math.max(furthest, until <= at ? until + offset - 1 : at + offset);
    }
    return furthest;
  }

  instantOf(zone: string, wall: number): number {
    for (const { from, until, offset } of this.#stretches(zone, wall - OFFSET_MAX_MS, wall + OFFSET_MAX_MS)) {
      const at = Math.max(from, wall - offset);
      if (at < until) return at;
    }
    return wall - this.#offset(zone, wall);
  }

  #stretches(zone: string, from: number, to: number): Stretch[] {
    const stretches: Stretch[] = [];
    for (let window = Math.floor(from / WINDOW_MS); window <= Math.floor(to / WINDOW_MS); window++) {
      for (const next of this.#window(zone, window)) {
        const last = stretches.at(-1);
        if (last !== undefined && last.offset === next.offset) stretches[stretches.length - 1] = { ...last, until: next.until };
        else stretches.push(next);
      }
    }
    return stretches;
  }

  #window(zone: string, window: number): readonly Stretch[] {
    const name = `${zone} ${window}`;
    const known = this.#windows.get(name);
    if (known !== undefined) return known;
    if (this.#windows.size >= WINDOWS_MAX) this.#windows.clear();
    const found = this.#look(zone, window * WINDOW_MS, (window + 1) * WINDOW_MS);
    this.#windows.set(name, found);
    return found;
  }

  #look(zone: string, from: number, until: number): Stretch[] {
    const first = this.#offset(zone, from);
    const last = this.#offset(zone, until);
    if (first === last) return [{ from, until, offset: first }];
    let before = from;
    let after = until;
    while (after - before > 1000) {
      const middle = Math.floor((before + after) / 2000) * 1000;
      if (this.#offset(zone, middle) === first) before = middle;
      else after = middle;
    }
    return [{ from, until: after, offset: first }, { from: after, until, offset: last }];
  }

  #offset(zone: string, at: number): number {
    const parts: Record<string, number> = {};
    for (const { type, value } of this.#format(zone).formatToParts(at)) parts[type] = Number(value);
    const wall = Date.UTC(parts["year"]!, parts["month"]! - 1, parts["day"]!, parts["hour"]!, parts["minute"]!, parts["second"]!);
    return wall - Math.floor(at / 1000) * 1000;
  }

  #format(zone: string): Intl.DateTimeFormat {
    let format = this.#formats.get(zone);
    if (format === undefined) {
      format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
      if (this.#formats.size >= ZONES_MAX) this.#formats.clear();
      this.#formats.set(zone, format);
    }
    return format;
  }
}
