/**
 * Stands between the callers and the database when the disk fails.
 *
 *     good ──no room──▶ full ──room again──▶ good
 *       └──a write or sync failed, the file is damaged──▶ failed      from either; only a new start leads out
 *
 * A reserve on disk is given up when the disk is full, so that what runs can end and can be stopped
 * meanwhile. Nothing new is taken in until the reserve is there again.
 *
 * Once a sync has failed, nobody can say what of the writes before it is on disk, and a second sync
 * would say "done" all the same. So nothing is tried again: every call from then on is refused.
 */
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { Fault, type FaultRecord } from "../../model/faults.ts";
import type { DiskState, StoreVerbs } from "../store.ts";
import { runBatch, type BatchAnswer, type VerbCall } from "./batch.ts";
import { reserveOf } from "./database.ts";
import type { Kernel } from "./kernel.ts";

/** Room for about a thousand small transactions. */
const RESERVE_BYTES = 4 * 1024 * 1024;
/** How soon a disk that was full, or refused the reserve, is tried again. */
const LOOK_EVERY_MS = 1_000;
const RETRY_AFTER_MS = 5_000;

/** What takes new work in, or starts it. */
const INTAKE: ReadonlySet<keyof StoreVerbs> = new Set(["acceptMessage", "steerSession", "admitSpawn", "retryTask", "openSession", "claimTurns"]);

export interface DiskGuardDeps {
  readonly kernel: Kernel;
  readonly file: string;
  readonly monotonic: () => number;
  readonly onState: (state: DiskState) => void;
}

export class DiskGuard {
  readonly #deps: DiskGuardDeps;
  readonly #reserve: string;
  #state: DiskState = { at: "good" };
  #lookAt = 0;

  constructor(deps: DiskGuardDeps) {
    this.#deps = deps;
    this.#reserve = reserveOf(deps.file);
  }

  get state(): DiskState["at"] {
    return this.#state.at;
  }

  /** Makes the reserve. Without room for it, the disk counts as full from the start. */
  prepare(): void {
    if (this.#state.at === "good" && !this.#makeReserve()) this.#become({ at: "full", problem: "there is no room for the reserve" });
  }

  run(calls: readonly VerbCall[]): BatchAnswer {
    if (this.#state.at === "failed") return refused(calls, this.#state.fault);
    if (this.#state.at === "full") this.#look();
    if (this.#state.at === "full") return this.#runWithoutIntake(calls, this.#state.problem);
    const { kernel, file } = this.#deps;
    const answer = this.#watch(runBatch(kernel, calls, file));
    if (this.state !== "full" || answer.events.length > 0 || answer.answers.some((each) => "value" in each)) return answer;
    // The whole batch failed for want of room, and there is some now.
    return this.#runWithoutIntake(calls, problemOf(answer));
  }

  #runWithoutIntake(calls: readonly VerbCall[], problem: string): BatchAnswer {
    const { kernel, file } = this.#deps;
    const intake = calls.filter(({ verb }) => INTAKE.has(verb));
    const rest = calls.filter(({ verb }) => !INTAKE.has(verb));
    const no = refused(intake, new Fault("DISK_FULL", { problem }, { retryAfterMs: RETRY_AFTER_MS }).toRecord());
    if (rest.length === 0) return no;
    const answer = this.#watch(runBatch(kernel, rest, file));
    return { ...answer, answers: [...answer.answers, ...no.answers] };
  }

  /** Draws the conclusions from how a batch went. */
  #watch(answer: BatchAnswer): BatchAnswer {
    for (const each of answer.answers) {
      if (!("fault" in each)) continue;
      const { fault } = each;
      if (fault.code === "STORE_IO" || fault.code === "STORE_CORRUPT") this.#become({ at: "failed", fault });
      else if (fault.code === "DISK_FULL" && this.#state.at === "good") {
        rmSync(this.#reserve, { force: true });
        this.#lookAt = this.#deps.monotonic() + LOOK_EVERY_MS;
        this.#become({ at: "full", problem: String(fault.details["problem"]) });
      }
    }
    return answer;
  }

  #look(): void {
    const now = this.#deps.monotonic();
    if (now < this.#lookAt || !this.#hasRoom()) return;
    if (this.#makeReserve()) this.#become({ at: "good" });
    else this.#lookAt = now + LOOK_EVERY_MS;
  }

  #become(state: DiskState): void {
    if (this.#state.at === state.at) return;
    this.#state = state;
    this.#deps.onState(state);
  }

  /** What the disk says; cheap, and true unless there are quotas. */
  #hasRoom(): boolean {
    const { bavail, bsize } = statfsSync(dirname(this.#deps.file));
    return bavail * bsize >= RESERVE_BYTES;
  }

  #makeReserve(): boolean {
    if (statSync(this.#reserve, { throwIfNoEntry: false })?.size === RESERVE_BYTES) return true;
    try {
      const handle = openSync(this.#reserve, "w", 0o600);
      try {
        const block = Buffer.alloc(RESERVE_BYTES / 16);
        for (let written = 0; written < RESERVE_BYTES; ) written += writeSync(handle, block, 0, Math.min(block.length, RESERVE_BYTES - written));
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
      return true;
    } catch {
      rmSync(this.#reserve, { force: true });
      return false;
    }
  }
}

function refused(calls: readonly VerbCall[], fault: FaultRecord): BatchAnswer {
  return { answers: calls.map(({ id }) => ({ id, fault })), events: [], stopped: [] };
}

function problemOf({ answers }: BatchAnswer): string {
  for (const each of answers) if ("fault" in each) return String(each.fault.details["problem"]);
  return "no room";
}
