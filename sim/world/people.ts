/**
 * Those outside: senders that try again until they are told that their message is accepted, and
 * readers that remember every event they were given. They outlive every process.
 */
import type { MessageId, SessionKey } from "../../src/base/ids.ts";
import type { YardEvent } from "../../src/model/event.ts";
import type { MessageMode } from "../../src/model/lane.ts";
import { eventText, type AcceptedMessage } from "./checkers.ts";
import type { Dice } from "./dice.ts";
import type { GatewayProcess } from "./gateway-process.ts";
import { isRefusal } from "./refusal.ts";
import type { Timeline } from "./timeline.ts";

export const CHANNEL = "sim";
/** How long a sender waits before it tries again, milliseconds. */
const AGAIN_MS_MAX = 10_000;

export interface Outgoing {
  readonly session: SessionKey;
  readonly text: string;
  readonly sourceId: string;
  readonly mode: MessageMode | null;
}

interface Sending extends Outgoing {
  /** The process that has it and has not answered yet. */
  heldBy: GatewayProcess | null;
}

export interface PeopleDeps {
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly gateway: () => GatewayProcess | null;
  readonly report: (violation: string) => void;
}

/** Sends messages, again and again. */
export class Senders {
  readonly #deps: PeopleDeps;
  readonly #open = new Set<Sending>();
  readonly accepted: AcceptedMessage[] = [];
  readonly sent: Outgoing[] = [];

  constructor(deps: PeopleDeps) {
    this.#deps = deps;
  }

  get waiting(): number {
    return this.#open.size;
  }

  send(message: Outgoing): void {
    const sending: Sending = { ...message, heldBy: null };
    this.sent.push(message);
    this.#open.add(sending);
    this.#try(sending);
  }

  /** A process takes messages: what an earlier one never answered is sent again. */
  reconnect(): void {
    for (const sending of this.#open) if (sending.heldBy !== this.#deps.gateway()) this.#try(sending);
  }

  #try(sending: Sending): void {
    const gateway = this.#deps.gateway();
    if (gateway === null || !gateway.isReady) return;
    sending.heldBy = gateway;
    const { session, text, sourceId, mode } = sending;
    gateway.frontDoor.accept({ session, text, provenance: "user", channel: CHANNEL, sourceId, queueMode: mode, mayCommand: false }).then(
      ({ messageId }) => this.#told(sending, gateway, messageId),
      (cause: unknown) => this.#refused(sending, gateway, cause),
    );
  }

  #told(sending: Sending, gateway: GatewayProcess, messageId: MessageId): void {
    if (!gateway.clock.isRunning || !this.#open.delete(sending)) return;
    this.accepted.push({ messageId, session: sending.session, channel: CHANNEL, sourceId: sending.sourceId, text: sending.text });
  }

  #refused(sending: Sending, gateway: GatewayProcess, cause: unknown): void {
    if (!gateway.clock.isRunning) return;
    if (!isRefusal(cause)) {
      this.#open.delete(sending);
      return this.#deps.report(`a sender was given a defect: ${String(cause)}`);
    }
    if (!cause.retryable || cause.code === "QUEUE_REJECTED") return void this.#open.delete(sending);
    this.#deps.timeline.after(this.#deps.dice.whole(1, AGAIN_MS_MAX), () => this.#open.has(sending) && this.#try(sending));
  }
}

/** Reads one session's log, or (null) all of them, over any number of processes. */
export class Reader {
  readonly #session: SessionKey | null;
  readonly #deps: PeopleDeps;
  readonly #onEvent: (event: YardEvent) => void;
  readonly given = new Map<SessionKey, Map<number, string>>();
  readonly #gone = new Set<SessionKey>();
  #after = 0;
  #close: (() => void) | null = null;
  #away = false;

  constructor(session: SessionKey | null, deps: PeopleDeps, onEvent: (event: YardEvent) => void = () => {}) {
    this.#session = session;
    this.#deps = deps;
    this.#onEvent = onEvent;
  }

  connect(gateway: GatewayProcess): void {
    if (this.#away) return;
    this.disconnect();
    this.#close = gateway.frontDoor.watch(
      { session: this.#session, after: this.#after },
      {
        onEvent: (event) => gateway.clock.isRunning && this.#see(event),
        onFailure: () => {
          if (!gateway.clock.isRunning) return;
          this.#deps.timeline.after(1_000, () => this.#deps.gateway() === gateway && gateway.isReady && this.connect(gateway));
        },
      },
    );
  }

  disconnect(): void {
    this.#close?.();
    this.#close = null;
  }

  leave(forMs: number): void {
    this.disconnect();
    this.#away = true;
    this.#deps.timeline.after(forMs, () => {
      this.#away = false;
      const gateway = this.#deps.gateway();
      if (gateway?.isReady === true) this.connect(gateway);
    });
  }

  /** The session was removed; one of the same name would count from 1 again, so it is not listened to any more. */
  forget(session: SessionKey): void {
    this.#gone.add(session);
    this.given.delete(session);
  }

  #see(event: YardEvent): void {
    this.#after = this.#session === null ? event.cursor : event.seq;
    if (this.#gone.has(event.session)) return;
    let numbers = this.given.get(event.session);
    if (numbers === undefined) this.given.set(event.session, (numbers = new Map()));
    if (numbers.has(event.seq)) this.#deps.report(`a reader of ${event.session} was given ${event.seq} twice`);
    numbers.set(event.seq, eventText(event));
    this.#onEvent(event);
  }
}
