/**
 * The models of providers: what makes the requests to one, and what reads its answers. Each library is
 * loaded on first use, and each model is made once per provider and key.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import type { HttpCall } from "./http-send.ts";
import type { ProviderSetup } from "./settings.ts";
import type { AnswerReader, Say } from "./wire/reader.ts";

/** Models kept; with more, the oldest are made again when needed. */
const MODELS_MAX = 1000;
/** Sent where a library insists on a key and the provider needs none. */
const NO_KEY = "none";

export interface Model {
  /** @throws whatever the library finds wrong with the options */
  request(options: LanguageModelV4CallOptions & { abortSignal: AbortSignal }): Promise<HttpCall>;
  read(say: Say): AnswerReader;
}

export class Models {
  readonly #freshId: () => string;
  readonly #made = new Map<string, Promise<Model>>();

  constructor(freshId: () => string) {
    this.#freshId = freshId;
  }

  get(provider: string, setup: ProviderSetup, model: string, key: string | null): Promise<Model> {
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

  async #make(setup: ProviderSetup, model: string, key: string | null): Promise<Model> {
    const [library, { readerFor }] = await Promise.all([libraryModel(setup, model, key, keepInsteadOfSending), import("./wire/reader.ts")]);
    return {
      request: (options) => requestOf(library, options),
      read: (say) => readerFor(setup.api, say, this.#freshId),
    };
  }
}

/** A library's own model, which makes requests and would read answers as well. */
export async function libraryModel(setup: ProviderSetup, model: string, key: string | null, fetchIt: typeof fetch): Promise<LanguageModelV4> {
  const options = { baseURL: setup.baseUrl, apiKey: key ?? NO_KEY, headers: { ...setup.headers }, fetch: fetchIt };
  switch (setup.api) {
    case "anthropic-messages": {
      const { createAnthropic } = await import("@ai-sdk/anthropic");
      return createAnthropic(options).messages(model);
    }
    case "google-generative-ai": {
      const { createGoogle } = await import("@ai-sdk/google");
      return createGoogle(options).chat(model);
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

/** A request as a library made it; thrown, because that is the only way back out of the library. */
class Kept extends Error {
  readonly url: string;
  readonly init: RequestInit;
  constructor(url: string, init: RequestInit) {
    super("a request that was made and not sent");
    this.url = url;
    this.init = init;
  }
}

const keepInsteadOfSending: typeof fetch = (input, init) => Promise.reject(new Kept(String(input), init ?? {}));

async function requestOf(library: LanguageModelV4, options: LanguageModelV4CallOptions & { abortSignal: AbortSignal }): Promise<HttpCall> {
  try {
    await library.doStream(options);
  } catch (thrown) {
    if (!(thrown instanceof Kept)) throw thrown;
    return { method: "POST", url: thrown.url, headers: thrown.init.headers as Record<string, string>, body: thrown.init.body as string, signal: options.abortSignal };
  }
  throw new Error("the library asked nobody");
}

/** True for OpenAI itself, which takes more than those who are compatible with it. */
export function isOpenAi(setup: ProviderSetup): boolean {
  return new URL(setup.baseUrl).hostname === "api.openai.com";
}
