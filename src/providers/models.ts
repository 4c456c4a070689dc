/**
 * The libraries' model objects: each library is loaded on first use, and each object is made once
 * per provider, model and key.
 */
import type { LanguageModelV4 } from "@ai-sdk/provider";
import type { ProviderSetup } from "./settings.ts";

/** Objects kept; with more, the oldest are made again when needed. */
const MODELS_MAX = 1000;
/** Sent where a library insists on a key and the provider needs none. */
const NO_KEY = "none";

export class Models {
  readonly #fetch: typeof fetch;
  readonly #generateId: () => string;
  readonly #made = new Map<string, Promise<LanguageModelV4>>();

  constructor(fetchIt: typeof fetch, generateId: () => string) {
    this.#fetch = fetchIt;
    this.#generateId = generateId;
  }

  get(provider: string, setup: ProviderSetup, model: string, key: string | null): Promise<LanguageModelV4> {
    const id = `${provider}\0${model}\0${key ?? ""}`;
    const known = this.#made.get(id);
    if (known !== undefined) return known;
    const made = this.#make(setup, model, key);
    this.#made.set(id, made);
    made.catch(() => this.#made.delete(id));
    if (this.#made.size > MODELS_MAX) this.#made.delete(this.#made.keys().next().value!);
    return made;
  }

  /** Forgets all, after addresses or headers may have changed. */
  clear(): void {
    this.#made.clear();
  }

  async #make(setup: ProviderSetup, model: string, key: string | null): Promise<LanguageModelV4> {
    const options = { baseURL: setup.baseUrl, apiKey: key ?? NO_KEY, headers: { ...setup.headers }, fetch: this.#fetch };
    switch (setup.api) {
      case "anthropic-messages": {
        const { createAnthropic } = await import("@ai-sdk/anthropic");
        return createAnthropic({ ...options, generateId: this.#generateId }).messages(model);
      }
      case "google-generative-ai": {
        const { createGoogle } = await import("@ai-sdk/google");
        return createGoogle({ ...options, generateId: this.#generateId }).chat(model);
      }
      case "openai-responses": {
        const { createOpenAI } = await import("@ai-sdk/openai");
        return createOpenAI(options).responses(model);
      }
      case "openai-completions": {
        if (isOpenAi(setup)) {
          const { createOpenAI } = await import("@ai-sdk/openai");
          return createOpenAI(options).chat(model);
        }
        const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
        const { apiKey: _none, ...keyless } = options;
        return createOpenAICompatible({ ...(key === null ? keyless : options), name: "compatible", includeUsage: true }).chatModel(model);
      }
    }
  }
}

/** True for OpenAI itself, which takes more than those who are compatible with it. */
export function isOpenAi(setup: ProviderSetup): boolean {
  return new URL(setup.baseUrl).hostname === "api.openai.com";
}
