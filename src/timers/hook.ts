/**
 * Webhooks in: who may call, and what text a call becomes.
 *
 * Always true: a hook without a secret lets nobody in; secrets and signatures are compared in
 * constant time; a signed call is taken only within its window of time; what is called twice with one
 * delivery id is one message.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import type { SessionKey } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { DEFAULT_AGENT, isName, mainSession, parseSessionKey } from "../model/session.ts";

/** How a caller shows that it knows the secret. */
export const HOOK_AUTHS = ["hmac", "hmac-body", "bearer"] as const;

export interface Hook {
  readonly name: string;
  /** The secret itself, or the name of the environment variable that holds it. */
  readonly secret: string | null;
  readonly secretEnv: string | null;
  /**
   * `hmac`: `x-yard-signature: sha256=<hex>` over `<x-yard-timestamp>.<body>`. `hmac-body`: over the body
   * alone, as GitHub does it. `bearer`: `authorization: Bearer <secret>`.
   */
  readonly auth: (typeof HOOK_AUTHS)[number];
  readonly session: SessionKey;
  /** Text with `{{path.in.body}}`, `{{body}}`, `{{hook}}`. */
  readonly template: string;
  readonly windowSeconds: number;
  readonly perMinute: number;
}

export const HOOKS_MAX = 100;
export const HOOKS_BOUNDS = `a list of at most ${HOOKS_MAX} of {name, secret | secretEnv, auth?, session?, agent?, template?, windowSeconds?, perMinute?}`;
export const HOOK_BODY_BYTES_MAX = 256_000;
const SECRET_LENGTH_MIN = 16;
const TEMPLATE_LENGTH_MAX = 20_000;
const WINDOW_SECONDS = 300;
const PER_MINUTE = 60;
const PATH_STEPS_MAX = 16;
const PER_MINUTE_MAX = 100_000;
const WINDOW_SECONDS_MAX = 86_400;
const DELIVERY_ID_LENGTH_MAX = 200;
const TEMPLATE = "Webhook {{hook}}:\n{{body}}";

/** Where callers put what makes a call one of a kind. */
const DELIVERY_HEADERS = ["x-yard-delivery", "x-github-delivery", "webhook-id", "idempotency-key", "x-request-id"] as const;
const SIGNATURE_HEADERS = ["x-yard-signature", "x-hub-signature-256"] as const;
const TIMESTAMP_HEADERS = ["x-yard-timestamp", "webhook-timestamp"] as const;

/** @throws {Fault} BAD_REQUEST naming the place. */
export function readHooks(value: unknown): readonly Hook[] {
  if (!Array.isArray(value) || value.length > HOOKS_MAX) throw bad("hooks.list", `must be ${HOOKS_BOUNDS}`);
  const hooks = value.map((one, at) => readHook(one as Json, `[${at}]`));
  for (const [at, { name }] of hooks.entries()) if (hooks.findIndex((other) => other.name === name) !== at) throw bad(`[${at}].name`, `${name} stands twice`);
  return hooks;
}

const HOOK_FIELDS = ["name", "secret", "secretEnv", "auth", "session", "agent", "template", "windowSeconds", "perMinute"];

function readHook(value: Json, where: string): Hook {
  if (!isJsonObject(value)) throw bad(where, "must be an object");
  const unknown = Object.keys(value).find((name) => !HOOK_FIELDS.includes(name));
  if (unknown !== undefined) throw bad(`${where}.${unknown}`, `unknown field; known: ${HOOK_FIELDS.join(", ")}`);
  const { name, secret, secretEnv, auth = "hmac", session, agent = DEFAULT_AGENT, template = TEMPLATE, windowSeconds = WINDOW_SECONDS, perMinute = PER_MINUTE } = value;
  if (typeof name !== "string" || !isName(name)) throw bad(`${where}.name`, "must hold letters, digits and . _ @ + - only");
  if (secret !== undefined && (typeof secret !== "string" || secret.length < SECRET_LENGTH_MIN)) throw bad(`${where}.secret`, `must be text of at least ${SECRET_LENGTH_MIN} characters`);
  if (secretEnv !== undefined && typeof secretEnv !== "string") throw bad(`${where}.secretEnv`, "must be the name of an environment variable");
  if ((secret === undefined) === (secretEnv === undefined)) throw bad(where, "must have one of secret and secretEnv; without one nobody could be let in");
  if (!HOOK_AUTHS.includes(auth as Hook["auth"])) throw bad(`${where}.auth`, `must be one of ${HOOK_AUTHS.join(" | ")}`);
  if (typeof agent !== "string" || !isName(agent)) throw bad(`${where}.agent`, "must be the name of an agent");
  if (session !== undefined && typeof session !== "string") throw bad(`${where}.session`, "must be a session key");
  if (typeof template !== "string" || template === "" || template.length > TEMPLATE_LENGTH_MAX) throw bad(`${where}.template`, `must be text of 1 to ${TEMPLATE_LENGTH_MAX} characters`);
  return {
    name,
    secret: (secret as string | undefined) ?? null,
    secretEnv: (secretEnv as string | undefined) ?? null,
    auth: auth as Hook["auth"],
    session: session === undefined ? mainSession(agent) : parseSessionKey(session, `${where}.session`).key,
    template,
    windowSeconds: count(windowSeconds, `${where}.windowSeconds`, WINDOW_SECONDS_MAX),
    perMinute: count(perMinute, `${where}.perMinute`, PER_MINUTE_MAX),
  };
}

