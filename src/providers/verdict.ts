/**
 * What to do after a failed attempt, as a table: which kind of failure it is, whether another
 * attempt makes sense, how long to wait before it, and which Fault the caller gets in the end.
 *
 * Pure: it knows nothing of clocks, sockets or settings beyond what it is given.
 */
import { Fault } from "../model/faults.ts";
import type { Failure } from "./failure.ts";
import { waitHintMs } from "./wait-hint.ts";

export const FAILURE_KINDS = ["rejected", "too-long", "auth", "quota", "limited", "overloaded", "failing", "refused", "nowhere", "cut-off", "broken", "timed-out"] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** Failures after which the provider may have counted tokens: it took the request and did not refuse it. */
export const MAY_BE_PAID: ReadonlySet<FailureKind> = new Set(["failing", "cut-off", "broken", "timed-out"]);

interface Policy {
  /** Attempts that end this way, in all; "setting" = models.retry.maxAttempts; null = only the waiting is bounded. */
  readonly attempts: number | "setting" | null;
  /** True when the provider's own wish for a wait counts. */
  readonly heedsHint: boolean;
}

const POLICIES: Readonly<Record<FailureKind, Policy>> = {
  rejected: { attempts: 1, heedsHint: false },
  "too-long": { attempts: 1, heedsHint: false },
  auth: { attempts: 1, heedsHint: false },
  quota: { attempts: 1, heedsHint: false },
  limited: { attempts: null, heedsHint: true },
  overloaded: { attempts: null, heedsHint: true },
  failing: { attempts: "setting", heedsHint: true },
  refused: { attempts: 3, heedsHint: false },
  nowhere: { attempts: 1, heedsHint: false },
  "cut-off": { attempts: "setting", heedsHint: false },
  broken: { attempts: 4, heedsHint: false },
  "timed-out": { attempts: 3, heedsHint: false },
};

const BY_STATUS: Readonly<Record<number, FailureKind>> = {
  401: "auth",
  402: "quota",
  403: "auth",
  408: "failing",
  409: "failing",
  425: "failing",
  429: "limited",
  529: "overloaded",
};

/** Words in an error body that say more than its status; the first that fits counts. */
const BY_BODY: readonly { readonly words: RegExp; readonly statuses: readonly number[]; readonly kind: FailureKind }[] = [
  { words: /insufficient_quota|credit balance is too low|billing_hard_limit|insufficient credits|payment required/i, statuses: [400, 402, 403, 429], kind: "quota" },
  { words: /context_length_exceeded|maximum context length|context window|prompt is too long|input is too long|context limit|input token count.{0,80}exceeds/i, statuses: [400, 413, 422, 500], kind: "too-long" },
  { words: /API_KEY_INVALID|API key not valid|API key expired|invalid api key/i, statuses: [400], kind: "auth" },
  { words: /request too large for/i, statuses: [429], kind: "rejected" },
];

/** By the system's name of a connection error. */
const BY_CODE: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: "refused",
  EHOSTUNREACH: "refused",
  ENETUNREACH: "refused",
  EAI_AGAIN: "refused",
  UND_ERR_CONNECT_TIMEOUT: "refused",
  ENOTFOUND: "nowhere",
  CERT_HAS_EXPIRED: "nowhere",
  DEPTH_ZERO_SELF_SIGNED_CERT: "nowhere",
  SELF_SIGNED_CERT_IN_CHAIN: "nowhere",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "nowhere",
  ERR_TLS_CERT_ALTNAME_INVALID: "nowhere",
  ERR_SSL_WRONG_VERSION_NUMBER: "nowhere",
  ECONNRESET: "cut-off",
  EPIPE: "cut-off",
  ETIMEDOUT: "cut-off",
  UND_ERR_SOCKET: "cut-off",
  UND_ERR_HEADERS_TIMEOUT: "timed-out",
  UND_ERR_BODY_TIMEOUT: "timed-out",
};

