/** Settings of the front door: batching, queue policies, side tracks. */
import { listOf, mapOf, oneOf, text, wholeNumber, type Setting } from "../base/setting.ts";
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

export const queueWaitSeconds: Setting<number> = {
  key: "messages.queue.waitSeconds",
  unit: "s",
  fallback: 0,
  ...wholeNumber({ min: 0, max: 300 }),
  takesEffect: "at once",
  doc: "How long a sender is made to wait for room in a full line before it is refused with LANE_FULL. 0 = refused at once.",
};

export const sideTurnsMax: Setting<number> = {
  key: "sessions.sideTurnsMax",
  unit: "count",
  fallback: 3,
  ...wholeNumber({ min: 0, max: 64 }),
  takesEffect: "at once",
  doc: "How many turns of one session may be started beside its main turn in queue mode parallel. When all these places are taken, the next independent message gets the main turn's place, which goes on beside it; one after that waits. A coding agent has at most so many second sessions beside the one that is at work.",
};

export const sideTools: Setting<"read-only" | "all"> = {
  key: "sessions.sideTools",
  unit: "choice",
  fallback: "read-only",
  ...oneOf("read-only", "all"),
  takesEffect: "next turn",
  doc: "Which tools a turn has that runs beside its conversation in queue mode parallel. read-only = those that change nothing, and those for children.",
};

export const parallelJudge: Setting<"rules" | "model" | "always"> = {
  key: "messages.parallel.judge",
  unit: "choice",
  fallback: "rules",
  ...oneOf("rules", "model", "always"),
  takesEffect: "at once",
  doc: "In queue mode parallel: who says that a message does not lean on an earlier one. rules = by its words; model = a model is asked, and the rules when it does not answer in time; always = every message is taken as independent.",
};

export const parallelModel: Setting<string> = {
  key: "messages.parallel.model",
  unit: "text",
  fallback: "",
  ...text({ max: 200 }),
  takesEffect: "at once",
  doc: "The model that judges independence, as <provider>/<model>. Empty = the default model.",
};

export const ackMode: Setting<"off" | "typing" | "reaction" | "text"> = {
  key: "messages.ack.mode",
  unit: "choice",
  fallback: "off",
  ...oneOf("off", "typing", "reaction", "text"),
  takesEffect: "at once",
  doc: "A quick sign that a message came in when its answer takes longer than messages.ack.afterMs.",
};

export const ackAfterMs: Setting<number> = {
  key: "messages.ack.afterMs",
  unit: "ms",
  fallback: 1500,
  ...wholeNumber({ min: 0, max: 600_000 }),
  takesEffect: "at once",
  doc: "How long an answer may take before the quick sign is given.",
};

export const ackText: Setting<string> = {
  key: "messages.ack.text",
  unit: "text",
  fallback: "Got it, working on it{place}.",
  ...text({ max: 500 }),
  takesEffect: "at once",
  doc: "The text of the quick sign in mode text. {place} = the place in line and the estimate, when it has to wait.",
};

export const backgroundPhrases: Setting<readonly string[]> = {
  key: "messages.background.phrases",
  unit: "list",
  fallback: ["in the background", "ping me when", "don't block on this", "work async"],
  ...listOf(text({ max: 100 }), { max: 100 }),
  takesEffect: "at once",
  doc: "A message that holds one of these is done beside the conversation from the start, whatever the model does.",
};

export const backgroundUrls: Setting<number> = {
  key: "messages.background.urls",
  unit: "count",
  fallback: 3,
  ...wholeNumber({ min: 1, max: 1_000 }),
  takesEffect: "at once",
  doc: "When AGENTS.md has a section \"Task handling\": a message that names this many addresses is done in the background.",
};

export const backgroundFileBytes: Setting<number> = {
  key: "messages.background.fileBytes",
  unit: "bytes",
  fallback: 1_000_000,
  ...wholeNumber({ min: 1, max: 1_000_000_000_000 }),
  takesEffect: "at once",
  doc: "When AGENTS.md has a section \"Task handling\": a message that names a file of the workspace of at least this size is done in the background.",
};

export const backgroundCharacters: Setting<number> = {
  key: "messages.background.characters",
  unit: "count",
  fallback: 4_000,
  ...wholeNumber({ min: 1, max: 1_000_000 }),
  takesEffect: "at once",
  doc: "When AGENTS.md has a section \"Task handling\": a message of at least this many characters is done in the background.",
};

export const SETTINGS: readonly Setting<unknown>[] = [
  messageWaitMs,
  foregroundMs,
  queueMode,
  queueModeByChannel,
  queueCap,
  queueWaitSeconds,
  sideTurnsMax,
  sideTools,
  parallelJudge,
  parallelModel,
  ackMode,
  ackAfterMs,
  ackText,
  backgroundPhrases,
  backgroundUrls,
  backgroundFileBytes,
  backgroundCharacters,
] as readonly Setting<unknown>[];
