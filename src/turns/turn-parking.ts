/**
 * A turn whose model call is parked: its deadlines rest at once; the store hears of it when the wait
 * is long enough for people to notice, and lends the turn's slot to others.
 *
 * Always true: what the store was told is taken back when the call goes on, in the order of telling.
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
  unpark(): Promise<boolean>;
  /** A slot was lent: somebody may start. */
  kick(): void;
}

export class TurnParking {
  readonly #deps: ParkingDeps;
  #disarm: () => void = () => {};
  #stored = false;

  constructor(deps: ParkingDeps) {
    this.#deps = deps;
  }

  parked(parking: Parking): void {
    this.#deps.watch.rest();
    this.#disarm();
    if (this.#stored) return;
    this.#disarm = this.#deps.clock.after(WAIT_NOTICE_MS, () => {
      this.#stored = true;
      this.#deps.park(parking).then(this.#deps.kick, (cause: unknown) => this.#deps.log.warn("turn.not-parked", { cause }));
    });
  }

  resumed(): void {
    this.#disarm();
    if (this.#stored) this.#deps.unpark().catch((cause: unknown) => this.#deps.log.warn("turn.not-unparked", { cause }));
    this.#stored = false;
    this.#deps.watch.resume();
  }

  /** The turn is over; the store knows that by itself. */
  stop(): void {
    this.#disarm();
  }
}
