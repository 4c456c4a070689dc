/**
 * The caller's side of a store: numbers calls, sends them in batches, and settles them as answers come.
 *
 * It knows the verbs by name only, so that the gateway's own thread loads nothing of what runs them.
 */
import type { TurnId } from "../../base/ids.ts";
import type { YardEvent } from "../../model/event.ts";
import { Fault } from "../../model/faults.ts";
import type { DiskState, Store } from "../store.ts";
import type { BatchAnswer, VerbCall } from "./batch.ts";

type VerbName = VerbCall["verb"];

export class StoreClient {
  readonly #send: (calls: VerbCall[]) => void;
  readonly #soon: (action: () => void) => void;
  readonly #pending = new Map<number, { resolve: (value: unknown) => void; reject: (cause: unknown) => void }>();
  readonly #onEvents = new Set<(events: readonly YardEvent[]) => void>();
  readonly #onStopped = new Set<(turns: readonly TurnId[]) => void>();
  readonly #onDisk = new Set<(state: DiskState) => void>();
  #lastId = 0;
  #outbox: VerbCall[] = [];
  #gone: unknown = undefined;
  /** The last that was heard of the disk; null = nothing but good. */
  #disk: DiskState | null = null;

  /** @param soon  when calls that were made together are sent. */
  constructor(send: (calls: VerbCall[]) => void, soon: (action: () => void) => void) {
    this.#send = send;
    this.#soon = soon;
  }

  call(verb: VerbName, input: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) return reject(this.#gone);
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      if (this.#outbox.push({ id, verb, input }) === 1) this.#soon(() => this.#flush());
    });
  }

  #flush(): void {
    const calls = this.#outbox;
    this.#outbox = [];
    this.#send(calls);
  }

  /** News first: when a verb resolves, its events have been seen. */
  answer({ answers, events, stopped }: BatchAnswer): void {
    if (stopped.length > 0) for (const listener of this.#onStopped) listener(stopped);
    if (events.length > 0) for (const listener of this.#onEvents) listener(events);
    for (const answer of answers) {
      const waiting = this.#pending.get(answer.id)!;
      this.#pending.delete(answer.id);
      if ("value" in answer) waiting.resolve(answer.value);
      else if ("fault" in answer) waiting.reject(Fault.fromRecord(answer.fault));
      else waiting.reject(new Error(`defect in the store: ${answer.defect}`));
    }
  }

  diskIs(state: DiskState): void {
    this.#disk = state;
    for (const listener of this.#onDisk) listener(state);
  }

  fail(cause: unknown): void {
    this.#gone ??= cause;
    for (const { reject } of this.#pending.values()) reject(cause);
    this.#pending.clear();
  }

  /** @param verbs  what the store at the other end can do. */
  asStore(verbs: readonly VerbName[], close: () => Promise<void>): Store {
    const methods = Object.fromEntries(verbs.map((verb) => [verb, (input: unknown) => this.call(verb, input)]));
    return {
      ...(methods as unknown as Store),
      onEvents: (listener) => subscribe(this.#onEvents, listener),
      onStopped: (listener) => subscribe(this.#onStopped, listener),
      onDisk: (listener) => {
        // The disk can have failed while the rest of the program was being loaded.
        if (this.#disk !== null) queueMicrotask(() => listener(this.#disk!));
        return subscribe(this.#onDisk, listener);
      },
      close,
    };
  }
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
