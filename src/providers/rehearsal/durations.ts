/** Lengths of time as people write them: `5 seconds`, `2s`, `250 ms`, `1.5 min`. */

/** A length of time, as the source of a regular expression without groups of its own. */
export const DURATION = String.raw`\d{1,6}(?:\.\d{1,3})? ?(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m)\b`;

/** The longest that one model call waits, milliseconds. */
export const WAIT_MAX_MS = 600_000;

const MS_OF_UNIT: Readonly<Record<string, number>> = { ms: 1, millisecond: 1, s: 1000, sec: 1000, second: 1000, m: 60_000, min: 60_000, minute: 60_000 };

/** @returns milliseconds, at most {@link WAIT_MAX_MS}. */
export function readDuration(text: string): number {
  const [, amount, unit] = /^([\d.]+) ?([a-z]+)$/i.exec(text.trim()) ?? [];
  const word = (unit ?? "s").toLowerCase();
  const ms = Number(amount) * (MS_OF_UNIT[word] ?? MS_OF_UNIT[word.replace(/s$/, "")] ?? 1000);
  return Math.min(Math.round(ms), WAIT_MAX_MS);
}

export function showDuration(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}
