/**
 * What to do after a failed attempt, as a table: which kind of failure it is, whether another
 * attempt makes sense, who waits how long before it, whether another credential or another model may
 * cure it, and which Fault the caller gets in the end.
 *
 * Pure: it knows nothing of clocks, sockets or settings beyond what it is given.
 */
import { Fault, type FaultCode } from "../model/faults.ts";
import type { Failure } from "./failure.ts";
import { waitHintMs } from "./wait-hint.ts";

export const FAILURE_KINDS = ["rejected", "missing", "too-long", "auth", "quota", "limited", "overloaded", "failing", "refused", "nowhere", "cut-off", "broken", "timed-out"] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** Failures after which the provider may have counted tokens: it took the request and did not refuse it. */
export const MAY_BE_PAID: ReadonlySet<FailureKind> = new Set(["failing", "cut-off", "broken", "timed-out"]);

type ProviderFault = "PROVIDER_AUTH" | "PROVIDER_QUOTA" | "PROVIDER_RATE_LIMITED" | "PROVIDER_OVERLOADED" | "PROVIDER_UNREACHABLE" | "PROVIDER_REJECTED" | "PROVIDER_MODEL_MISSING" | "PROVIDER_BROKEN_STREAM" | "PROVIDER_TIMED_OUT" | "CONTEXT_TOO_LONG";

export interface Policy {
  /** Attempts that end this way, in all; "setting" = models.retry.maxAttempts; null = only the waiting is bounded. */
  readonly attempts: number | "setting" | null;
  /** True when the provider's own wish for a wait counts. */
  readonly heedsHint: boolean;
  /** Who waits: this call alone, or everybody who would use the same account and model. */
  readonly waits: "call" | "everybody";
  /** True when another credential of the same provider may cure it. */
  readonly rotates: boolean;
  /** True when another model may cure it. Not what a person must mend, nor what any model would refuse. */
  readonly fallsBack: boolean;
  /** What the caller gets when it is given up. */
  readonly fault: ProviderFault;
}

const GIVES_UP = { attempts: 1, heedsHint: false, waits: "call", rotates: false, fallsBack: false } as const;

/** What each kind of failure leads to. */
export const POLICIES: Readonly<Record<FailureKind, Policy>> = {
  rejected: { ...GIVES_UP, fault: "PROVIDER_REJECTED" },
  missing: { ...GIVES_UP, fallsBack: true, fault: "PROVIDER_MODEL_MISSING" },
  "too-long": { ...GIVES_UP, fault: "CONTEXT_TOO_LONG" },
  auth: { ...GIVES_UP, rotates: true, fault: "PROVIDER_AUTH" },
  quota: { ...GIVES_UP, rotates: true, fallsBack: true, fault: "PROVIDER_QUOTA" },
  limited: { attempts: null, heedsHint: true, waits: "everybody", rotates: true, fallsBack: true, fault: "PROVIDER_RATE_LIMITED" },
  overloaded: { attempts: null, heedsHint: true, waits: "everybody", rotates: true, fallsBack: true, fault: "PROVIDER_OVERLOADED" },
  failing: { ...GIVES_UP, attempts: "setting", heedsHint: true, fallsBack: true, fault: "PROVIDER_OVERLOADED" },
  refused: { ...GIVES_UP, attempts: 3, fallsBack: true, fault: "PROVIDER_UNREACHABLE" },
  nowhere: { ...GIVES_UP, fallsBack: true, fault: "PROVIDER_UNREACHABLE" },
  "cut-off": { ...GIVES_UP, attempts: "setting", fallsBack: true, fault: "PROVIDER_UNREACHABLE" },
  broken: { ...GIVES_UP, attempts: 4, fallsBack: true, fault: "PROVIDER_BROKEN_STREAM" },
  "timed-out": { ...GIVES_UP, attempts: 3, fallsBack: true, fault: "PROVIDER_TIMED_OUT" },
};

/** Faults that another model may be free of. */
export const CURED_BY_ANOTHER_MODEL: ReadonlySet<FaultCode> = new Set(Object.values(POLICIES).flatMap(({ fallsBack, fault }) => (fallsBack ? [fault] : [])));

const BY_STATUS: Readonly<Record<number, FailureKind>> = {
  401: "auth",
  402: "quota",
  403: "auth",
  404: "missing",
  408: "failing",
  409: "failing",
  425: "failing",
  429: "limited",
  529: "overloaded",
};

/** Words in an error body that say more than its status; the first that fits counts. */
const BY_BODY: readonly { readonly words: RegExp; readonly statuses: readonly number[]; readonly kind: FailureKind }[] = [
  { words: /insufficient_quota|credit balance is too low|billing_hard_limit|insufficient credits|payment required/i, statuses: [400, 402, 403, 429], kind: "quota" },
  { words: /model_not_found|"?model"?.{0,80}(?:does not exist|not found|is not supported)/i, statuses: [400, 403], kind: "missing" },
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
  /** The account is closed to everybody for now (`waitMs` as the provider wishes; null = it did not say). */
  | { readonly do: "wall"; readonly waitMs: number | null }
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
  const exhausted = policy.attempts !== null && (countedAttempts(tally) >= limits.attemptsMax || (policy.attempts !== "setting" && sameKind >= policy.attempts));
  if (exhausted || tally.waitedMs + (hint ?? 0) > limits.waitMsMax || tally.waitedMs >= limits.waitMsMax) return { do: "give up", fault: faultFor(failure, kind, provider, tally, hint) };
  if (policy.waits === "everybody") return { do: "wall", waitMs: hint ?? null };
  // Half of the back-off is sure, half is chance. A hint is waited for in full.
  const afterMs = Math.round(hint === undefined ? backoff / 2 + (chance * backoff) / 2 : Math.max(hint, BACKOFF_BASE_MS / 2) + chance * Math.min(HINT_JITTER_MS_MAX, hint / 4));
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
  const code = kind === "cut-off" && failure.began ? "PROVIDER_BROKEN_STREAM" : POLICIES[kind].fault;
  switch (code) {
    case "PROVIDER_AUTH":
      return new Fault(code, { provider, status });
    case "PROVIDER_RATE_LIMITED":
      return new Fault(code, { provider, waitedMs: tally.waitedMs }, options);
    case "PROVIDER_OVERLOADED":
      return new Fault(code, { provider, status }, options);
    case "PROVIDER_TIMED_OUT":
      return new Fault(code, { provider, deadline: failure.missed?.deadline ?? "connection", ms: failure.missed?.ms ?? 0 });
    case "PROVIDER_REJECTED":
    case "PROVIDER_MODEL_MISSING":
      return new Fault(code, { provider, status, problem });
    default:
      return new Fault(code, { provider, problem });
  }
}
