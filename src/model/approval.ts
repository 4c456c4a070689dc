/**
 * An approval: one exact thing that somebody wants to do, and a person's answer to it.
 *
 *     pending ──allow──▶ approved
 *        │  └────deny──▶ denied
 *        ├──time is up─▶ expired      counts as denied
 *        └──turn ends──▶ cancelled    nobody needs the answer any more
 *
 * It is bound to what was asked: the tool, the hash of its arguments, the folder. It is answered once
 * and used once. "Always" leaves a standing approval for this same thing, in the same conversation.
 */
import { createHash } from "node:crypto";
import type { SessionKey, TurnId } from "../base/ids.ts";
import type { Json, JsonObject } from "../base/json.ts";
import { redact } from "../base/redact.ts";

export const APPROVAL_STATES = ["pending", "approved", "denied", "expired", "cancelled"] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

export const APPROVAL_ANSWERS = ["once", "always", "deny"] as const;
export type ApprovalAnswer = (typeof APPROVAL_ANSWERS)[number];

/** Longest text of one argument that is kept to be shown, characters. */
const SHOWN_TEXT_LENGTH_MAX = 4_000;
/** Longest description in one line, characters. */
const LINE_LENGTH_MAX = 300;

export interface NewApproval {
  /** The same request is asked once, however often it comes. */
  readonly askKey: string;
  /** The session whose work waits for the answer. */
  readonly session: SessionKey;
  /** The turn that waits; null = it outlives turns. */
  readonly turnId: TurnId | null;
  /** Who wants to do it, e.g. a harness. */
  readonly holder: string;
  readonly tool: string;
  /** One line for people; not to be trusted. */
  readonly what: string;
  readonly path: string | null;
  /** The arguments, to be shown; long texts are cut. */
  readonly input: JsonObject;
  /** Of the whole arguments. */
  readonly hash: string;
  readonly cwd: string;
  /** Wall time, milliseconds. */
  readonly expiresAt: number;
}

export interface Approval extends NewApproval {
  /** Short, for people, e.g. `A12`. */
  readonly id: string;
  /** The conversation in which it is shown and may be answered. */
  readonly place: SessionKey;
  readonly state: ApprovalState;
  readonly askedAt: number;
  readonly endedAt: number | null;
  /** Who or what ended it; null while it is pending. */
  readonly by: string | null;
  /** True: it was, or is, a standing approval. */
  readonly standing: boolean;
}

/** Something that needs no further question in a conversation. */
export interface StandingApproval {
  readonly place: SessionKey;
  readonly holder: string;
  readonly tool: string;
  /** What was asked and its arguments, in one line. */
  readonly what: string;
  readonly hash: string;
  readonly cwd: string;
  readonly givenAt: number;
  readonly by: string;
}

/** The hash of arguments; the order of their names does not count. */
export function inputHash(input: JsonObject): string {
  return createHash("sha256").update(canonical(input)).digest("hex");
}

function canonical(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const fields = Object.entries(value as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`).join(",")}}`;
}

/** Arguments as they are shown and kept: each text cut to a length that a person can read, credentials masked. */
export function shownInput(input: JsonObject): JsonObject {
  const cut = (value: Json): Json => {
    if (typeof value === "string") return redact(value.length <= SHOWN_TEXT_LENGTH_MAX ? value : `${value.slice(0, SHOWN_TEXT_LENGTH_MAX)}… (${value.length} characters in all)`);
    if (value === null || typeof value !== "object") return value;
    return Array.isArray(value) ? value.map(cut) : Object.fromEntries(Object.entries(value).map(([name, one]) => [name, cut(one)]));
  };
  return cut(input) as JsonObject;
}

/** Foreign words on one line: nothing in them can look like a line of the gateway, or move the cursor. */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex
  const flat = redact(text).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ").trim();
  return flat.length <= LINE_LENGTH_MAX ? flat : `${flat.slice(0, LINE_LENGTH_MAX)}…`;
}

/** How a conversation is asked: what, where, and the exact arguments. */
export function requestText(approval: Approval): string {
  const { id, holder, tool, what, input, cwd } = approval;
  return [
    `${id}: ${holder} asks to use ${oneLine(tool)}${what === tool ? "" : `: ${oneLine(what)}`}`,
    `in ${oneLine(cwd)}`,
    ...Object.entries(input).map(([name, value]) => `> ${oneLine(name)}: ${oneLine(typeof value === "string" ? value : JSON.stringify(value))}`),
    `/approve ${id} (this once) · /approve ${id} always (exactly this, in this conversation) · /deny ${id}`,
  ].join("\n");
}
