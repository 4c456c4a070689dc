/**
 * Memory: a harness starts when the machine has room for what it is expected to take.
 *
 * Always true: a start that was let in counts with its forecast until it says that it is settled,
 * so that several at once do not all count on the same room; who waits is let in in order; every
 * wait is bounded, and shown.
 */
import { sleep, type Clock } from "../../base/clock.ts";
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { HarnessWait } from "../../model/harness.ts";

/** How often a waiting start looks again, milliseconds. */
const LOOK_MS = 500;

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly availableMb: () => number;
  readonly reserveMb: () => number;
  readonly waitMs: () => number;
  /** Ends the harness that has been idle longest; false when none is. */
  readonly makeRoom: () => boolean;
}

interface Waiting {
  readonly key: SessionKey;
  readonly harness: string;
  readonly needsMb: number;
  readonly since: number;
}

export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #line: Waiting[] = [];
  /** Forecasts of starts that are not settled yet. */
  #promisedMb = 0;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  waiting(): readonly HarnessWait[] {
    const now = this.#deps.clock.monotonic();
    return this.#line.map(({ key, harness, needsMb, since }) => ({ key, harness, needsMb, availableMb: this.#free(), waitedMs: Math.round(now - since) }));
  }

  /**
   * @returns call it when the start is over, whatever its outcome.
   * @throws {Fault} ACP_NO_MEMORY; the signal's reason when aborted.
   */
  async enter(request: { key: SessionKey; harness: string; needsMb: number; signal: AbortSignal }): Promise<() => void> {
    const { clock } = this.#deps;
    const { key, harness, needsMb, signal } = request;
    const place: Waiting = { key, harness, needsMb, since: clock.monotonic() };
    this.#line.push(place);
    try {
      while (this.#line[0] !== place || this.#free() < needsMb) {
        if (this.#line[0] === place) this.#deps.makeRoom();
        if (clock.monotonic() - place.since >= this.#deps.waitMs()) throw new Fault("ACP_NO_MEMORY", { agent: harness, needsMb, availableMb: Math.max(0, this.#free()) });
        await sleep(clock, LOOK_MS, signal);
      }
    } finally {
      this.#line.splice(this.#line.indexOf(place), 1);
    }
    this.#promisedMb += needsMb;
    let settled = false;
    return () => {
      if (!settled) this.#promisedMb -= needsMb;
      settled = true;
    };
  }

  #free(): number {
    return this.#deps.availableMb() - this.#deps.reserveMb() - this.#promisedMb;
  }
}
