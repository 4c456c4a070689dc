/**
 * Writes down what happened in a simulated yard, from the same event log that everything else reads.
 * Times are milliseconds from the start.
 */
import type { SessionKey } from "../src/base/ids.ts";
import type { YardEvent } from "../src/model/event.ts";
import type { PoolName } from "../src/model/lane.ts";
import { POOL_OF_KIND, parseSessionKey } from "../src/model/session.ts";

export type SpanKind = "waiting" | "running" | "side" | "provider";

/** A piece of a lane's time. `side`: its turn goes on beside it. `provider`: the turn waits for the provider's limit. */
export interface Span {
  readonly kind: SpanKind;
  readonly fromMs: number;
  readonly toMs: number;
}

/** One session's time; children follow their parent. */
export interface LaneTrace {
  readonly label: string;
  /** 0 for a customer. */
  readonly depth: number;
  readonly spans: readonly Span[];
}

export interface PoolUse {
  readonly peak: number;
  /** Slot time used, summed over slots. */
  readonly busyMs: number;
}

interface Lane {
  readonly label: string;
  readonly depth: number;
  readonly children: SessionKey[];
  readonly spans: Span[];
}

interface OpenTurn {
  readonly session: SessionKey;
  readonly startedAt: number;
  promotedAt: number | null;
  pool: PoolName;
}

export class Recorder {
  readonly #startAt: number;
  /** By message; a child's first one under its session. */
  readonly #acceptedAt = new Map<string, { session: SessionKey; at: number }>();
  readonly #startedAt = new Map<string, number>();
  readonly #answeredAt = new Map<string, number>();
  readonly #resultsAt = new Map<string, number>();
  /** Children whose results a turn reads. */
  readonly #digests = new Map<string, readonly string[]>();
  readonly #askedBy = new Map<string, readonly string[]>();
  readonly #lanes = new Map<SessionKey, Lane>();
  readonly #turns = new Map<string, OpenTurn>();
  readonly #used = new Map<PoolName, { now: number; peak: number; busyMs: number }>();
  promotions = 0;
  children = 0;
  lastMs = 0;

  constructor(startAt: number) {
    this.#startAt = startAt;
  }

  /** A customer's lane; those of children come by themselves. */
  customer(session: SessionKey, label: string): void {
    this.#lanes.set(session, { label, depth: 0, children: [], spans: [] });
  }

  /** A child was spawned for these messages. */
  spawned(taskId: string, messageIds: readonly string[]): void {
    this.#askedBy.set(taskId, messageIds);
  }

  /** These messages joined a turn that runs. */
  steered(messageIds: readonly string[], atMs: number): void {
    for (const id of messageIds) this.#began(id, atMs);
  }

  /** A turn waited for the provider. */
  heldUp(session: SessionKey, fromMs: number, toMs: number): void {
    this.#lanes.get(session)!.spans.push({ kind: "provider", fromMs, toMs });
  }

  on(event: YardEvent): void {
    const at = event.at - this.#startAt;
    const { session, type, data, turnId, taskId } = event;
    const messageIds = (data["messageIds"] ?? []) as readonly string[];
    switch (type) {
      case "message.accepted":
        this.#acceptedAt.set(data["messageId"] as string, { session, at });
        break;
      case "task.accepted":
        this.#childCame(session, data["session"] as SessionKey, data["label"] as string, at);
        break;
      case "task.delivered":
        if (turnId !== undefined) this.#digests.set(turnId, [...(this.#digests.get(turnId) ?? []), taskId!]);
        break;
      case "turn.started": {
        const pool = data["track"] === "side" ? "side" : POOL_OF_KIND[parseSessionKey(session).parts.kind];
        this.#turns.set(turnId!, { session, startedAt: at, promotedAt: null, pool });
        for (const id of [session, ...messageIds]) this.#began(id, at);
        this.#use(pool, 1);
        break;
      }
      case "turn.promoted":
        this.#promoted(turnId!, at);
        break;
      case "reply":
        for (const id of data["replyTo"] as readonly string[]) this.#answeredAt.set(id, at);
        break;
      case "turn.ended":
        this.#ended(turnId!, at);
        break;
      default:
    }
  }

