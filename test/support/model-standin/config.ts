/** How a stand-in behaves, and how that is read from what comes over HTTP. */
import type { Limits } from "./accounting.ts";
import { object } from "./conversation.ts";
import type { FaultStep } from "./plan.ts";
import { parseStep } from "./script.ts";

export interface Latency {
  readonly firstByteMs: number;
  readonly totalMs: number;
}

/** A fault set over HTTP: a step, and which requests it meets. */
export interface SetFault {
  /** A fault step, e.g. `fail 503 after 1s times 2`. */
  readonly step: string;
  /** Only requests whose newest user message holds this text. */
  readonly match?: string;
  readonly model?: string;
  /** 0..1; without it every request that fits. */
  readonly probability?: number;
}

export interface StandinConfig extends Latency, Limits {
  /** Latency per model name, over the general one. */
  readonly models: Readonly<Record<string, Partial<Latency>>>;
  /** Answer a history that real APIs refuse with 400; it is counted in any case. */
  readonly strict: boolean;
  /** When not empty, other credentials get 401. */
  readonly keys: readonly string[];
  /** Drop every connection that asks for more than a control route, as if nobody listened. */
  readonly refuse: boolean;
  /** The answer when there is no script; null = "You said: ...". */
  readonly reply: string | null;
  readonly faults: readonly SetFault[];
}

export const DEFAULTS: StandinConfig = {
  firstByteMs: 0,
  totalMs: 0,
  requestsPerMinute: 0,
  tokensPerMinute: 0,
  inFlightMax: 0,
  models: {},
  strict: false,
  keys: [],
  refuse: false,
  reply: null,
  faults: [],
};

/** The step of a fault that was set. */
export function faultStep(set: SetFault): FaultStep {
  const step = parseStep(set.step);
  if (!("times" in step)) throw new Error(`"${set.step}" is not a fault`);
  return step;
}

/** Reads a change of the configuration. */
export function configFrom(value: unknown): Partial<StandinConfig> {
  const source = object(value);
  for (const key of Object.keys(source)) if (!(key in DEFAULTS)) throw new Error(`no setting ${key}; known: ${Object.keys(DEFAULTS).join(", ")}`);
  return source as Partial<StandinConfig>;
}
