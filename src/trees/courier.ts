/**
 * Posts the results of children, and of runs of jobs, to the addresses that were named for them.
 *
 * Always true:
 *   - a result is posted under one id, whatever fails: the receiver can drop a second copy
 *   - what is on its way is written down before it leaves; after a crash it is posted again, since
 *     nobody can know whether it arrived
 *   - the address is the one of the spawn; redirects are not followed
 *   - the number of attempts and the time of each are bounded; what is given up is told to the person
 *
 * One loop hands them out; a receiver that is slow holds up only its own.
 */
import { sleep, type Clock } from "../base/clock.ts";
import type { RandomBytes } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { AttemptEnd, Delivery } from "../model/delivery.ts";
import { Fault } from "../model/faults.ts";
import type { ClaimedDelivery, Store } from "../store/store.ts";
import { checkedAddresses, checkedUrl, connectionProblem, pinnedRequest, systemResolve, type Resolve } from "../tools/checked-address.ts";
import { resultBody } from "./result-body.ts";
import { webhookAllowPrivate, webhookAttempts, webhookRetryMs, webhookSecret, webhookTimeoutSeconds } from "./settings.ts";
import { signature } from "./webhook-signature.ts";

/** Requests at one moment. */
const AT_ONCE_MAX = 8;
const PAUSE_MAX_MS = 600_000;
/** The longest Retry-After that is honoured. */
const RETRY_AFTER_MAX_SECONDS = 3_600;
/** The loop looks again this late after the store refused it, e.g. while the disk is full. */
const STORE_RETRY_MS = 1_000;
const DEAF_MS_MAX = 60_000;

export interface CourierDeps {
  readonly store: Pick<Store, "claimDeliveries" | "settleDelivery" | "recoverDeliveries" | "returnDeliveries" | "retryDelivery">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  /** The secret when the settings name none. */
  readonly ownSecret: () => string;
  readonly resolve?: Resolve;
  /** How a request leaves; worlds have receivers of their own. */
  readonly post?: PostRequest;
}

export type PostRequest = typeof pinnedRequest;

export class Courier {
  readonly #deps: CourierDeps;
  readonly #onWay = new Map<string, Promise<void>>();
  /** A claim was told that it had failed, and may have taken something all the same. */
  #claimFailed = false;
  #closing = new AbortController();
  #running: Promise<void> | null = null;
  #wake: () => void = () => {};
  #asked = false;

  constructor(deps: CourierDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    this.#closing = new AbortController();
    const recovered = await this.#deps.store.recoverDeliveries();
    if (recovered > 0) this.#deps.log.info("deliveries.recovered", { recovered });
    this.#running = this.#loop();
  }

  /** Something may be due now. */
  kick(): void {
    this.#asked = true;
    this.#wake();
  }

  /** Posts a result that was given up once more, under its old id; null = there is no such delivery. @throws {Fault} DELIVERY_NOT_OVER */
  async resend(id: string): Promise<Delivery | null> {
    const delivery = await this.#deps.store.retryDelivery(id);
    this.kick();
    return delivery;
  }

