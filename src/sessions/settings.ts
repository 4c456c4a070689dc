/** Settings of the front door: batching, queue policies, side tracks. */
import { mapOf, oneOf, wholeNumber, type Setting } from "../base/setting.ts";
import { QUEUE_MODES, type QueueMode } from "../model/lane.ts";

export const messageWaitMs: Setting<number> = {
  key: "messages.messageWaitMs",
  unit: "ms",
  fallback: 2000,
  ...wholeNumber({ min: 0, max: 60_000 }),
  takesEffect: "at once",
  doc: "Messages of one session that arrive within this time of each other become one batch with one answer. 0 = every message is taken at once. While this is not set by you, a message that ends with a question mark closes its batch at once.",
};

export const foregroundMs: Setting<number> = {
  key: "messages.foregroundMs",
  unit: "ms",
  fallback: 10_000,
  ...wholeNumber({ min: 0, max: 86_400_000 }),
  takesEffect: "at once",
  doc: "In queue mode auto: how long a turn may hold its conversation while another message waits. After that it goes on beside the conversation, which is free at once.",
};

export const queueMode: Setting<QueueMode> = {
  key: "messages.queue.mode",
  unit: "choice",
  fallback: "auto",
  ...oneOf(...QUEUE_MODES),
  takesEffect: "at once",
  doc: "What happens to a message that arrives while a turn of its session runs. A channel, a session or the message itself can say otherwise.",
};

export const queueModeByChannel: Setting<Readonly<Record<string, QueueMode>>> = {
  key: "messages.queue.byChannel",
  unit: "map",
  fallback: {},
  ...mapOf(oneOf(...QUEUE_MODES), { max: 50 }),
  takesEffect: "at once",
  doc: "Queue mode per channel, e.g. {telegram: \"steer\"}.",
};

export const queueCap: Setting<number> = {
  key: "messages.queue.cap",
  unit: "count",
  fallback: 1000,
  ...wholeNumber({ min: 1, max: 100_000 }),
  takesEffect: "at once",
  doc: "How many messages may wait in one session. The next one is refused with LANE_FULL; none is ever dropped silently.",
};

export const sideTurnsMax: Setting<number> = {
  key: "sessions.sideTurnsMax",
  unit: "count",
  fallback: 3,
  ...wholeNumber({ min: 0, max: 64 }),
  takesEffect: "at once",
  doc: "How many turns of one session may be started beside its main turn in queue mode parallel.",
};

export const SETTINGS: readonly Setting<unknown>[] = [messageWaitMs, foregroundMs, queueMode, queueModeByChannel, queueCap, sideTurnsMax] as readonly Setting<unknown>[];
