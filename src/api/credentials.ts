/**
 * Who holds the token, and which pages have shown it.
 *
 * A pass is what a request or connection was let in with; it stays good only as long as the token
 * that it came from. The token itself is asked for anew each time, so a rotation counts at once.
 * Comparisons take the same time wherever the first difference is.
 */
import { createHmac, hash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";

/** What someone was let in with. */
export interface Pass {
  readonly via: "token" | "page";
  /** Fingerprint of the token at that time. */
  readonly tokenMark: Buffer;
}

/** How long a page stays logged in, seconds. */
export const PAGE_SECONDS_MAX = 30 * 86_400;
const NONCE_BYTES = 18;
/** Logged-out pages remembered; older ones have run out or come back only with a stolen cookie. */
const CLOSED_MAX = 1_000;

export class Credentials {
  readonly #token: () => string;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  /** Pages that were logged out, by fingerprint; the oldest first. */
  readonly #closed = new Set<string>();

  constructor(token: () => string, clock: Clock, random: RandomBytes) {
    this.#token = token;
    this.#clock = clock;
    this.#random = random;
  }

  /** @returns null when it is not the token. An empty token opens nothing. */
  passOfToken(candidate: string): Pass | null {
    const token = this.#token();
    const tokenMark = markOf(token);
    if (!timingSafeEqual(markOf(candidate), tokenMark) || token === "") return null;
    return { via: "token", tokenMark };
  }

  /** @returns null when the page was not logged in with this token, was logged out, or its time is over. */
  passOfPage(pageId: string): Pass | null {
    const [until = "", nonce = "", seal = ""] = pageId.split(".");
    if (this.#token() === "" || !timingSafeEqual(markOf(seal), markOf(this.#seal(until, nonce)))) return null;
    if (Number(until) <= this.#clock.now() || this.#closed.has(nameOf(pageId))) return null;
    return { via: "page", tokenMark: markOf(this.#token()) };
  }

  /** False once the token has been changed. */
  isGood(pass: Pass): boolean {
    return timingSafeEqual(pass.tokenMark, markOf(this.#token()));
  }

  /**
   * Logs a page in. Its id is sealed with the token, so it outlives a restart of the gateway and
   * dies with a rotation. @returns the page's secret id.
   */
  openPage(): string {
    const until = String(this.#clock.now() + PAGE_SECONDS_MAX * 1000);
    const nonce = Buffer.from(this.#random(NONCE_BYTES)).toString("base64url");
    return `${until}.${nonce}.${this.#seal(until, nonce)}`;
  }

  closePage(pageId: string): void {
    for (const oldest of this.#closed) {
      if (this.#closed.size < CLOSED_MAX) break;
      this.#closed.delete(oldest);
    }
    this.#closed.add(nameOf(pageId));
  }

  #seal(until: string, nonce: string): string {
    return createHmac("sha256", this.#token()).update(`page ${until} ${nonce}`).digest("base64url");
  }
}

function markOf(secret: string): Buffer {
  return hash("sha256", secret, "buffer");
}

function nameOf(pageId: string): string {
  return markOf(pageId).toString("base64");
}
