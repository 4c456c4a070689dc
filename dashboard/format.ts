/** How numbers, times and names look to people. Pure; the caller says what time it is. */
import type { ApiFault, ApiSession, ApiUsage } from "../src/api/wire.ts";

/** `40 ms`, `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(ms: number): string {
  if (ms < 100) return `${Math.round(Math.max(0, ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** As {@link duration}, in whole seconds: for what ticks. */
export function age(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
}

/** How long ago, for lists: `now`, `5 min`, `3 h`, `4 d`. */
export function ago(ms: number): string {
  const minutes = Math.floor(Math.max(0, ms) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** `950`, `12.3k`, `4.1M`. */
export function count(value: number): string {
  if (value < 1000) return String(value);
  if (value < 999_950) return `${(value / 1000).toFixed(value < 99_950 ? 1 : 0)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** Tokens that a model read and wrote, cached ones among them. */
export function tokensOf(usage: Partial<ApiUsage> | undefined): number {
  if (usage === undefined) return 0;
  return [usage.input, usage.output, usage.cacheRead, usage.cacheWrite].reduce<number>((sum, part) => sum + (typeof part === "number" ? part : 0), 0);
}

/** The label that a person gave, or the part of the key that tells sessions apart. */
export function sessionName(session: Pick<ApiSession, "key" | "label" | "kind" | "agent">): string {
  if (session.label !== null && session.label !== "") return session.label;
  if (session.kind === "main") return session.agent === "main" ? "Main" : session.agent;
  const prefix = `agent:${session.agent}:`;
  const rest = session.key.startsWith(prefix) ? session.key.slice(prefix.length) : session.key;
  // The kind stands in the key too; the list says it already.
  return rest.split(":").filter((word) => word !== session.kind).join(" · ");
}

/** Line and paragraph breaks folded into blanks, and cut to `lengthMax` characters. */
export function oneLine(text: string, lengthMax: number): string {
  const line = text.slice(0, lengthMax * 2).replace(/\s+/g, " ").trim();
  return line.length <= lengthMax ? line : `${line.slice(0, lengthMax - 1).trimEnd()}…`;
}

/** A fault's text says what is wrong and, after the first semicolon, what to do about it. */
export function problemAndRemedy(fault: Pick<ApiFault, "message">): { problem: string; remedy: string | null } {
  const cut = fault.message.indexOf("; ");
  if (cut < 0) return { problem: fault.message, remedy: null };
  return { problem: fault.message.slice(0, cut), remedy: fault.message.slice(cut + 2) };
}

const SUMMARY_KEYS = ["command", "cmd", "path", "file", "url", "query", "pattern", "task", "label", "action", "text"];

/** What a tool call is about, in a few words: its most telling argument. */
export function inputSummary(told: unknown, lengthMax = 90): string {
  const input = opened(told);
  if (typeof input === "string") return oneLine(input, lengthMax);
  if (typeof input !== "object" || input === null) return "";
  const fields = input as Record<string, unknown>;
  for (const key of SUMMARY_KEYS) {
    const value = fields[key];
    if (typeof value === "string" && value !== "") return oneLine(value, lengthMax);
  }
  const shown = JSON.stringify(input);
  return shown === "{}" ? "" : oneLine(shown, lengthMax);
}

/** Events carry a tool's input as JSON text, cut when it is long; what cannot be read stays text. */
function opened(input: unknown): unknown {
  if (typeof input !== "string" || !input.startsWith("{")) return input;
  try {
    return JSON.parse(input) as unknown;
  } catch {
    return input;
  }
}

/** A tool's input as people read it: text as it is, anything else as indented JSON. */
export function readable(told: unknown): string {
  const value = opened(told);
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
