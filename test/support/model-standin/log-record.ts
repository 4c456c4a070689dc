/** What is kept of each request, and of all together: tests believe this and nothing else. */
import type { Api } from "./conversation.ts";
import type { TokenCount } from "./wire.ts";

export interface LogRecord {
  readonly id: number;
  readonly api: Api;
  readonly path: string;
  readonly model: string;
  readonly stream: boolean;
  /** Wall time in milliseconds, with fractions; null when it never came to that. */
  readonly arrivedAt: number;
  firstByteAt: number | null;
  endedAt: number | null;
  /** `ok`, `client gone`, `refused <status>`, or `fault <step>`. */
  outcome: string | null;
  status: number;
  /** Requests in flight when this one arrived, itself included. */
  readonly inFlight: number;
  readonly bytes: number;
  readonly systemBytes: number;
  readonly tools: readonly string[];
  /** The tool that the answer had to call. */
  readonly forced: string | null;
  readonly toolsBytes: number;
  /** User messages since the last answer, oldest first; the same for tool results. */
  readonly userTexts: readonly string[];
  readonly toolResults: readonly string[];
  readonly turns: number;
  /** Pieces of reasoning in the history. */
  readonly reasoning: number;
  readonly script: string | null;
  readonly round: number;
  readonly reply: string;
  readonly calls: readonly string[];
  readonly usage: TokenCount | null;
  readonly problems: readonly string[];
}

export interface Stats {
  readonly requests: number;
  readonly inFlight: number;
  readonly inFlightMax: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly problems: number;
}
