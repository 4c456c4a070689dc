/**
 * The catalogue: which providers there are right now, and who answers to a model's name.
 *
 * Providers come from the setting, from well-known environment variables, from an Ollama that was
 * found, and the built-in rehearsal, in this order; the first with a name keeps it. Everything is
 * read anew at each use, so a change of settings or keys counts for the next call.
 */
import type { Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import { knownContextWindow } from "./prices.ts";
import { ENDPOINTS, NOTHING_LIMITED, providers, REHEARSAL, type ModelSetup, type ProviderSetup } from "./settings.ts";

export const REHEARSAL_MODEL = `${REHEARSAL}/rehearsal`;

export type ProviderSource = "config" | "environment" | "found" | "built-in";

export interface CatalogueEntry {
  readonly id: string;
  readonly source: ProviderSource;
  /** null for the built-in rehearsal, which needs none. */
  readonly setup: ProviderSetup | null;
  /** What an agent gets that names no model; null when the provider has no obvious one. */
  readonly defaultModel: string | null;
}

/** Who answers to a model's name. */
export interface Route {
  readonly provider: string;
  /** The provider's own name of the model; may hold slashes. */
  readonly model: string;
  readonly setup: ProviderSetup | null;
  readonly listed: ModelSetup | undefined;
}

const bare = (id: string): ModelSetup => ({ id, contextWindow: null, maxOutputTokens: null });

/** Providers that are there as soon as their variable is set; the first model is the default. */
const BY_ENVIRONMENT = [
  { id: "anthropic", api: "anthropic-messages", apiKeyEnv: "ANTHROPIC_API_KEY", models: ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5"] },
  { id: "openai", api: "openai-responses", apiKeyEnv: "OPENAI_API_KEY", models: ["gpt-6.1-terra", "gpt-6.1-sol", "gpt-6-luna"] },
  { id: "gemini", api: "google-generative-ai", apiKeyEnv: "GEMINI_API_KEY", models: ["gemini-3.8-flash"] },
] as const;

export class Catalogue {
  readonly #settings: Settings;
  readonly #environment: (name: string) => string | undefined;
  #ollamaModels: readonly string[] = [];

  constructor(settings: Settings, environment: (name: string) => string | undefined) {
    this.#settings = settings;
    this.#environment = environment;
  }

  /** Sets the models of the Ollama on this machine; an empty list takes it out again. */
  setOllama(models: readonly string[]): void {
    this.#ollamaModels = models;
  }

  entries(): readonly CatalogueEntry[] {
    const entries = new Map<string, CatalogueEntry>();
    const add = (entry: CatalogueEntry): void => void (entries.has(entry.id) || entries.set(entry.id, entry));
    for (const [id, setup] of Object.entries(this.#settings.get(providers))) add({ id, source: "config", setup, defaultModel: setup.models[0]?.id ?? null });
    for (const { id, api, apiKeyEnv, models } of BY_ENVIRONMENT) {
      if (!this.#environment(apiKeyEnv)) continue;
      const setup: ProviderSetup = { api, baseUrl: ENDPOINTS[api].baseUrl, accounts: [{ name: "1", apiKey: null, apiKeyEnv }], limits: NOTHING_LIMITED, models: models.map(bare), headers: {} };
      add({ id, source: "environment", setup, defaultModel: models[0] });
    }
    const [first] = this.#ollamaModels;
    if (first !== undefined) {
      const setup: ProviderSetup = { api: "openai-completions", baseUrl: `${OLLAMA_URL}/v1`, accounts: [], limits: NOTHING_LIMITED, models: this.#ollamaModels.map(bare), headers: {} };
      add({ id: "ollama", source: "found", setup, defaultModel: first });
    }
    add({ id: REHEARSAL, source: "built-in", setup: null, defaultModel: "rehearsal" });
    return [...entries.values()];
  }

  defaultModel(): string {
    const entry = this.entries().find((each) => each.defaultModel !== null);
    return entry === undefined ? REHEARSAL_MODEL : `${entry.id}/${entry.defaultModel}`;
  }

  knownModels(): readonly string[] {
    return this.entries().flatMap(({ id, setup }) => (setup === null ? [REHEARSAL_MODEL] : setup.models.map((model) => `${id}/${model.id}`)));
  }

  /**
   * Who answers to `name`: `<provider>/<model>`, or a model's name alone when just one provider lists it.
   * @throws {Fault} MODEL_UNKNOWN
   */
  route(name: string): Route {
    const found = this.#find(name);
    if (found !== undefined) return found;
    throw new Fault("MODEL_UNKNOWN", { model: name, known: this.entries().map((entry) => entry.id).join(", ") });
  }

  /** Tokens that the model can hold; a guess for a name that nobody knows. */
  contextWindow(name: string): number {
    return this.#find(name)?.listed?.contextWindow ?? knownContextWindow(name);
  }

  #find(name: string): Route | undefined {
    const entries = this.entries();
    const slash = name.indexOf("/");
    const model = name.slice(slash + 1);
    const entry = slash <= 0 || model === "" ? undefined : entries.find((each) => each.id === name.slice(0, slash));
    if (entry !== undefined) return route(entry, model);
    const lists = entries.filter((each) => each.setup?.models.some((listed) => listed.id === name) ?? each.defaultModel === name);
    return lists.length === 1 ? route(lists[0]!, name) : undefined;
  }
}

/** Where an Ollama listens unless its owner moved it. */
export const OLLAMA_URL = "http://127.0.0.1:11434";

function route(entry: CatalogueEntry, model: string): Route {
  return { provider: entry.id, model, setup: entry.setup, listed: entry.setup?.models.find((listed) => listed.id === model) };
}
