/**
 * The world's time: one line of everything that is due, in order of time; what is due in the same
 * millisecond goes in an order that the seed decides.
 *
 * Nothing happens but through this line, so a run can be repeated exactly. Each gateway process has
 * a clock of its own over it: what a dead process had armed never fires, and what came due for a
 * paused one fires when it wakes.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Dice } from "./dice.ts";

const START_MS = 1_800_000_000_000;

interface Due {
  readonly atMs: number;
  readonly tie: number;
  readonly n: number;
  action: (() => void) | null;
}

export class Timeline {
  readonly #line: Due[] = [];
  readonly #dice: Dice;
  #nowMs = 0;
  #count = 0;
  /** How far the machine's calendar is off. */
  #wallOffMs = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  /** Milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get wallMs(): number {
    return START_MS + this.#nowMs + this.#wallOffMs;
  }

  /** Both clocks of the machine. */
  readonly clock: Pick<Clock, "now" | "monotonic"> = { now: () => this.wallMs, monotonic: () => this.#nowMs };

  /** Somebody sets the machine's clock; durations go on as they were. */
  jumpWall(byMs: number): void {
    this.#wallOffMs += byMs;
  }

  /** Calls `action` after a delay; the returned function takes it back. */
  after(delayMs: number, action: () => void): () => void {
    const due: Due = { atMs: this.#nowMs + Math.max(0, Math.ceil(delayMs)), tie: this.#dice.next(), n: ++this.#count, action };
    push(this.#line, due);
    return () => {
      due.action = null;
    };
  }

  /** Moves on to the next thing and does it. False when nothing is left before `untilMs`. */
  step(untilMs: number): boolean {
    for (;;) {
      const next = this.#line[0];
      if (next === undefined || next.atMs > untilMs) return false;
      pop(this.#line);
      if (next.action === null) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.action();
      return true;
    }
  }
}

/** The clock of one gateway process. */
export class ProcessClock implements Clock {
  readonly #timeline: Timeline;
  #state: "runs" | "paused" | "dead" = "runs";
  #waiting: (() => void)[] = [];

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  get isRunning(): boolean {
    return this.#state === "runs";
  }

  now(): number {
    return this.#timeline.wallMs;
  }

  monotonic(): number {
    return this.#timeline.nowMs;
  }

  after(delayMs: number, action: () => void): () => void {
    let taken = false;
    const disarm = this.#timeline.after(delayMs, () => {
      if (this.#state === "runs") action();
      else if (this.#state === "paused") this.#waiting.push(() => taken || action());
    });
    return () => {
      taken = true;
      disarm();
    };
  }

  pause(): void {
    this.#state = "paused";
  }

  wake(): void {
    if (this.#state !== "paused") return;
    this.#state = "runs";
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const action of waiting) this.after(0, action);
  }

  kill(): void {
    this.#state = "dead";
    this.#waiting = [];
  }
}

// ── a binary heap ───────────────────────────────────────────────────────────────────────────

function isBefore(a: Due, b: Due): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.tie !== b.tie ? a.tie < b.tie : a.n < b.n;
}

function push(heap: Due[], due: Due): void {
  let at = heap.push(due) - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (!isBefore(due, heap[above]!)) break;
    heap[at] = heap[above]!;
    at = above;
  }
  heap[at] = due;
}

function pop(heap: Due[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
    if (!isBefore(heap[below]!, last)) break;
    heap[at] = heap[below]!;
    at = below;
  }
  heap[at] = last;
}
