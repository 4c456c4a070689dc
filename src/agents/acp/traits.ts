/** What a harness says of itself and of its session, read from answers that nobody checked. */
import { countFrom } from "../../base/count.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { HarnessOption } from "../../model/harness.ts";

/** Entries of one list, and characters of one name, that are looked at. */
const LIST_MAX = 200;
const NAME_MAX_CHARS = 200;
const MICROS_PER_DOLLAR = 1_000_000;
/** A million dollars: what a process says to have cost beyond that is not believed. */
const COST_MAX_MICROS = 1_000_000 * MICROS_PER_DOLLAR;

export interface HarnessAbilities {
  readonly load: boolean;
  readonly resume: boolean;
  readonly fork: boolean;
  readonly close: boolean;
  readonly steer: boolean;
  /** Tool servers may be named by their address. */
  readonly httpTools: boolean;
}

export function abilitiesOf(initialized: JsonObject): HarnessAbilities {
  const capabilities = objectIn(initialized, "agentCapabilities");
  const session = objectIn(capabilities, "sessionCapabilities");
  const steering = objectIn(initialized, "_meta")["steering"];
  return {
    load: capabilities["loadSession"] === true,
    resume: isJsonObject(session["resume"]),
    fork: isJsonObject(session["fork"]),
    close: isJsonObject(session["close"]),
    steer: steering === true || (isJsonObject(steering) && steering["supported"] !== false),
    httpTools: objectIn(capabilities, "mcpCapabilities")["http"] === true,
  };
}

/** Modes, options and commands of a session, as last heard. */
export class SessionTraits {
  mode: string | null = null;
  modes: readonly string[] = [];
  options: readonly HarnessOption[] = [];
  commands: readonly string[] = [];
  used: number | null = null;
  size: number | null = null;
  /** Over the life of the process, millionths of a dollar. */
  costMicros = 0;

  get model(): string | null {
    const current = this.#modelOption?.current;
    return typeof current === "string" ? current : null;
  }

  get models(): readonly string[] {
    return this.#modelOption?.values ?? [];
  }

  get #modelOption(): HarnessOption | undefined {
    return this.options.find(({ category }) => category === "model");
  }

  get modelOptionId(): string | null {
    return this.#modelOption?.id ?? null;
  }

  /** The answer to session/new, load, resume or set_config_option. */
  hear(answer: Json | undefined): void {
    if (!isJsonObject(answer)) return;
    const modes = answer["modes"];
    if (isJsonObject(modes)) {
      this.mode = textIn(modes, "currentModeId");
      this.modes = listIn(modes, "availableModes").flatMap((mode) => textIn(mode, "id") ?? []);
    }
    if (!Array.isArray(answer["configOptions"])) return;
    this.options = listIn(answer, "configOptions").flatMap(optionOf);
    // Some tell of a change of mode in this way only.
    const mode = this.options.find(({ category }) => category === "mode")?.current;
    if (typeof mode === "string" && this.modes.includes(mode)) this.mode = mode;
  }

  /** A session update; the rest is not about the session's traits. */
  update(update: JsonObject): void {
    switch (update["sessionUpdate"]) {
      case "current_mode_update":
        this.mode = textIn(update, "currentModeId") ?? this.mode;
        break;
      case "config_option_update":
        this.hear(update);
        break;
      case "available_commands_update":
        this.commands = listIn(update, "availableCommands").flatMap((command) => textIn(command, "name") ?? []);
        break;
      case "usage_update": {
        this.used = numberIn(update, "used") ?? this.used;
        this.size = numberIn(update, "size") ?? this.size;
        const cost = objectIn(update, "cost");
        const amount = cost["amount"];
        const micros = countFrom(typeof amount === "number" ? amount * MICROS_PER_DOLLAR : null, COST_MAX_MICROS);
        if (micros !== null && cost["currency"] === "USD") this.costMicros = Math.max(this.costMicros, micros);
        break;
      }
    }
  }
}

function optionOf(option: JsonObject): HarnessOption[] {
  const id = textIn(option, "id");
  if (id === null) return [];
  const current = option["currentValue"];
  // Values stand in one list, or in groups.
  const values = listIn(option, "options").flatMap((one) => (Array.isArray(one["options"]) ? listIn(one, "options") : [one]));
  return [
    {
      id,
      name: textIn(option, "name") ?? id,
      category: textIn(option, "category"),
      current: typeof current === "string" || typeof current === "boolean" ? current : null,
      values: values.flatMap((one) => textIn(one, "value") ?? []),
    },
  ];
}

export function objectIn(object: JsonObject, key: string): JsonObject {
  const value = object[key];
  return isJsonObject(value) ? value : {};
}

export function textIn(object: JsonObject, key: string): string | null {
  const value = object[key];
  return typeof value === "string" && value !== "" ? value.slice(0, NAME_MAX_CHARS) : null;
}

export function numberIn(object: JsonObject, key: string): number | null {
  return countFrom(object[key]);
}

function listIn(object: JsonObject, key: string): readonly JsonObject[] {
  const value = object[key];
  return Array.isArray(value) ? value.slice(0, LIST_MAX).filter(isJsonObject) : [];
}
