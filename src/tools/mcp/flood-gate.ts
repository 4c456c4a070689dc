/** Says when a server sends more than anybody could want: one message too large, or too many in a second. */
import type { Clock } from "../../base/clock.ts";

/** One message, bytes. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Messages of any kind in one second. */
export const MESSAGES_PER_SECOND_MAX = 1_000;
const WINDOW_MS = 1_000;

export class FloodGate {
  readonly #clock: Clock;
  #windowFrom: number;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#windowFrom = clock.monotonic();
  }

  /** @returns what is wrong, or null. */
  message(): string | null {
    const now = this.#clock.monotonic();
    if (now - this.#windowFrom >= WINDOW_MS) [this.#windowFrom, this.#count] = [now, 0];
    return ++this.#count > MESSAGES_PER_SECOND_MAX ? `it sent more than ${MESSAGES_PER_SECOND_MAX} messages in a second` : null;
  }
}

export function tooLarge(): string {
  return `it sent a message of more than ${MESSAGE_BYTES_MAX} bytes`;
}
