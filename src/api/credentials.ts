/**
 * Who holds the token, and which pages have shown it.
 *
 * A pass is what a request or connection was let in with; it stays good only as long as the token
 * that it came from. The token itself is asked for anew each time, so a rotation counts at once.
 * Comparisons take the same time wherever the first difference is.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";

/** What someone was let in with. */
export interface Pass {
  readonly via: "token" | "page";
  /** Fingerprint of the token at that time. */
  readonly tokenMark: Buffer;
}

const PAGES_MAX = 100;
/** How long a page stays logged in, seconds. */
export const PAGE_SECONDS_MAX = 30 * 86_400;
const PAGE_ID_BYTES = 32;

interface Page {
  readonly pass: Pass;
  readonly openedAt: number;
}

export class Credentials {
  readonly #token: () => string;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  /** By fingerprint of the page's id, so that the ids themselves are nowhere; the oldest first. */
  readonly #pages = new Map<string, Page>();

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

  /** @returns null when no such page is logged in, or not any more. */
  passOfPage(pageId: string): Pass | null {
    const name = nameOf(pageId);
    const page = this.#pages.get(name);
    if (page === undefined) return null;
    if (this.isGood(page.pass) && this.#clock.now() - page.openedAt < PAGE_SECONDS_MAX * 1000) return page.pass;
    this.#pages.delete(name);
    return null;
  }

  /** False once the token has been changed. */
  isGood(pass: Pass): boolean {
    return timingSafeEqual(pass.tokenMark, markOf(this.#token()));
  }

  /** Logs a page in; the one that was logged in longest ago makes room. @returns the page's secret id. */
  openPage(pass: Pass): string {
    for (const [oldest] of this.#pages) {
      if (this.#pages.size < PAGES_MAX) break;
      this.#pages.delete(oldest);
    }
    const pageId = Buffer.from(this.#random(PAGE_ID_BYTES)).toString("base64url");
    this.#pages.set(nameOf(pageId), { pass: { via: "page", tokenMark: pass.tokenMark }, openedAt: this.#clock.now() });
    return pageId;
  }

  closePage(pageId: string): void {
    this.#pages.delete(nameOf(pageId));
  }
}

function markOf(secret: string): Buffer {
  return hash("sha256", secret, "buffer");
}

function nameOf(pageId: string): string {
  return markOf(pageId).toString("base64");
}
