/** What a caller asks of the governor, what it gets, and what it tells at the end. */
import type { Parking } from "../model/parking.ts";
import type { Account } from "./settings.ts";

export interface CallAsk {
  readonly provider: string;
  readonly model: string;
  /** A person waits for the answer. */
  readonly person: boolean;
  /** Input and output, estimated; asked only when tokens are limited. */
  tokens(): number;
  readonly signal: AbortSignal;
  /** Its place in line, from an earlier `Admission` of the same call that ended in a refusal, or of {@link orderOfResumed}; without it, the end. */
  readonly order?: number;
  /** A wall that ends later than this from now is not waited for. */
  readonly patienceMs: number;
  /** The session that it works for, for listings. */
  readonly session?: string;
  /** Called once, when it has to wait. */
  onParked?(parking: Parking): void;
}

export type CallEnd =
  /** `tokens` as counted by the provider; null = it did not say. */
  | { readonly is: "ok"; readonly headers: Readonly<Record<string, string>>; readonly tokens: number | null }
  | Refusal
  /** The credential was refused; `all` = for every model. */
  | { readonly is: "refused"; readonly status: number; readonly all: boolean }
  /** Anything else: cancelled, cut off, rejected. */
  | { readonly is: "gone" };

/** The provider refuses for now; `waitMs` is what it asked for, null = it did not say. */
export interface Refusal {
  readonly is: "limited" | "overloaded";
  readonly headers: Readonly<Record<string, string>>;
  readonly waitMs: number | null;
}

/** The right to make one call with one account. `end` must be called once, whatever happens. */
export interface Admission {
  readonly account: Account;
  readonly order: number;
  /** The provider refused everybody the last time: until it takes this call, the caller counts as waiting still. */
  readonly isProbe: boolean;
  /** The provider takes the call: its answer begins. Others need not wait for its end. */
  taken(): void;
  /** @returns for a refusal, how long calls of this kind (a person's, or of the background) wait now. */
  end(end: CallEnd): number;
}

/** The place in line of a call that a restart cut off: before all that came since, in the order in which their work began. */
export function orderOfResumed(beganAt: number): number {
  return beganAt - Number.MAX_SAFE_INTEGER;
}
