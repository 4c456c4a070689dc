/**
 * Which conversation a request of OpenAI's APIs belongs to, and what of it is news there.
 *
 * | the request has | the conversation | what the agent is told |
 * |---|---|---|
 * | header `x-yard-session`, or `metadata.session` | that one | what was said after the last answer |
 * | `previous_response_id` | the one of that answer | the same |
 * | `user` | that user's own: `agent:<agent>:openai:direct:<user>` | the same |
 * | nothing of it | one for this request alone | everything, in one message |
 *
 * A conversation of the gateway remembers what was said in it, so what the caller repeats is passed
 * over there, and so are the caller's system texts: the agent has instructions of its own.
 */
import { createHash } from "node:crypto";
import type { SessionKey } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import { DEFAULT_AGENT, directSession, isName, parseSessionKey } from "../../model/session.ts";
import { bad } from "../read-body.ts";
import type { Ask, Said } from "./read-ask.ts";

export const OPENAI_CHANNEL = "openai";
export const SESSION_HEADER = "x-yard-session";
const RESPONSE_ID = /^resp_([A-Za-z0-9_-]+)\.([A-Za-z0-9_]+)$/;

export interface Place {
  readonly session: SessionKey;
  /** The model that the request names, `<provider>/<model>`; null = the agent's own. */
  readonly model: string | null;
  readonly text: string;
  /** True when nothing is left of it after the answer. */
  readonly isPassing: boolean;
  /** True when its text is just what a person wrote. */
  readonly isPlain: boolean;
}

export interface Known {
  readonly agents: readonly string[];
  readonly models: readonly string[];
}

/** @throws {Fault} BAD_REQUEST, AGENT_NOT_FOUND */
export function placeOf(ask: Ask, header: string | undefined, known: Known, freshName: () => string): Place {
  const { agent, model } = addressee(ask.model, known);
  const named = header ?? ask.metadata["session"] ?? (ask.previous === null ? undefined : sessionOfResponse(ask.previous));
  if (named === undefined && ask.user === null) {
    return { session: directSession(agent, OPENAI_CHANNEL, freshName()), model, text: everything(ask.said), isPassing: !ask.store, isPlain: ask.said.length === 1 };
  }
  const session = named === undefined ? directSession(agent, OPENAI_CHANNEL, nameOf(ask.user!)) : parseSessionKey(named, "session").key;
  return { session, model, text: news(ask.said), isPassing: false, isPlain: true };
}

/** The id of an answer holds its conversation, so that a later request can go on from it. */
export function responseId(session: SessionKey, messageId: string): string {
  return `resp_${Buffer.from(session).toString("base64url")}.${messageId}`;
}

function sessionOfResponse(id: string): string {
  const found = RESPONSE_ID.exec(id)?.[1];
  if (found === undefined) throw bad("previous_response_id", "is not the id of an answer of this gateway");
  return Buffer.from(found, "base64url").toString("utf8");
}

function addressee(name: string, { agents, models }: Known): { agent: string; model: string | null } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? name : name.slice(0, slash);
  if (agents.includes(first)) return { agent: first, model: slash < 0 ? null : name.slice(slash + 1) };
  if (slash > 0 && models.some((model) => model.startsWith(`${first}/`))) return { agent: DEFAULT_AGENT, model: name };
  throw new Fault("AGENT_NOT_FOUND", { agent: name, known: [...agents, ...models].join(", ") });
}

/** A user's name as it may stand in a key; others by their fingerprint. */
function nameOf(user: string): string {
  return isName(user) ? user : `u-${createHash("sha256").update(user).digest("hex").slice(0, 24)}`;
}

function news(said: readonly Said[]): string {
  const from = said.findLastIndex(({ role }) => role === "assistant") + 1;
  const texts = said.slice(from).filter(({ role, text }) => role === "user" && text.trim() !== "");
  if (texts.length === 0) throw bad("messages", "hold nothing that a user said after the last answer");
  return texts.map(({ text }) => text).join("\n\n");
}

function everything(said: readonly Said[]): string {
  const last = said.findLastIndex(({ role, text }) => role === "user" && text.trim() !== "");
  if (last < 0) throw bad("messages", "hold nothing that a user said");
  const system = said.filter(({ role }) => role === "system").map(({ text }) => text);
  const earlier = said.filter(({ role, text }, at) => at !== last && role !== "system" && text.trim() !== "").map(({ role, text }) => `${role}: ${text}`);
  return [...sectionOf("Instructions", system), ...sectionOf("Said before", earlier), said[last]!.text].join("\n\n");
}

function sectionOf(title: string, texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : [`[${title}]\n${texts.join("\n")}\n[end]`];
}
