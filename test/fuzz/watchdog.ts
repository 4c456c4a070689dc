/**
 * Ends the process when one input takes for ever, and names the batch that holds it: an endless loop
 * blocks the thread that runs it, so another one has to watch.
 */
import { writeSync } from "node:fs";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

/** The longest silence, milliseconds. */
const SILENCE_MS = 120_000;
const LOOK_MS = 2_000;

export interface Watchdog {
  watch(target: string, seed: number): void;
  beat(): void;
  stop(): void;
}

export function startWatchdog(): Watchdog {
  const worker = new Worker(new URL(import.meta.url));
  worker.unref();
  const beats = new Int32Array(new SharedArrayBuffer(4));
  return {
    watch(target, seed) {
      Atomics.store(beats, 0, 0);
      worker.postMessage({ beats, target, seed });
    },
    beat: () => void Atomics.add(beats, 0, 1),
    stop: () => void worker.terminate(),
  };
}

interface Watched {
  readonly beats: Int32Array;
  readonly target: string;
  readonly seed: number;
}

if (!isMainThread) {
  let watched: Watched | null = null;
  let last = -1;
  let silentMs = 0;
  parentPort!.on("message", (message: Watched) => {
    watched = message;
    last = -1;
  });
  setInterval(() => {
    if (watched === null) return;
    const now = Atomics.load(watched.beats, 0);
    silentMs = now === last ? silentMs + LOOK_MS : 0;
    last = now;
    if (silentMs < SILENCE_MS) return;
    writeSync(2, `HANG  ${watched.target}: again: node test/fuzz/run.ts --target ${watched.target} --replay ${watched.seed}:${Math.max(0, now - 1)}\n`);
    process.kill(process.pid, "SIGKILL");
  }, LOOK_MS);
}