export function kindOf(failure: Failure): FailureKind {
  if (failure.missed !== undefined) return "timed-out";
  const { status, body, code } = failure;
  if (status !== undefined) {
    const told = BY_BODY.find((row) => row.statuses.includes(status) && row.words.test(body));
    return told?.kind ?? BY_STATUS[status] ?? (status >= 500 ? "failing" : "rejected");
  }
  return (code === undefined ? undefined : BY_CODE[code]) ?? "broken";
}

/** What happened to one call so far. */
export interface Tally {
  /** Attempts that ended in each kind of failure, the last one included. */
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
  readonly waitedMs: number;
}

export interface RetryLimits {
  readonly attemptsMax: number;
  readonly waitMsMax: number;
}

export type Verdict =
  | { readonly do: "retry"; readonly afterMs: number }
  | { readonly do: "give up"; readonly fault: Fault };

const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
/** Waits that a provider asked for get up to this much on top, so that not all come back at once. */
const HINT_JITTER_MS_MAX = 1000;

/**
 * Decides what comes after a failed attempt.
 * @param chance 0..1, spreads the waits.
 */
export function verdictOn(failure: Failure, kind: FailureKind, provider: string, tally: Tally, limits: RetryLimits, chance: number, nowMs: number): Verdict {
  const policy = POLICIES[kind];
  const sameKind = tally.failures[kind] ?? 1;
  const hint = policy.heedsHint ? waitHintMs(failure, nowMs) : undefined;
  const backoff = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(sameKind - 1, 16));
  // Half of the back-off is sure, half is chance. A hint is waited for in full.
  const afterMs = Math.round(hint === undefined ? backoff / 2 + (chance * backoff) / 2 : Math.max(hint, BACKOFF_BASE_MS / 2) + chance * Math.min(HINT_JITTER_MS_MAX, hint / 4));
  const exhausted = policy.attempts !== null && (countedAttempts(tally) >= limits.attemptsMax || (policy.attempts !== "setting" && sameKind >= policy.attempts));
  if (exhausted || tally.waitedMs + (hint ?? 0) > limits.waitMsMax || tally.waitedMs >= limits.waitMsMax) return { do: "give up", fault: faultFor(failure, kind, provider, tally, hint) };
  return { do: "retry", afterMs: Math.min(afterMs, limits.waitMsMax - tally.waitedMs) };
}

/** Attempts that used up one of those allowed; waiting for a rate limit does not. */
function countedAttempts(tally: Tally): number {
  let count = 0;
  for (const kind of FAILURE_KINDS) if (POLICIES[kind].attempts !== null) count += tally.failures[kind] ?? 0;
  return count;
}

function faultFor(failure: Failure, kind: FailureKind, provider: string, tally: Tally, hint: number | undefined): Fault {
  const { problem } = failure;
  const status = failure.status ?? 0;
  const options = hint === undefined ? {} : { retryAfterMs: hint };
  switch (kind) {
    case "rejected":
      return new Fault("PROVIDER_REJECTED", { provider, status, problem });
    case "too-long":
      return new Fault("CONTEXT_TOO_LONG", { provider, problem });
    case "auth":
      return new Fault("PROVIDER_AUTH", { provider, status });
    case "quota":
      return new Fault("PROVIDER_QUOTA", { provider, problem });
    case "limited":
      return new Fault("PROVIDER_RATE_LIMITED", { provider, waitedMs: tally.waitedMs }, options);
    case "overloaded":
    case "failing":
      return new Fault("PROVIDER_OVERLOADED", { provider, status }, options);
    case "refused":
    case "nowhere":
      return new Fault("PROVIDER_UNREACHABLE", { provider, problem });
    case "cut-off":
      return failure.began ? new Fault("PROVIDER_BROKEN_STREAM", { provider, problem }) : new Fault("PROVIDER_UNREACHABLE", { provider, problem });
    case "broken":
      return new Fault("PROVIDER_BROKEN_STREAM", { provider, problem });
    case "timed-out":
      return new Fault("PROVIDER_TIMED_OUT", { provider, deadline: failure.missed?.deadline ?? "connection", ms: failure.missed?.ms ?? 0 });
  }
}
