/**
 * When a job comes next.
 *
 * The library reads the expression and says which times of a wall clock it means; which moment such
 * a time is, is decided here, so that the changes of clocks follow one rule: a time that comes twice
 * counts once, the first; a time that is left out counts at the end of the gap.
 */
import { createHash } from "node:crypto";
import { Cron } from "croner";
import { Fault } from "../model/faults.ts";
import type { JobSpec, Schedule } from "../model/job.ts";
import type { NextMoment } from "../store/store.ts";
import { CivilTime } from "./civil-time.ts";

/** Expressions that are remembered. The library holds 80 KB for each; reading one again takes 50 µs. */
const EXPRESSIONS_MAX = 50;
const HOUR_MS = 3_600_000;

/** Whoever has a schedule may have a calendar; what it remembers is only to be quick. */
export class Calendar {
  readonly #expressions = new Map<string, Cron>();
  readonly civil = new CivilTime();

  /**
   * The first moment of a schedule after another; null = there is none any more.
   * @param anchor  where equal steps are counted from.
   * @throws {Fault} BAD_REQUEST for an expression or a zone that cannot be read.
   */
  next(schedule: Schedule, after: number, anchor: number): number | null {
    switch (schedule.kind) {
      case "at":
        return schedule.at > after ? schedule.at : null;
      case "every":
        return anchor + (Math.floor(Math.max(0, after - anchor) / schedule.everyMs) + 1) * schedule.everyMs;
      case "cron": {
        const wall = this.#expression(schedule.expr).nextRun(new Date(this.civil.furthestWall(schedule.tz, after)));
        return wall === null ? null : this.civil.instantOf(schedule.tz, wall.getTime());
      }
      case "task":
      case "file":
        return null;
    }
  }

  /** Moment and stagger. */
  moment(spec: JobSpec, at: number | null): NextMoment | null {
    return at === null ? null : { nextFor: at, dueAt: at + this.#stagger(spec, at) };
  }

  /** Minutes since midnight on the wall. */
  minuteOfDay(zone: string, at: number): number {
    const wall = this.civil.wallOf(zone, at);
    return Math.floor((wall % 86_400_000) / 60_000);
  }

  /** Spread over the minutes after a full hour, always the same for one job, so that not all begin at once. */
  #stagger({ name, staggerMs, schedule }: JobSpec, at: number): number {
    if (staggerMs === 0 || schedule.kind !== "cron" || this.civil.wallOf(schedule.tz, at) % HOUR_MS !== 0) return 0;
    return createHash("sha256").update(name).digest().readUInt32BE(0) % (staggerMs + 1);
  }

  #expression(expr: string): Cron {
    const known = this.#expressions.get(expr);
    if (known !== undefined) return known;
    try {
      const cron = new Cron(expr, { utcOffset: 0, mode: "5-or-6-parts" });
      if (this.#expressions.size >= EXPRESSIONS_MAX) this.#expressions.clear();
      this.#expressions.set(expr, cron);
      return cron;
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message.replace(/^CronPattern: /, "") : "cannot be read";
      throw new Fault("BAD_REQUEST", { where: "schedule.expr", problem: `${JSON.stringify(expr.slice(0, 80))} is no cron expression of 5 or 6 fields (${problem})` }, { cause });
    }
  }
}
