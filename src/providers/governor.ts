/**
 * The governor: every call to a model is let through here, and its end is told here.
 *
 *     admit ──free──▶ under way ──taken──▶ answering ──end(ok | failed | gone)──▶ over
 *        │                ▲
 *        └─parked─────────┘   people first, then in order of arrival
 *
 * There is one line for each model of a provider (`call-line.ts`), and each account of the provider serves it as
 * far as it may (`way.ts`): its credential is not refused (`closed-credentials.ts`), no wall stands (`wall.ts`), and
 * calls under way, requests and tokens a minute are within limits that are set or learned (`learned-limit.ts`).
 *
 * Always true:
 *   - a call that nothing limits costs no wait, no timer and no write
 *   - nobody passes a person who waits, but for the background's own turn
 *   - a waiting call can be cancelled at once, and leaves nothing behind
 *
 * Not here: what a failure means (`verdict.ts`), HTTP, who is asked next when a model cannot be had.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { AllowanceBook } from "../model/allowance.ts";
import { Fault } from "../model/faults.ts";
import type { LaneToProvider, ParkedCall, Parking, ParkingReason, ProviderLanes } from "../model/parking.ts";
import type { Admission, CallAsk } from "./admission.ts";
import { CallLine, type Next, type Waiting } from "./call-line.ts";
import { allClosed, ClosedCredentials } from "./closed-credentials.ts";
import type { Account, AccountLimits } from "./settings.ts";
import { Way, type Obstacle, type Taken, type WayDeps } from "./way.ts";

/** What waits for another call to end is said to wait for so long at most. */
const ESTIMATE_MS_MAX = 61_000;
const LINES_MAX = 2_000;
const WAITING_MAX = 100_000;

export interface GovernorDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly book: AllowanceBook;
  /** 0..1, spreads what would come at once. */
  chance(): number;
  /** Read anew for every call. Empty = the provider is gone. @throws {Fault} PROVIDER_NO_KEY */
  accountsOf(provider: string): readonly Account[];
  limitsOf(provider: string): AccountLimits;
  /** A credential was refused; told once until it works again. */
  onRefused(provider: string, account: Account, status: number): void;
}

/** The line of one model, and who is at work on it. */
interface Lane {
  readonly provider: string;
  readonly model: string;
  readonly line: CallLine;
  /** Which account is asked first. */
  turn: number;
  pumping: boolean;
  again: boolean;
  disarm: (() => void) | null;
}

interface Route {
  readonly account: Account;
  readonly way: Way;
}

type Pick = Route | Obstacle;

export class Governor {
  readonly #deps: GovernorDeps;
  readonly #startedAt: number;
  readonly #lanes = new Map<string, Lane>();
  readonly #ways = new Map<string, Way>();
  readonly #closed: ClosedCredentials;
  readonly #wayDeps: WayDeps;
  #lastOrder = 0;
  #waiting = 0;

  constructor(deps: GovernorDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.now() - deps.clock.monotonic();
    this.#closed = new ClosedCredentials(deps.clock);
    const { log, book, chance, limitsOf } = deps;
    this.#wayDeps = { log, book, chance, limitsOf, now: () => this.#now(), wallTime: (at) => this.#wallTime(at) };
  }

