/**
 * Opens the store over SQLite: in a thread of its own for the gateway, or in this thread under any
 * clock for tests and the simulator. Both run the same batches over the same verbs.
 */
import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Clock } from "../../base/clock.ts";
import type { RandomBytes, TurnId } from "../../base/ids.ts";
import type { YardEvent } from "../../model/event.ts";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import type { DiskState, Store } from "../store.ts";
import { runBatch, type BatchAnswer, type VerbCall } from "./batch.ts";
import { openDatabase } from "./database.ts";
import { Kernel } from "./kernel.ts";
import { VERBS } from "./verbs.ts";

/** Young heap of the store's thread: its garbage is short-lived rows, and a small space keeps idle memory small. */
const YOUNG_HEAP_MB = 8;

/**
 * @param file  the database's path; it is made when it is not there.
 * @throws {Fault} what `openDatabase` throws.
 */
export async function openStore(file: string): Promise<Store> {
  const cacheDir = getCompileCacheDir();
  const script = import.meta.url.endsWith(".ts") ? "worker.ts" : "worker.js";
  const worker = new Worker(new URL("./worker-start.mjs", import.meta.url), {
    workerData: { file, script, compileCache: cacheDir === undefined ? null : dirname(cacheDir) },
    name: "store",
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_HEAP_MB },
  });
  const hello = await new Promise<{ ready: boolean; fault?: FaultRecord }>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  if (!hello.ready) {
    await worker.terminate();
    throw Fault.fromRecord(hello.fault!);
  }
  const closed = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  // One message to the thread for all that a round of the event loop asks: a message each costs as much as a small verb.
  const client = new StoreClient((calls) => worker.postMessage(calls), setImmediate);
  worker.on("message", (answer: BatchAnswer | { readonly disk: DiskState } | "closed") => {
    if (answer === "closed") return;
    if ("disk" in answer) client.diskIs(answer.disk);
    else client.answer(answer);
  });
  worker.on("error", (cause) => client.fail(cause));
  worker.on("exit", () => client.fail(new Fault("STORE_FAILED", { problem: "the store was closed" })));
  return client.asStore(async () => {
    setImmediate(() => worker.postMessage("close")); // after the calls that were made before it
    await closed;
  });
}

/** The same store without a thread. */
export function openStoreInProcess(options: { file?: string; clock: Clock; random: RandomBytes }): { store: Store; kernel: Kernel } {
  const file = options.file ?? ":memory:";
  const kernel = new Kernel(openDatabase(file), options.clock, options.random);
  const client: StoreClient = new StoreClient((calls) => client.answer(runBatch(kernel, calls, file)), queueMicrotask);
  return {
    kernel,
    store: client.asStore(async () => {
      kernel.db.close();
    }),
  };
}

/** The caller's side of a store: numbers calls, sends them in batches, and settles them as answers come. */
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

  /** @param soon  when calls that were made together are sent. */
  constructor(send: (calls: VerbCall[]) => void, soon: (action: () => void) => void) {
    this.#send = send;
    this.#soon = soon;
  }

  call(verb: keyof typeof VERBS, input: unknown): Promise<unknown> {
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
    for (const listener of this.#onDisk) listener(state);
  }

  fail(cause: unknown): void {
    this.#gone ??= cause;
    for (const { reject } of this.#pending.values()) reject(cause);
    this.#pending.clear();
  }

  asStore(close: () => Promise<void>): Store {
    const verbs = Object.fromEntries((Object.keys(VERBS) as (keyof typeof VERBS)[]).map((verb) => [verb, (input: unknown) => this.call(verb, input)]));
    return {
      ...(verbs as unknown as Store),
      onEvents: (listener) => subscribe(this.#onEvents, listener),
      onStopped: (listener) => subscribe(this.#onStopped, listener),
      onDisk: (listener) => subscribe(this.#onDisk, listener),
      close,
    };
  }
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
