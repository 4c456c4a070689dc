/**
 * What went wrong with an attempt, read from whatever was thrown: an HTTP refusal, an error inside
 * a stream, a broken connection, a missed deadline, or an answer that makes no sense.
 */
import { isJsonObject } from "../base/json.ts";
import { redact } from "../base/redact.ts";

export interface Failure {
  /** HTTP status, or the one that an error inside the stream stands for. */
  readonly status?: number;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The system's name of a connection error, e.g. `ECONNREFUSED`. */
  readonly code?: string;
  readonly missed?: MissedDeadline;
  /** True when the provider had begun an answer before it broke. */
  readonly began: boolean;
  /** One line for a person, without secrets, at most 300 characters. */
  readonly problem: string;
}

export const PROBLEM_CHARACTERS_MAX = 300;
const BODY_CHARACTERS_MAX = 20_000;
const CAUSES_MAX = 8;

/** An attempt was ended because it took too long. */
export class MissedDeadline extends Error {
  override readonly name = "MissedDeadline";
  readonly deadline: string;
  readonly ms: number;
  constructor(deadline: string, ms: number) {
    super(`no progress: ${deadline}`);
    this.deadline = deadline;
    this.ms = ms;
  }
}

/** The provider answered, but not with what was asked for. */
export class BadAnswer extends Error {
  override readonly name = "BadAnswer";
}

/** The provider answered with a status that is no good one. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly statusCode: number;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly responseBody: string;
  constructor(status: number, headers: Readonly<Record<string, string>>, body: string) {
    super(`the provider answered ${status}`);
    this.statusCode = status;
    this.responseHeaders = headers;
    this.responseBody = body;
  }
}

/** Where an error in a stream does not say what it stands for. */
const STATUS_UNKNOWN = 500;

/** An error that came as an event of the answer; what it said is the `cause`. */
export class ErrorInStream extends Error {
  override readonly name = "ErrorInStream";

  /** What it is when nothing of an answer came before it. */
  asRefusal(headers: Readonly<Record<string, string>>): Error {
    return this.cause instanceof Error ? this : new Refused(statusOfError(this.cause) ?? STATUS_UNKNOWN, headers, stringify(this.cause));
  }
}

/** Error names that providers use inside streams, and the status that each stands for. */
const STATUS_OF_NAME: readonly (readonly [RegExp, number])[] = [
  [/insufficient_quota|billing/, 402],
  [/overloaded/, 529],
  [/rate_limit|too_many_requests|resource_exhausted/, 429],
  [/authentication|unauthenticated|invalid_api_key/, 401],
  [/permission/, 403],
  [/not_found/, 404],
  [/request_too_large/, 413],
  [/context_length|invalid_request|invalid_argument|invalid_prompt/, 400],
  [/timeout|deadline_exceeded/, 504],
  [/unavailable/, 503],
  [/server_error|api_error|internal/, 500],
];

/**
 * Reads a failure from anything that was thrown. Never throws.
 * @param mask takes secrets out of what is shown.
 */
export function readFailure(thrown: unknown, mask: (text: string) => string = redact): Failure {
  const told = thrown instanceof ErrorInStream ? thrown.cause : thrown;
  const chain = causes(told);
  const missed = chain.find((each) => each instanceof MissedDeadline);
  if (missed !== undefined) return { headers: {}, body: "", missed, began: false, problem: missed.message };

  const refusal = chain.map(fieldsOf).find((each) => each.statusCode !== undefined || each.responseBody !== "");
  const code = chain.map((each) => fieldsOf(each).code).find((each) => each !== undefined && /^[A-Z][A-Z0-9_]{3,}$/.test(each));
  const body = (refusal?.responseBody || (told instanceof Error ? "" : stringify(told))).slice(0, BODY_CHARACTERS_MAX);
  const began = thrown instanceof ErrorInStream;
  const status = refusal?.statusCode ?? statusOfError(told);
  return {
    headers: refusal?.responseHeaders ?? {},
    body,
    began,
    problem: problemOf(chain, body, mask),
    ...(status === undefined ? {} : { status }),
    ...(code === undefined ? {} : { code }),
  };
}

/** One line for a person: masked, without line breaks, cut. */
export function oneLine(text: string, mask: (text: string) => string = redact): string {
  const line = mask(text.toWellFormed().replace(/[\s\p{Cc}]+/gu, " ").trim());
  return line.length > PROBLEM_CHARACTERS_MAX ? `${line.slice(0, PROBLEM_CHARACTERS_MAX - 1).toWellFormed()}…` : line;
}

interface Fields {
  readonly statusCode: number | undefined;
  readonly responseBody: string;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly code: string | undefined;
}

/** The fields that the libraries' errors carry; they are told by their shape, not by their class. */
function fieldsOf(thrown: unknown): Fields {
  const source = (typeof thrown === "object" && thrown !== null ? thrown : {}) as Record<string, unknown>;
  return {
    statusCode: typeof source.statusCode === "number" ? source.statusCode : undefined,
    responseBody: typeof source.responseBody === "string" ? source.responseBody : "",
    responseHeaders: isJsonObject(source.responseHeaders) ? (source.responseHeaders as Record<string, string>) : {},
    code: typeof source.code === "string" ? source.code : undefined,
  };
}

function causes(thrown: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  let next = thrown;
  while (next !== undefined && next !== null && chain.length < CAUSES_MAX) {
    chain.push(next);
    const { cause, errors } = next as { cause?: unknown; errors?: unknown };
    next = cause ?? (Array.isArray(errors) ? (errors[0] as unknown) : undefined);
  }
  return chain;
}

function statusOfError(error: unknown): number | undefined {
  if (!isJsonObject(error) || error instanceof Error) return undefined;
  const inner = isJsonObject(error.error) ? error.error : isJsonObject(error.response) && isJsonObject(error.response.error) ? error.response.error : error;
  for (const number of [inner.statusCode, inner.code, inner.status]) {
    if (typeof number === "number" && number >= 400 && number < 600) return number;
  }
  const names = [inner.code, inner.type, inner.status].filter((name) => typeof name === "string").join(" ").toLowerCase();
  return STATUS_OF_NAME.find(([pattern]) => pattern.test(names))?.[1];
}

/** The provider's own words when its answer holds some, else what the library says. */
function problemOf(chain: readonly unknown[], body: string, mask: (text: string) => string): string {
  const said = messageIn(body);
  if (said !== undefined) return oneLine(said, mask);
  const innermost = chain.findLast((each) => each instanceof Error && each.message !== "");
  return oneLine(innermost instanceof Error ? innermost.message : body || "unknown error", mask);
}

function messageIn(body: string): string | undefined {
  if (body === "") return undefined;
  try {
    const value: unknown = JSON.parse(body);
    const outer = Array.isArray(value) ? (value[0] as unknown) : value;
    if (!isJsonObject(outer)) return body;
    const inner = isJsonObject(outer.error) ? outer.error : isJsonObject(outer.response) && isJsonObject(outer.response.error) ? outer.response.error : outer;
    if (typeof inner.message === "string") return inner.message;
    return typeof outer.error === "string" ? outer.error : body;
  } catch {
    return body;
  }
}

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return String(value);
  }
}
