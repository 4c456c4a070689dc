/**
 * A turn whose model call is parked: its deadlines rest at once; the store hears of it when the wait
 * is long enough for people to notice, and lends the turn's slot to others.
 *
 * Always true: what the store was told is taken back when the call goes on, in the order of telling,
 * and as often as it takes: a turn that stayed parked would have no deadline and lend a slot that it uses.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { WAIT_NOTICE_MS } from "../model/lane.ts";
import type { Parking } from "../model/parking.ts";
import type { TurnWatch } from "./turn-watch.ts";

interface ParkingDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly watch: TurnWatch;
  park(parking: Parking): Promise<boolean>;
  /** Tried until it is on disk. */
  unpark(): Promise<boolean>;
  /** A slot was lent: somebody may start. */
  kick(): void;
}

export class TurnParking {
  readonly #deps: ParkingDeps;
  #disarm: () => void = () => {};
  #stored = false;
  /** The newest word to the store. */
  #told: Promise<unknown> = Promise.resolve();

  constructor(deps: ParkingDeps) {
    this.#deps = deps;
  }

  parked(parking: Parking): void {
    this.#deps.watch.rest();
    this.#disarm();
    if (this.#stored) return;
    this.#disarm = this.#deps.clock.after(WAIT_NOTICE_MS, () => {
      this.#stored = true;
      this.#tell(() => this.#deps.park(parking).then(this.#deps.kick));
    });
  }

  resumed(): void {
    this.#disarm();
    if (this.#stored) this.#tell(() => this.#deps.unpark());
    this.#stored = false;
    this.#deps.watch.resume();
  }

  /** The turn is over; the store knows that by itself. */
  stop(): void {
    this.#disarm();
  }

  /** One after the other, so that a word that had to be said again does not undo a later one. */
  #tell(say: () => Promise<unknown>): void {
    this.#told = this.#told.then(say).catch((cause: unknown) => this.#deps.log.warn("turn.parking-not-told", { cause }));
  }
}
