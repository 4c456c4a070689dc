/**
 * The one place that decides who gets in.
 *
 * Order: the name that we are called by, the page that asks, the credential. An Authorization
 * header decides alone when it is there; a wrong one is not made good by a cookie. A cookie alone
 * changes nothing without the header that only our own page can send.
 */
import { Fault } from "../model/faults.ts";
import type { Credentials, Pass } from "./credentials.ts";
import type { GuessLimit } from "./guess-limit.ts";
import type { Places } from "./places.ts";

export const PAGE_COOKIE = "yard_session";
/** Sent by our page with every change; a foreign page cannot send it unasked. */
export const PAGE_HEADER = "x-yard";

/** What the guard looks at of a request. */
export interface Knock {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Where it really came from; forwarding headers count for nothing. */
  readonly address: string;
  /** True when it asks for a socket. */
  readonly socket: boolean;
}

export class Guard {
  readonly #places: Places;
  readonly #credentials: Credentials;
  readonly #guesses: GuessLimit;

  constructor(places: Places, credentials: Credentials, guesses: GuessLimit) {
    this.#places = places;
    this.#credentials = credentials;
    this.#guesses = guesses;
  }

  /** @throws {Fault} HOST_REFUSED, ORIGIN_REFUSED */
  checkPlace(knock: Knock): void {
    this.#places.check({ host: oneOf(knock.headers["host"]), origin: oneOf(knock.headers["origin"]) });
  }

  /** @throws {Fault} UNAUTHORIZED, TOO_MANY_GUESSES */
  passOf(knock: Knock): Pass {
    const pass = this.passIfShown(knock);
    if (pass === null) throw new Fault("UNAUTHORIZED", { reason: "this needs the gateway's token" });
    return pass;
  }

  /** As {@link passOf}, but null when no credential was shown at all. */
  passIfShown(knock: Knock): Pass | null {
    const authorization = oneOf(knock.headers["authorization"]);
    if (authorization !== undefined) return this.passOfToken(BEARER.exec(authorization)?.[1] ?? "", knock.address);
    const pageId = pageIdIn(oneOf(knock.headers["cookie"]));
    const pass = pageId === null ? null : this.#credentials.passOfPage(pageId);
    if (pass === null) return null;
    if (knock.socket) return this.#fromOwnPage(knock) ? pass : null;
    if (isChange(knock.method) && knock.headers[PAGE_HEADER] === undefined) {
      throw new Fault("UNAUTHORIZED", { reason: `a change by a page needs the header ${PAGE_HEADER}: 1` });
    }
    return pass;
  }

  /** @throws {Fault} UNAUTHORIZED, TOO_MANY_GUESSES */
  passOfToken(candidate: string, address: string): Pass {
    const pass = this.#credentials.passOfToken(candidate);
    if (pass !== null) return pass;
    throw this.wrongGuess(address);
  }

  /** What someone is told who showed a wrong token, which counts against them. */
  wrongGuess(address: string): Fault {
    const waitMs = this.#guesses.wrong(address);
    return waitMs > 0 ? new Fault("TOO_MANY_GUESSES", { waitMs }, { retryAfterMs: waitMs }) : new Fault("UNAUTHORIZED", { reason: "the token is wrong" });
  }

  /** False once the token that it was given for has been changed. */
  isGood(pass: Pass): boolean {
    return this.#credentials.isGood(pass);
  }

  /** Browsers name the page that opens a socket; one that names none is no browser and has no business with a cookie. */
  #fromOwnPage(knock: Knock): boolean {
    const origin = oneOf(knock.headers["origin"]);
    return origin !== undefined && this.#places.isOwnOrigin(origin);
  }
}

const BEARER = /^Bearer +(\S+) *$/i;

/** The page's id in a Cookie header. */
export function pageIdIn(cookies: string | undefined): string | null {
  for (const cookie of (cookies ?? "").split(";")) {
    const [name, value] = cookie.trim().split("=", 2);
    if (name === PAGE_COOKIE && value !== undefined && value !== "") return value;
  }
  return null;
}

function isChange(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** A header that came twice is taken as what its parts make together, which then matches nothing. */
function oneOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(", ") : header;
}
