/**
 * The connections that stay open: event streams and sockets.
 *
 * One beat keeps all of them: it sends signs of life, ends those that stall, and closes those whose
 * token was changed, within {@link BEAT_MS}. Their number is bounded.
 */
import type { Clock } from "../base/clock.ts";
import { Fault } from "../model/faults.ts";

export const BEAT_MS = 3_000;
export const CONNECTIONS_MAX = 5_000;
/** Of these, those that have not shown the token yet. */
export const STRANGERS_MAX = 32;

export interface OpenConnection {
  /** True while it has not shown the token. */
  isStranger(): boolean;
  /** Called every {@link BEAT_MS}; `beat` counts from 1. */
  onBeat(beat: number): void;
  /** The gateway stops: say so and go. */
  close(): void;
}

export class OpenConnections {
  readonly #clock: Clock;
  readonly #open = new Set<OpenConnection>();
  #beat = 0;
  #stopBeat: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Is there room for one more? @throws {Fault} TOO_MANY_AT_ONCE */
  checkRoom(asStranger: boolean): void {
    if (asStranger && this.#strangers() >= STRANGERS_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "sockets without a token", max: STRANGERS_MAX });
    if (this.#open.size >= CONNECTIONS_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "open streams and sockets", max: CONNECTIONS_MAX });
  }

  /** @returns takes it out again. */
  add(connection: OpenConnection): () => void {
    this.#open.add(connection);
    if (this.#stopBeat === null) this.#nextBeat();
    return () => {
      this.#open.delete(connection);
      if (this.#open.size === 0) this.#endBeat();
    };
  }

  closeAll(): void {
    for (const connection of [...this.#open]) connection.close();
  }

  #strangers(): number {
    let strangers = 0;
    for (const connection of this.#open) if (connection.isStranger()) strangers++;
    return strangers;
  }

  #nextBeat(): void {
    this.#stopBeat = this.#clock.after(BEAT_MS, () => {
      this.#beat++;
      this.#nextBeat();
      for (const connection of [...this.#open]) connection.onBeat(this.#beat);
    });
  }

  #endBeat(): void {
    this.#stopBeat?.();
    this.#stopBeat = null;
  }
}
