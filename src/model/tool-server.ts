/** A tool server as people see it: what it is, how it is, what it offers. */
import type { EffectClass } from "./tool.ts";

export const TOOL_SERVER_STATES = ["connecting", "ready", "broken", "ended"] as const;

export interface ServerView {
  readonly id: string;
  /** Exactly what is run or asked, secrets masked. */
  readonly reach: { readonly via: "stdio"; readonly command: readonly string[] } | { readonly via: "http"; readonly url: string };
  readonly state: (typeof TOOL_SERVER_STATES)[number];
  /** Since when, wall time in milliseconds. */
  readonly since: number;
  /** Why it is broken. */
  readonly problem: string | null;
  /** When it is tried again. */
  readonly retryAt: number | null;
  /** What it calls itself. */
  readonly server: { readonly name: string; readonly version: string } | null;
  readonly pid: number | null;
  /** How often it was started or connected to. */
  readonly starts: number;
  readonly timeoutSeconds: number;
  readonly resultBytesMax: number;
  readonly tools: readonly { readonly name: string; readonly own: string; readonly effect: EffectClass }[];
  /** Tools that are not offered, and why. */
  readonly leftOut: readonly { readonly tool: string; readonly why: string }[];
}