  /** Wall time as it went on since the start, whatever the machine's clock was set to meanwhile: waits are durations. */
  #now(): number {
    return this.#startedAt + this.#deps.clock.monotonic();
  }

  /** The same moment by the wall clock as it stands now, which is what the book and people go by. */
  #wallTime(at: number): number {
    return at - this.#now() + this.#deps.clock.now();
  }

  /** Takes up the walls and limits that were known before a restart. */
  async start(): Promise<void> {
    for (const { key, wallUntil, learned } of await this.#deps.book.allowances()) {
      const [provider, accountName, ...model] = key.split("/");
      this.#way(provider!, model.join("/"), accountName!).restore(learned, wallUntil);
    }
  }

  /** After a change of settings: a credential may have been mended, or a limit raised. */
  reconsider(): void {
    this.#closed.reopen();
    for (const way of this.#ways.values()) way.reconsider();
    for (const lane of this.#lanes.values()) void this.#pump(lane);
  }

  /**
   * Lets a call through, now or when its turn comes. Not a promise when nothing limits it.
   * @throws {Fault} PROVIDER_AUTH (every credential was refused), PROVIDER_RATE_LIMITED (a wall longer than its patience).
   */
  admit(ask: CallAsk): Admission | Promise<Admission> {
    ask.signal.throwIfAborted();
    const lane = this.#lane(ask.provider, ask.model);
    const order = ask.order ?? ++this.#lastOrder;
    if (lane.line.length === 0 && !lane.pumping) {
      const pick = this.#pick(lane, ask, !ask.person);
      const free = "way" in pick ? pick.way.free : null;
      if ("way" in pick && free !== null) return this.#start(pick, ask.person, order, free);
    }
    if (this.#waiting >= WAITING_MAX) throw new Fault("TOO_MANY_AT_ONCE", { what: "waiting model calls", max: WAITING_MAX });
    this.#waiting++;
    const admitted = lane.line.put(ask, order, this.#now(), (how) => {
      this.#waiting--;
      if (how === "cancelled" && lane.line.length === 0) this.#disarm(lane);
    });
    void this.#pump(lane);
    return admitted;
  }

  lanes(): ProviderLanes {
    const now = this.#now();
    const accounts = [...this.#ways.values()].map((way): LaneToProvider => {
      const limits = way.limits();
      const wallUntil = way.wall.until(false);
      const closed = this.#closedUntil(way, now);
      return {
        provider: way.provider,
        model: way.model,
        account: way.accountName,
        state: closed !== null ? "closed" : wallUntil > now ? "walled" : way.wall.isOpen ? "open" : "probing",
        until: closed ?? (wallUntil > now ? this.#wallTime(wallUntil) : null),
        inFlight: way.underWay,
        requestsPerMinute: limits.requestsPerMinute,
        tokensPerMinute: limits.tokensPerMinute,
      };
    });
    const parked = [...this.#lanes.values()].flatMap((lane) => lane.line.waiting().map((waiting, ahead): ParkedCall => ({ ...this.#parking(lane, waiting, ahead), session: waiting.ask.session ?? null, since: this.#wallTime(waiting.since), person: waiting.ask.person })));
    return { accounts, parked };
  }

  isClosed(provider: string, account: Account): boolean {
    return this.#closed.find(provider, account, null) !== undefined;
  }

  /**
   * True when another account can take a call of this model: at once, or also after its wall. What was refused
   * for good is worth waiting for another account; what was refused for now is not, for it waits anyway.
   */
  hasOtherAccount(provider: string, model: string, besides: Account, also: "walled" | "open only"): boolean {
    const now = this.#now();
    return this.#accounts(provider).some((account) => account.name !== besides.name && this.#closed.find(provider, account, model) === undefined && (also === "walled" || this.#way(provider, model, account.name).wall.until(false) <= now));
  }

  // ── the line ────────────────────────────────────────────────────────────────────────────────

  #disarm(lane: Lane): void {
    lane.disarm?.();
    lane.disarm = null;
  }

  /** Lets through whoever may go, and arms the timer for the next. One at a time for each line. */
  async #pump(lane: Lane): Promise<void> {
    if (lane.pumping) {
      lane.again = true;
      return;
    }
    lane.pumping = true;
    try {
      do {
        lane.again = false;
        this.#disarm(lane);
        await this.#letThrough(lane);
      } while (lane.again);
    } finally {
      lane.pumping = false;
    }
    this.#tellParked(lane);
  }

  async #letThrough(lane: Lane): Promise<void> {
    for (;;) {
      const next = this.#next(lane);
      if (next === undefined) return;
      const { pick, waiting } = next;
      const taken = await pick.way.take(next);
      if (taken === null) continue;
      // While the book was asked the call may have been cancelled; what was taken serves the next one. Or the
      // provider may have refused somebody else, and then nobody goes.
      const now = lane.line.includes(waiting) ? next : lane.line.next()[0];
      if (now === undefined || !this.#isFree(pick, now)) {
        pick.way.giveBack(taken);
        if (now === undefined) return;
        continue;
      }
      lane.line.went(now.waiting);
      now.waiting.admit(this.#start(pick, now.waiting.ask.person, now.waiting.order, taken));
    }
  }

  /** Who goes now, and with which account; when nobody may, the timer is armed for the first who will. */
  #next(lane: Lane): (Next & { readonly pick: Route }) | undefined {
    for (;;) {
      let soonest = Infinity;
      let refused: Waiting | undefined;
      for (const next of lane.line.next()) {
        try {
          const pick = this.#pick(lane, next.waiting.ask, next.paced);
          if ("way" in pick) return { ...next, pick };
          soonest = Math.min(soonest, pick.at);
        } catch (cause) {
          refused = next.waiting;
          refused.refuse(cause);
          break;
        }
      }
      if (refused !== undefined) continue;
      if (soonest < Infinity) lane.disarm = this.#deps.clock.after(Math.max(1, soonest - this.#now()), () => void this.#pump(lane));
      return undefined;
    }
  }

  /** Who may serve a call now, or when the first of them can; accounts take turns. */
  #pick(lane: Lane, ask: CallAsk, paced: boolean): Pick {
    const { provider, model } = lane;
    const now = this.#now();
    const accounts = this.#deps.accountsOf(provider);
    let soonest: Obstacle | undefined;
    let refusal: { readonly status: number } | undefined;
    let best: Route | undefined;
    for (let i = 0; i < accounts.length; i++) {
      const account = accounts[(lane.turn + i) % accounts.length]!;
      const closed = this.#closed.find(provider, account, model);
      if (closed !== undefined) {
        refusal = closed;
        continue;
      }
      const way = this.#way(provider, model, account.name);
      const obstacle = way.obstacle(ask.person, paced);
      if (obstacle === null) {
        if (best === undefined || way.underWay < best.way.underWay) best = { account, way };
      } else if (soonest === undefined || obstacle.at < soonest.at) soonest = obstacle;
    }
    if (best !== undefined) {
      lane.turn = (lane.turn + 1) % accounts.length;
      return best;
    }
    if (soonest === undefined) throw allClosed(provider, refusal?.status ?? 401);
    if (soonest.reason === "wall" && soonest.at < Infinity && soonest.at - now > ask.patienceMs) {
      throw new Fault("PROVIDER_RATE_LIMITED", { provider, waitedMs: 0 }, { retryAfterMs: Math.ceil(soonest.at - now) });
    }
    return soonest;
  }

  #isFree({ account, way }: Route, { waiting: { ask }, paced }: Next): boolean {
    return this.#closed.find(way.provider, account, way.model) === undefined && way.obstacle(ask.person, paced) === null;
  }

  // ── a call under way ────────────────────────────────────────────────────────────────────────

  #start({ account, way }: Route, person: boolean, order: number, taken: Taken): Admission {
    const isProbe = way.wall.isUntried;
    const passage = way.started(person, taken);
    // Looked up each time: a lane that nobody waited in may have been let go meanwhile.
    const lane = (): Lane => this.#lane(way.provider, way.model);
    const pump = (): void => {
      if (lane().line.length > 0) void this.#pump(lane());
    };
    let isOver = false;
    return {
      account,
      order,
      isProbe,
      taken: () => {
        if (passage.isAnswered) return;
        way.took(passage);
        pump();
      },
      end: (end) => {
        if (isOver) return 0;
        isOver = true;
        let waitMs = 0;
        if (end.is === "ok") {
          way.took(passage);
          way.served(passage, end.headers, end.tokens);
          this.#closed.worked(way.provider, account);
        } else if (end.is === "limited" || end.is === "overloaded") {
          lane().line.cameBack(person);
          waitMs = way.refused(passage, end);
        } else if (end.is === "refused" && this.#closed.close(way.provider, account, end.all ? null : way.model, end.status)) {
          this.#deps.onRefused(way.provider, account, end.status);
        }
        way.ended(passage);
        pump();
        return waitMs;
      },
    };
  }

  // ── what is told ────────────────────────────────────────────────────────────────────────────

  #closedUntil(way: Way, now: number): number | null {
    const account = this.#accounts(way.provider).find(({ name }) => name === way.accountName);
    const closed = account === undefined ? undefined : this.#closed.find(way.provider, account, way.model);
    return closed === undefined ? null : Math.round(now + closed.until - this.#deps.clock.monotonic());
  }

  #accounts(provider: string): readonly Account[] {
    try {
      return this.#deps.accountsOf(provider);
    } catch {
      return []; // it was taken out of the settings, or its key was
    }
  }

  #tellParked(lane: Lane): void {
    for (const [ahead, waiting] of lane.line.waiting().entries()) {
      if (waiting.told) continue;
      waiting.told = true;
      waiting.ask.onParked?.(this.#parking(lane, waiting, ahead));
    }
  }

  #parking({ provider, model }: Lane, { ask }: Waiting, ahead: number): Parking & { readonly reason: ParkingReason } {
    const now = this.#now();
    let until = Infinity;
    let reason: ParkingReason = "rate";
    let perMinute = 0;
    for (const { name } of this.#accounts(provider)) {
      const way = this.#way(provider, model, name);
      const obstacle = way.obstacle(ask.person, !ask.person);
      const at = Math.max(now, way.wall.until(ask.person), Math.min(obstacle?.at ?? now, now + ESTIMATE_MS_MAX));
      if (at < until) [until, reason] = [at, obstacle?.reason ?? "rate"];
      perMinute += way.limits().requestsPerMinute ?? Infinity;
    }
    const lineMs = perMinute > 0 ? (ahead * 60_000) / perMinute : 0;
    return { reason, model: `${provider}/${model}`, until: Math.round(this.#wallTime((until === Infinity ? now : until) + lineMs)), ahead };
  }

  #lane(provider: string, model: string): Lane {
    const key = laneKey(provider, model);
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { provider, model, line: new CallLine(), turn: 0, pumping: false, again: false, disarm: null };
      this.#lanes.set(key, lane);
      if (this.#lanes.size > LINES_MAX) this.#forgetIdle();
    }
    return lane;
  }

  #way(provider: string, model: string, accountName: string): Way {
    const key = `${provider}/${accountName}/${model}`;
    let way = this.#ways.get(key);
    if (way === undefined) {
      way = new Way(this.#wayDeps, key, provider, model, accountName);
      this.#ways.set(key, way);
    }
    return way;
  }

  /** Names of models come from outside; those that nobody uses are let go. */
  #forgetIdle(): void {
    for (const [key, lane] of this.#lanes) if (!lane.pumping && lane.line.length === 0) this.#lanes.delete(key);
    for (const [key, way] of this.#ways) if (way.isIdle) this.#ways.delete(key);
  }
}

const laneKey = (provider: string, model: string): string => `${provider}/${model}`;