function count(value: Json, where: string, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > max) throw bad(where, `must be a whole number in 1..${max}`);
  return value;
}

function bad(where: string, problem: string): Fault {
  return new Fault("BAD_REQUEST", { where, problem });
}

// ── a call ──────────────────────────────────────────────────────────────────────────────────

export interface HookCall {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/** @throws {Fault} HOOK_REFUSED, saying no more than the caller must know. */
export function checkCall(hook: Hook, secret: string, call: HookCall, nowMs: number): void {
  const refuse = (problem: string): never => {
    throw new Fault("HOOK_REFUSED", { hook: hook.name, problem });
  };
  if (secret.length < SECRET_LENGTH_MIN) refuse("has no secret of its own; set one in hooks.list");
  if (hook.auth === "bearer") {
    const given = /^Bearer (.+)$/.exec(header(call, ["authorization"]) ?? "")?.[1];
    if (given === undefined || !same(digest(given), digest(secret))) refuse("the bearer secret is missing or wrong");
    return;
  }
  const signature = /^(?:sha256=)?([0-9a-f]{64})$/i.exec(header(call, SIGNATURE_HEADERS) ?? "")?.[1];
  if (signature === undefined) return void refuse("the signature is missing or not of the form sha256=<64 hex digits>");
  const hmac = createHmac("sha256", secret);
  if (hook.auth === "hmac") {
    const timestamp = header(call, TIMESTAMP_HEADERS) ?? "";
    const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : NaN;
    if (!(Math.abs(nowMs / 1000 - seconds) <= hook.windowSeconds)) refuse(`the timestamp is missing, or more than ${hook.windowSeconds} s away from now`);
    hmac.update(`${timestamp}.`);
  }
  if (!same(Buffer.from(signature, "hex"), hmac.update(call.body).digest())) refuse("the signature does not fit");
}

/** What makes the call one of a kind: the sender's id, else what it says. */
export function deliveryIdOf(hook: Hook, call: HookCall): string {
  const given = header(call, DELIVERY_HEADERS);
  if (given !== undefined && given !== "" && given.length <= DELIVERY_ID_LENGTH_MAX) return `${hook.name}:${given}`;
  return `${hook.name}:${digest(`${header(call, TIMESTAMP_HEADERS) ?? ""}.`, call.body).toString("hex")}`;
}

/** The text that a call becomes. */
export function textOfCall(hook: Hook, body: Json | string): string {
  return hook.template.replace(/\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}/g, (_whole, path: string) => {
    if (path === "hook") return hook.name;
    if (path === "body") return shown(body);
    return shown(at(body, path.split(".")));
  });
}

function at(value: Json | string | undefined, path: readonly string[]): Json | undefined {
  let found: Json | undefined = value;
  for (const step of path.slice(0, PATH_STEPS_MAX)) {
    if (Array.isArray(found)) found = (found as readonly Json[])[Number(step)];
    else if (isJsonObject(found) && Object.hasOwn(found, step)) found = (found as JsonObject)[step];
    else return undefined;
  }
  return found;
}

function shown(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, typeof value === "object" ? 2 : 0);
}

function header({ headers }: HookCall, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = headers[name];
    if (typeof value === "string") return value;
  }
  return undefined;
}

function digest(...parts: readonly (string | Buffer)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function same(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
