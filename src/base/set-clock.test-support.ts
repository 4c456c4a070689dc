/** For tests of what happens when somebody sets the clock on the wall. */
import { ManualClock } from "./clock.ts";

/** A clock whose wall time somebody sets. */
export class SetClock extends ManualClock {
  setByMs = 0;
  override now(): number {
    return super.now() + this.setByMs;
  }
}
