/** Takes calls of webhooks in: checked, counted, and put through the same door as every message. */
import { isUtf8 } from "node:buffer";
import type { Clock } from "../base/clock.ts";
import { parseJson, type Json } from "../base/json.ts";
import type { Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import type { Received, Sessions } from "../sessions/sessions.ts";
import { checkCall, deliveryIdOf, textOfCall, type HookCall } from "./hook.ts";
import { hooksList } from "./settings.ts";

const MINUTE_MS = 60_000;

export interface HooksDeps {
  readonly sessions: Sessions;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly environment: (name: string) => string | undefined;
}

export class Hooks {
  readonly #deps: HooksDeps;
  /** When each hook was called within the last minute; as many hooks as are set up, each as often as it may. */
  readonly #calls = new Map<string, number[]>();

  constructor(deps: HooksDeps) {
    this.#deps = deps;
  }

  /** @throws {Fault} HOOK_REFUSED, HOOK_TOO_OFTEN, BAD_REQUEST, and what `accept` throws. */
  async call(name: string, call: HookCall): Promise<Received> {
    const { settings, sessions, clock, environment } = this.#deps;
    const hook = settings.get(hooksList).find((one) => one.name === name);
    // The same words for a hook that is not there: who has no secret learns no names.
    if (hook === undefined) throw new Fault("HOOK_REFUSED", { hook: name.slice(0, 100), problem: "the signature is missing or wrong" });
    checkCall(hook, hook.secret ?? environment(hook.secretEnv!) ?? "", call, clock.now());
    this.#count(hook.name, hook.perMinute);
    return sessions.accept({
      session: hook.session,
      text: textOfCall(hook, bodyOf(call.body)),
      provenance: "webhook",
      channel: "hook",
      sourceId: deliveryIdOf(hook, call),
      author: `hook:${hook.name}`,
      queueMode: "followup",
      mayCommand: false,
    });
  }

  #count(name: string, perMinute: number): void {
    const now = this.#deps.clock.monotonic();
    const recent = (this.#calls.get(name) ?? []).filter((at) => now - at < MINUTE_MS);
    if (recent.length >= perMinute) throw new Fault("HOOK_TOO_OFTEN", { hook: name, perMinute }, { retryAfterMs: Math.ceil(recent[0]! + MINUTE_MS - now) });
    recent.push(now);
    this.#calls.set(name, recent);
  }
}

/** JSON when it is some, else the text. */
function bodyOf(bytes: Buffer): Json | string {
  if (!isUtf8(bytes)) throw new Fault("INVALID_UTF8", { where: "body" });
  const text = bytes.toString("utf8").replaceAll("\0", "");
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}
