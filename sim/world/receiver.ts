/**
 * Whoever gets results at a web address: takes them, refuses them, breaks off, or says nothing. It
 * outlives every process and remembers what it took.
 */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../src/base/clock.ts";
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import type { PostRequest } from "../../src/trees/courier.ts";
import { Dice } from "./dice.ts";

/** A public address that is no name, so that nothing is looked up. */
export const HOOK_URL = "http://93.184.216.34/hook";

export interface ReceiverDeps {
  readonly seed: number;
  readonly observer: Kernel;
  readonly report: (violation: string) => void;
}

export class Receiver {
  readonly #deps: ReceiverDeps;
  /** What was posted under each id, and whether it was taken. */
  readonly #posted = new Map<string, { readonly body: string; times: number; taken: boolean }>();
  healed = false;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
  }

  /**
   * The way to it from one process. One that was paused and lost its place may still post what it took
   * out before; the receiver knows it by its id.
   */
  post(clock: Clock, hasItsPlace: () => boolean): PostRequest {
    return (_url, _addresses, { headers, body, signal, onSent }) =>
      new Promise((resolve, reject) => {
        const id = String(headers["idempotency-key"]);
        const text = String(body);
        const { seed, report } = this.#deps;
        const before = this.#posted.get(id);
        const known = before ?? { body: text, times: 0, taken: false };
        this.#posted.set(id, known);
        known.times++;
        if (known.body !== text) report(`delivery ${id} is posted with other words than before`);
        if (hasItsPlace() && this.#stateOf(id) !== "dispatching") report(`delivery ${id} is posted while it is ${this.#stateOf(id)}`);
        const dice = new Dice(seed, "receiver", JSON.parse(text).task.label, known.times);
        const how = this.healed ? "takes" : dice.weighted({ takes: 5, "takes and breaks off": 1, fails: 2, "breaks off": 1, silent: 1, refuses: 0.5 });
        const disarm = clock.after(dice.whole(0, 2_000), () => {
          if (how !== "breaks off") onSent?.();
          if (how === "takes" || how === "takes and breaks off") known.taken = true;
          if (how === "silent") return;
          signal.removeEventListener("abort", onAbort);
          if (how.endsWith("breaks off")) reject(Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }));
          else resolve(answer(how === "takes" ? 204 : how === "fails" ? 503 : 410));
        });
        function onAbort(): void {
          disarm();
          reject(signal.reason);
        }
        signal.addEventListener("abort", onAbort, { once: true });
      });
  }

  /** Ids of results that were given up; where there are none, of all that were ever posted. */
  again(): readonly string[] {
    const givenUp = this.#deps.observer.all("SELECT id FROM delivery WHERE state IN ('rejected', 'unknown') ORDER BY n").map(({ id }) => String(id));
    return givenUp.length > 0 ? givenUp : [...this.#posted.keys()];
  }

  /** What is said of each delivery is what became of it. */
  violations(isOver: boolean): string[] {
    return this.#deps.observer.all("SELECT id, state, attempts FROM delivery").flatMap(({ id, state }) => {
      const posted = this.#posted.get(id);
      if (state === "delivered" && posted?.taken !== true) return [`delivery ${id} is said to be delivered, and was not taken`];
      if (state === "rejected" && posted?.taken === true) return [`delivery ${id} is said to be rejected, and was taken`];
      return isOver && (state === "prepared" || state === "dispatching") ? [`delivery ${id} is still ${state}`] : [];
    });
  }

  #stateOf(id: string): string {
    return String(this.#deps.observer.get("SELECT state FROM delivery WHERE id = ?", id)?.["state"] ?? "unknown to the store");
  }
}

function answer(statusCode: number): IncomingMessage {
  return { statusCode, headers: {}, destroy() {} } as unknown as IncomingMessage;
}