  #childCame(parent: SessionKey, child: SessionKey, label: string, at: number): void {
    const above = this.#lanes.get(parent)!;
    above.children.push(child);
    this.#lanes.set(child, { label, depth: above.depth + 1, children: [], spans: [] });
    this.#acceptedAt.set(child, { session: child, at });
    this.children++;
  }

  #began(messageId: string, toMs: number): void {
    const accepted = this.#acceptedAt.get(messageId);
    if (accepted === undefined || this.#startedAt.has(messageId)) return;
    this.#startedAt.set(messageId, toMs);
    if (toMs > accepted.at) this.#lanes.get(accepted.session)!.spans.push({ kind: "waiting", fromMs: accepted.at, toMs });
  }

  #promoted(turnId: string, at: number): void {
    const turn = this.#turns.get(turnId)!;
    this.promotions++;
    turn.promotedAt = at;
    this.#giveBack(turn, at);
    turn.pool = "side";
    this.#use("side", 1);
  }

  #giveBack(turn: OpenTurn, at: number): void {
    const since = turn.pool === "side" && turn.promotedAt !== null ? turn.promotedAt : turn.startedAt;
    this.#use(turn.pool, -1).busyMs += at - since;
  }

  #ended(turnId: string, at: number): void {
    const turn = this.#turns.get(turnId);
    if (turn === undefined) return;
    this.#turns.delete(turnId);
    this.#giveBack(turn, at);
    const { spans } = this.#lanes.get(turn.session)!;
    const sideFrom = turn.promotedAt ?? (turn.pool === "side" ? turn.startedAt : at);
    if (sideFrom > turn.startedAt) spans.push({ kind: "running", fromMs: turn.startedAt, toMs: sideFrom });
    if (at > sideFrom) spans.push({ kind: "side", fromMs: sideFrom, toMs: at });
    for (const task of this.#digests.get(turnId) ?? []) for (const id of this.#askedBy.get(task) ?? []) this.#resultsAt.set(id, at);
    this.lastMs = Math.max(this.lastMs, at);
  }

  #use(pool: PoolName, by: 1 | -1): { now: number; peak: number; busyMs: number } {
    const use = this.#used.get(pool) ?? { now: 0, peak: 0, busyMs: 0 };
    use.now += by;
    use.peak = Math.max(use.peak, use.now);
    this.#used.set(pool, use);
    return use;
  }

  /** What became of a message; null for what did not happen. */
  fateOf(messageId: string): { readonly acceptedMs: number; readonly startedMs: number | null; readonly answeredMs: number | null; readonly resultsMs: number | null } {
    return {
      acceptedMs: this.#acceptedAt.get(messageId)!.at,
      startedMs: this.#startedAt.get(messageId) ?? null,
      answeredMs: this.#answeredAt.get(messageId) ?? null,
      resultsMs: this.#resultsAt.get(messageId) ?? null,
    };
  }

  useOf(pool: PoolName): PoolUse {
    const { peak, busyMs } = this.#used.get(pool) ?? { peak: 0, busyMs: 0 };
    return { peak, busyMs };
  }

  /** Every lane, children after their parent. */
  lanes(): readonly LaneTrace[] {
    const below = (key: SessionKey): LaneTrace[] => {
      const { label, depth, spans, children } = this.#lanes.get(key)!;
      return [{ label, depth, spans: spans.toSorted((a, b) => a.fromMs - b.fromMs) }, ...children.flatMap(below)];
    };
    return [...this.#lanes].filter(([, { depth }]) => depth === 0).flatMap(([key]) => below(key));
  }
}
