/**
 * Brings changed settings to the store, which decides by them, and tries again until they are there:
 * a disk that was full for a moment must not leave old sizes in force until the next change.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";

const RETRY_MS = 1_000;

export interface RulesKeeperDeps {
  /** Writes the rules as the settings have them at that moment. */
  readonly set: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export class RulesKeeper {
  readonly #deps: RulesKeeperDeps;
  #setting = false;
  #again = false;
  #stopped = false;
  #disarm: () => void = () => {};

  constructor(deps: RulesKeeperDeps) {
    this.#deps = deps;
  }

  /** The settings changed. At most one write is under way; changes meanwhile lead to one more. */
  changed(): void {
    if (this.#stopped) return;
    this.#disarm();
    this.#again = this.#setting;
    if (this.#setting) return;
    this.#setting = true;
    const { set, clock, log } = this.#deps;
    void set().then(
      () => this.#done(this.#again),
      (cause: unknown) => {
        log.error("rules.not-set", { cause, retryMs: RETRY_MS });
        this.#done(false);
        if (!this.#stopped) this.#disarm = clock.after(RETRY_MS, () => this.changed());
      },
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  #done(again: boolean): void {
    this.#setting = false;
    if (again) this.changed();
  }
}
