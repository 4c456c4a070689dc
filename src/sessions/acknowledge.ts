/**
 * The quick word that a message has come in, while its answer takes longer: off, a sign of typing,
 * a reaction, or a text with the place in line. Sent once per message, and never after the answer.
 *
 * Cosmetic: a restart forgets it.
 */
import type { Clock } from "../base/clock.ts";
import type { MessageId, SessionKey } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../base/setting.ts";
import type { YardEvent } from "../model/event.ts";
import type { Store } from "../store/store.ts";
import { ackAfterMs, ackMode, ackText } from "./settings.ts";

/** Messages watched at once; beyond this they go without. */
const WATCHED_MAX = 10_000;

export interface AcknowledgerDeps {
  readonly store: Pick<Store, "messagePlace" | "notice" | "onEvents">;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Log;
  /** For estimates. */
  readonly meanTurnMs: () => number;
}

export class Acknowledger {
  readonly #deps: AcknowledgerDeps;
  readonly #watched = new Map<string, () => void>();

  constructor(deps: AcknowledgerDeps) {
    this.#deps = deps;
    deps.store.onEvents((events) => {
      for (const event of events) this.#see(event);
    });
  }

  stop(): void {
    for (const disarm of this.#watched.values()) disarm();
    this.#watched.clear();
  }

  #see(event: YardEvent): void {
    if (event.type === "message.accepted") this.#watch(event);
    else if (this.#watched.size > 0 && (event.type === "reply" || event.type === "turn.ended" || event.type === "message.cancelled")) {
      for (const id of (event.data["replyTo"] ?? event.data["messageIds"] ?? []) as string[]) this.#forget(id);
    }
  }

  #watch({ session, data }: YardEvent): void {
    const { settings, clock } = this.#deps;
    const id = data["messageId"] as MessageId;
    if (settings.get(ackMode) === "off" || data["provenance"] !== "user" || this.#watched.size >= WATCHED_MAX) return;
    this.#watched.set(id, clock.after(settings.get(ackAfterMs), () => void this.#acknowledge(session, id)));
  }

  #forget(id: string): void {
    this.#watched.get(id)?.();
    this.#watched.delete(id);
  }

  async #acknowledge(session: SessionKey, id: MessageId): Promise<void> {
    this.#watched.delete(id);
    const { store, settings, log, meanTurnMs } = this.#deps;
    const mode = settings.get(ackMode);
    try {
      const place = await store.messagePlace({ id, meanTurnMs: meanTurnMs() });
      if (place === null) return;
      const where = place.ahead > 0 ? ` (${place.ahead} before it, about ${Math.max(1, Math.round(place.etaMs / 1000))} s)` : "";
      const data = { kind: mode, messageId: id, ahead: place.ahead, etaMs: place.etaMs };
      await store.notice({ session, text: mode === "text" ? settings.get(ackText).replace("{place}", where) : "", level: "info", code: "ACK", entry: false, data });
    } catch (cause) {
      log.warn("ack.failed", { cause });
    }
  }
}