  /** What is on its way is broken off; the next start posts it again. */
  async stop(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#running;
    await Promise.all(this.#onWay.values());
  }

  async #loop(): Promise<void> {
    const { store, clock, log } = this.#deps;
    while (!this.#closing.signal.aborted) {
      this.#asked = false;
      try {
        if (this.#claimFailed) await store.returnDeliveries({ except: [...this.#onWay.keys()] });
        this.#claimFailed = false;
        const { claimed, nextAt } = await store.claimDeliveries({ limit: AT_ONCE_MAX - this.#onWay.size });
        for (const one of claimed) this.#send(one);
        const isFull = this.#onWay.size >= AT_ONCE_MAX;
        await this.#rest(isFull ? DEAF_MS_MAX : Math.min(DEAF_MS_MAX, (nextAt ?? Infinity) - clock.now()));
      } catch (cause) {
        log.warn("deliveries.not-claimed", { cause });
        this.#claimFailed = true;
        await sleep(clock, STORE_RETRY_MS, this.#closing.signal).catch(() => {});
      }
    }
  }

  /** Until it is asked, stopped, or the time is over. */
  async #rest(ms: number): Promise<void> {
    if (this.#asked || this.#closing.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const disarm = this.#deps.clock.after(Math.max(0, ms), resolve);
    await promise;
    disarm();
    this.#wake = () => {};
  }

  #send(claimed: ClaimedDelivery): void {
    const id = claimed.delivery.deliveryId;
    const work = this.#attempt(claimed)
      .then((end) => (end === null ? undefined : this.#settle(claimed, end)))
      .catch((cause: unknown) => this.#deps.log.error("delivery.not-settled", { delivery: claimed.delivery.deliveryId, cause }))
      .finally(() => {
        this.#onWay.delete(id);
        this.kick();
      });
    this.#onWay.set(id, work);
  }

  /** Written down until it is on disk: an end that is forgotten would be posted twice. */
  async #settle({ delivery }: ClaimedDelivery, end: AttemptEnd): Promise<void> {
    const { store, clock, log } = this.#deps;
    log.info("delivery.attempt", { delivery: delivery.deliveryId, attempt: delivery.attempts, ...end });
    for (;;) {
      try {
        await store.settleDelivery({ id: delivery.deliveryId, attempt: delivery.attempts, end });
        return;
      } catch (cause) {
        if (!(cause instanceof Fault) || !cause.retryable) throw cause;
        await sleep(clock, STORE_RETRY_MS, this.#closing.signal);
      }
    }
  }

  /** @returns null when the gateway stops: what became of it is not known. */
  async #attempt(claimed: ClaimedDelivery): Promise<AttemptEnd | null> {
    const { settings, clock } = this.#deps;
    const { delivery } = claimed;
    if (delivery.attempts > settings.get(webhookAttempts)) return { outcome: "given up", httpStatus: delivery.httpStatus, problem: delivery.problem ?? "the gateway ended during each attempt", inDoubt: true };
    const seconds = settings.get(webhookTimeoutSeconds);
    const late = new AbortController();
    const disarm = clock.after(seconds * 1000, () => late.abort());
    const signal = AbortSignal.any([this.#closing.signal, late.signal]);
    let mayHaveArrived = false;
    try {
      const url = checkedUrl(delivery.url);
      const addresses = await checkedAddresses(url, { allowed: settings.get(webhookAllowPrivate), setting: webhookAllowPrivate.key, resolve: this.#deps.resolve ?? systemResolve, signal });
      const body = resultBody(claimed);
      const headers = this.#headers(delivery.deliveryId, body);
      const response = await (this.#deps.post ?? pinnedRequest)(url, addresses, { method: "POST", headers, body: Buffer.from(body), signal, onSent: () => void (mayHaveArrived = true) });
      response.destroy(); // nothing in the body matters
      const retryAfter = Number(response.headers["retry-after"]);
      return this.#judge(delivery.attempts, response.statusCode ?? 0, Number.isFinite(retryAfter) ? Math.min(retryAfter, RETRY_AFTER_MAX_SECONDS) * 1000 : 0);
    } catch (error) {
      if (this.#closing.signal.aborted) return null;
      if (error instanceof Fault) return { outcome: "rejected", httpStatus: null, problem: error.message };
      const problem = late.signal.aborted ? `no answer within ${seconds} s` : connectionProblem(error);
      return this.#failed(delivery.attempts, { httpStatus: null, problem, inDoubt: mayHaveArrived, leastMs: 0 });
    } finally {
      disarm();
    }
  }

  #headers(id: string, body: string): Record<string, string | number> {
    const { settings, clock, ownSecret } = this.#deps;
    const timestamp = Math.floor(clock.now() / 1000);
    return {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "user-agent": "yardmaster",
      "idempotency-key": id,
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signature(settings.get(webhookSecret) || ownSecret(), id, timestamp, body),
    };
  }

  #judge(attempt: number, status: number, retryAfterMs: number): AttemptEnd {
    if (status >= 200 && status < 300) return { outcome: "delivered", httpStatus: status };
    const problem = status >= 300 && status < 400 ? `the receiver answered ${status}, and redirects are not followed; name the address that takes it` : `the receiver answered ${status}`;
    if (isForGood(status)) return { outcome: "rejected", httpStatus: status, problem };
    return this.#failed(attempt, { httpStatus: status, problem, inDoubt: false, leastMs: retryAfterMs });
  }

  #failed(attempt: number, { httpStatus, problem, inDoubt, leastMs }: { httpStatus: number | null; problem: string; inDoubt: boolean; leastMs: number }): AttemptEnd {
    const { settings, random } = this.#deps;
    if (attempt >= settings.get(webhookAttempts)) return { outcome: "given up", httpStatus, problem, inDoubt };
    const pauseMs = Math.min(PAUSE_MAX_MS, settings.get(webhookRetryMs) * 2 ** (attempt - 1));
    const jitter = 0.75 + random(1)[0]! / 512; // 0.75 to 1.25, so that many do not come back at one moment
    return { outcome: "later", afterMs: Math.round(Math.max(pauseMs * jitter, leastMs)), httpStatus, problem, inDoubt };
  }
}

/** Answers that a later attempt will not change. */
function isForGood(status: number): boolean {
  return status < 500 && ![408, 409, 423, 425, 429].includes(status);
}
