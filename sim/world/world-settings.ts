/** Settings that a world holds in memory: what a seed drew, and what its actions change. */
import type { Setting, Settings } from "../../src/base/setting.ts";

export class WorldSettings implements Settings {
  readonly #values = new Map<string, unknown>();
  readonly #listeners = new Set<() => void>();

  get<T>(setting: Setting<T>): T {
    return this.#values.has(setting.key) ? (this.#values.get(setting.key) as T) : setting.fallback;
  }

  isSet(setting: Setting<unknown>): boolean {
    return this.#values.has(setting.key);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set<T>(setting: Setting<T>, value: T): void {
    this.#values.set(setting.key, value);
    for (const listener of this.#listeners) listener();
  }

  /** The process that listened is gone. */
  forgetListeners(): void {
    this.#listeners.clear();
  }
}
