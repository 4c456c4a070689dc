/**
 * Credentials that a provider refused (401, 402, 403): each rests for a while, for one model or for all, and the
 * operator is told once, until it works again.
 *
 * Kept by provider and secret: a new secret under an old name is a new credential.
 */
import type { Clock } from "../base/clock.ts";
import { Fault } from "../model/faults.ts";
import type { Account } from "./settings.ts";

/** How long a refused credential is not tried again. */
export const CLOSED_MS = 60_000;
const CLOSED_MAX = 2_000;

export interface Closed {
  /** By the clock that never goes back. */
  readonly until: number;
  readonly status: number;
}

export class ClosedCredentials {
  readonly #clock: Clock;
  readonly #closed = new Map<string, Closed>();
  readonly #toldOf = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A setting changed: one may have been mended. */
  reopen(): void {
    this.#closed.clear();
  }

  /** @returns whether nobody was told yet. */
  close(provider: string, account: Account, model: string | null, status: number): boolean {
    const key = keyOf(provider, account);
    this.#closed.set(model === null ? key : `${key}\0${model}`, { until: this.#clock.monotonic() + CLOSED_MS, status });
    if (this.#closed.size > CLOSED_MAX) this.#closed.delete(this.#closed.keys().next().value!);
    if (this.#toldOf.has(key)) return false;
    this.#toldOf.add(key);
    return true;
  }

  worked(provider: string, account: Account): void {
    if (this.#toldOf.size > 0) this.#toldOf.delete(keyOf(provider, account));
  }

  /** Whether it rests for this model; null = for all models. */
  find(provider: string, account: Account, model: string | null): Closed | undefined {
    if (this.#closed.size === 0) return undefined;
    const key = keyOf(provider, account);
    for (const found of [this.#closed.get(key), model === null ? undefined : this.#closed.get(`${key}\0${model}`)]) {
      if (found !== undefined && this.#clock.monotonic() < found.until) return found;
    }
    return undefined;
  }
}

/** Every credential was refused a moment ago. */
export function allClosed(provider: string, status: number): Fault {
  return status === 402 ? new Fault("PROVIDER_QUOTA", { provider, problem: "so it said less than a minute ago" }) : new Fault("PROVIDER_AUTH", { provider, status });
}

const keyOf = (provider: string, { key }: Account): string => `${provider}\0${key ?? ""}`;
