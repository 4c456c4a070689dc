/**
 * Another way to the same calendar, for comparison: walks over every minute (or second) of real time,
 * looks at the wall clock that the machine shows for it, and applies the rules by their words.
 *
 * Slow and plain on purpose; it shares nothing with `calendar.ts` but the rules.
 */
import { seededRandom } from "../base/ids.ts";

/** Zones with their changes of clock: whole and half hours, both halves of the earth, at midnight, and none. */
export const ZONES = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "Africa/Casablanca", "America/Santiago", "Pacific/Chatham"] as const;

const MINUTE_MS = 60_000;

/** The fields of an expression as sets of numbers. */
interface Fields {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  readonly anyDay: boolean;
  readonly anyWeekday: boolean;
}

/** The wall clock of a zone, minute by minute from `from` on; wall times are as if in UTC. */
export function wallClock(zone: string, from: number, until: number): Int32Array {
  const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" });
  const wallAt = (at: number): number => {
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    return Date.UTC(parts["year"]!, parts["month"]! - 1, parts["day"]!, parts["hour"]!, parts["minute"]!) / MINUTE_MS;
  };
  const minutes = Math.floor((until - from) / MINUTE_MS);
  const walls = new Int32Array(minutes);
  // An hour whose both ends lie on one line has no change in it; the others are looked at minute by minute.
  for (let hour = 0; hour < minutes; hour += 60) {
    const end = Math.min(hour + 60, minutes);
    const first = wallAt(from + hour * MINUTE_MS);
    const isStraight = wallAt(from + end * MINUTE_MS) - first === end - hour && wallAt(from + (hour + 30) * MINUTE_MS) - first === 30;
    for (let minute = hour; minute < end; minute++) walls[minute] = isStraight ? first + minute - hour : wallAt(from + minute * MINUTE_MS);
  }
  return walls;
}

/** Every moment of an expression of five fields within a wall clock. */
export function bruteMoments(expr: string, walls: Int32Array, from: number): number[] {
  const fields = parse(expr);
  const moments: number[] = [];
  let furthest = walls[0]! - 1;
  for (let minute = 0; minute < walls.length; minute++) {
    const wall = walls[minute]!;
    if (wall <= furthest) continue; // the clock shows this time a second time
    // What the clock leapt over counts here, at the end of the gap.
    let isDue = false;
    for (let shown = furthest + 1; shown <= wall && !isDue; shown++) isDue = matches(fields, shown);
    if (isDue) moments.push(from + minute * MINUTE_MS);
    furthest = wall;
  }
  return moments;
}

function matches(fields: Fields, wallMinute: number): boolean {
  if (!fields.minutes.has(((wallMinute % 60) + 60) % 60) || !fields.hours.has((((wallMinute / 60) | 0) % 24 + 24) % 24)) return false;
  const date = new Date(wallMinute * MINUTE_MS);
  if (!fields.months.has(date.getUTCMonth() + 1)) return false;
  const day = fields.days.has(date.getUTCDate());
  const weekday = fields.weekdays.has(date.getUTCDay());
  if (fields.anyDay || fields.anyWeekday) return day && weekday;
  return day || weekday;
}

function parse(expr: string): Fields {
  const [minutes, hours, days, months, weekdays] = expr.split(" ") as [string, string, string, string, string];
  return {
    minutes: setOf(minutes, 0, 59), hours: setOf(hours, 0, 23), days: setOf(days, 1, 31), months: setOf(months, 1, 12),
    weekdays: new Set([...setOf(weekdays, 0, 7)].map((day) => day % 7)), anyDay: days === "*", anyWeekday: weekdays === "*",
  };
}

function setOf(field: string, min: number, max: number): Set<number> {
  const found = new Set<number>();
  for (const part of field.split(",")) {
    const [range, step = "1"] = part.split("/") as [string, string?];
    const [first, last] = range === "*" ? [min, max] : range.includes("-") ? (range.split("-").map(Number) as [number, number]) : [Number(range), Number(range)];
    for (let value = first; value <= last; value += Number(step)) found.add(value);
  }
  return found;
}

/** A random expression of five fields, most of them seldom enough for years, many in the hours when clocks change. */
export function randomExpressions(seed: number): () => string {
  const random = seededRandom(seed);
  const below = (max: number): number => (random(4).reduce((sum, byte) => sum * 256 + byte, 0) >>> 0) % max;
  const list = (min: number, max: number): string => {
    const kind = below(6);
    if (kind === 0) return `*/${1 + below(Math.max(2, Math.floor((max - min) / 2)))}`;
    if (kind === 1) {
      const first = min + below(max - min);
      return `${first}-${first + below(max - first) + 1}`;
    }
    if (kind === 2) {
      const first = min + below(max - min);
      return `${first}-${first + below(max - first) + 1}/${1 + below(4)}`;
    }
    return Array.from({ length: 1 + below(3) }, () => min + below(max - min + 1)).join(",");
  };
  return () => {
    const minute = below(5) === 0 ? list(0, 59) : String(below(60));
    const hour = below(3) === 0 ? String(below(4)) : below(8) === 0 ? "*" : list(0, 23);
    const day = below(3) === 0 ? list(1, 28) : "*";
    const month = below(4) === 0 ? list(1, 12) : "*";
    const weekday = below(3) === 0 ? list(0, 6) : "*";
    return `${minute} ${hour} ${day} ${month} ${weekday}`;
  };
}

export interface Compared {
  readonly expressions: number;
  readonly moments: number;
  readonly differences: readonly string[];
}

/** Runs both ways over the same years and says where they part. */
export function compareCalendars(options: { seed: number; expressions: number; from: number; until: number; zones: readonly string[]; next: (expr: string, tz: string, after: number) => number | null; momentsMax?: number }): Compared {
  const { from, until, next } = options;
  const expression = randomExpressions(options.seed);
  const clocks = options.zones.map((zone) => ({ zone, walls: wallClock(zone, from, until) }));
  const differences: string[] = [];
  let moments = 0;
  for (let n = 0; n < options.expressions && differences.length < 10; n++) {
    const expr = expression();
    const { zone, walls } = clocks[n % clocks.length]!;
    const expected = bruteMoments(expr, walls, from);
    let at = from - 1;
    for (const moment of expected.slice(0, options.momentsMax ?? Infinity)) {
      const found = next(expr, zone, at);
      moments++;
      if (found !== moment) {
        differences.push(`${expr} in ${zone} after ${new Date(at).toISOString()}: ${found === null ? "none" : new Date(found).toISOString()}, by hand ${new Date(moment).toISOString()}`);
        break;
      }
      at = moment;
    }
  }
  return { expressions: options.expressions, moments, differences };
}
