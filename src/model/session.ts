/**
 * A session: a durable conversation under a stable key.
 *
 * Keys are made and read here only:
 *
 *     agent:<agent>:main                              the person's own session
 *     agent:<agent>:<name>                            a further one of the same person
 *     agent:<agent>:<channel>:direct:<peer>           one person on one channel
 *     agent:<agent>:<channel>:group:<peer>            one group
 *     agent:<agent>:subagent:<id>                     a child
 *     agent:<agent>:acp:<id>                          a child that is an external harness
 *     job:<id>                                        a job's own session
 *
 * A key is an address, never an authority. What a platform calls a person or a group may hold any
 * characters; those that cannot stand in a key are written as `%` and their bytes of UTF-8, as in a URL.
 */
import type { SessionKey } from "../base/ids.ts";
import { Fault } from "./faults.ts";
import type { PoolName } from "./lane.ts";

export const SESSION_KINDS = ["main", "direct", "group", "subagent", "acp", "job"] as const;
export type SessionKind = (typeof SESSION_KINDS)[number];

/** Longest key in characters. */
export const SESSION_KEY_LENGTH_MAX = 200;

export const DEFAULT_AGENT = "main";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$/;

/** What a peer is called: a telephone number may begin with +, a group's number with -. */
const PEER = /^(?:[A-Za-z0-9._@+-]|%[0-9A-F]{2}){1,190}$/;
const NOT_IN_PEER = /[^A-Za-z0-9._@+-]/gu;

/** True for names that may stand in a key: of an agent, a channel. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

export function mainSession(agent: string): SessionKey {
  return key(`agent:${named("agent", agent)}:main`);
}

export function directSession(agent: string, channel: string, peer: string): SessionKey {
  if (peer === "" || !peer.isWellFormed()) throw new Fault("BAD_REQUEST", { where: "peer", problem: "must be text of at least one character" });
  return key(`agent:${named("agent", agent)}:${named("channel", channel)}:direct:${peer.replaceAll(NOT_IN_PEER, percented)}`);
}

export function childSession(agent: string, runtime: "subagent" | "acp", id: string): SessionKey {
  return key(`agent:${named("agent", agent)}:${runtime}:${id}`);
}

export function jobSession(id: string): SessionKey {
  return key(`job:${named("job", id)}`);
}

/** True for a conversation that comes into being when it is first spoken to; those of children and jobs are made otherwise. */
export function isMadeByMessage(session: SessionKey): boolean {
  const { kind } = parseSessionKey(session).parts;
  return kind === "main" || kind === "direct" || kind === "group";
}

export interface KeyParts {
  readonly kind: SessionKind;
  readonly agent: string;
  readonly channel: string | null;
  readonly peer: string | null;
}

/**
 * Reads a key from outside.
 * @throws {Fault} BAD_REQUEST  it is not a session key; the text says how one looks.
 */
export function parseSessionKey(text: string, where = "session"): { key: SessionKey; parts: KeyParts } {
  const parts = text.length <= SESSION_KEY_LENGTH_MAX ? partsOf(text.split(":")) : null;
  if (parts === null) {
    throw new Fault("BAD_REQUEST", {
      where,
      problem: `${JSON.stringify(text.slice(0, 80))} is not a session key; use agent:<agent>:main, agent:<agent>:<name>, agent:<agent>:<channel>:direct:<peer> or a key from "yard sessions list"`,
    });
  }
  return { key: text as SessionKey, parts };
}

export function isSessionKey(text: string): text is SessionKey {
  return text.length <= SESSION_KEY_LENGTH_MAX && partsOf(text.split(":")) !== null;
}

function partsOf(words: readonly string[]): KeyParts | null {
  const [first, agent, third, fourth, fifth] = words;
  if (!words.every((word, at) => isName(word) || (at === 4 && PEER.test(word)))) return null;
  if (first === "job" && agent !== undefined && words.length === 2) return { kind: "job", agent: DEFAULT_AGENT, channel: null, peer: null };
  if (first !== "agent" || agent === undefined || third === undefined) return null;
  if (words.length === 3) return third === "subagent" || third === "acp" ? null : { kind: third === "main" ? "main" : "direct", agent, channel: null, peer: null };
  if (words.length === 4 && (third === "subagent" || third === "acp")) return { kind: third, agent, channel: null, peer: null };
  if (words.length !== 5 || (fourth !== "direct" && fourth !== "group")) return null;
  const peer = peerIn(fifth!);
  return peer === null ? null : { kind: fourth, agent, channel: third, peer };
}

/** What a peer is called, from how it stands in a key; null when it would be written in another way. */
function peerIn(word: string): string | null {
  let peer: string;
  try {
    peer = decodeURIComponent(word);
  } catch {
    return null; // no UTF-8
  }
  return peer.replaceAll(NOT_IN_PEER, percented) === word ? peer : null;
}

function percented(character: string): string {
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

function named(what: string, text: string): string {
  if (isName(text)) return text;
  throw new Fault("BAD_REQUEST", { where: what, problem: `${JSON.stringify(text.slice(0, 80))} may hold letters, digits and . _ @ + - only, 1 to 100 of them` });
}

function key(text: string): SessionKey {
  if (text.length > SESSION_KEY_LENGTH_MAX) throw new Fault("BAD_REQUEST", { where: "session", problem: `longer than ${SESSION_KEY_LENGTH_MAX} characters` });
  return text as SessionKey;
}

/** The pool whose slot a main-track turn of this kind of session takes. */
export const POOL_OF_KIND: Readonly<Record<SessionKind, PoolName>> = {
  main: "main",
  direct: "main",
  group: "main",
  subagent: "subagent",
  acp: "acp",
  job: "timer",
};
