/**
 * What model calls cost: one table, as the providers published it in November 2026.
 *
 * Standard rates for short prompts; surcharges of very long prompts, batch discounts and taxes
 * are left out, so a cost is an estimate. The setting models.prices goes before this table.
 * What a model costs that is in neither is unknown, never 0 and never a guess.
 */
import type { PriceBound } from "../model/budget.ts";
import type { Usage } from "../model/chat.ts";

const MICROS_PER_DOLLAR = 1_000_000;

/** US dollars per million tokens, which is also millionths of a dollar per token. */
export interface Price {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  /** US dollars per call, for models that are billed by the request; 0 for the others. */
  readonly call: number;
}

/** When the table was last held against the providers' pages. */
export const PRICES_DATE = "2026-11-20";

/** Anthropic: reading the cache costs a tenth of the input, writing it for 5 minutes a quarter more. */
const anthropic = (input: number, output: number): Price => ({ input, output, cacheRead: input / 10, cacheWrite: input * 1.25, call: 0 });
const openai = (input: number, cacheRead: number, output: number): Price => ({ input, output, cacheRead, cacheWrite: input, call: 0 });
const google = openai;

/** By the beginning of the model's name; the longest that fits counts. */
const PRICES: Readonly<Record<string, Price>> = {
  "claude-fable-5": anthropic(10, 50),
  "claude-opus-5-5": anthropic(4, 20),
  "claude-opus-5": anthropic(5, 25),
  "claude-opus-4-8": anthropic(5, 25),
  "claude-opus-4-7": anthropic(5, 25),
  "claude-opus-4-6": anthropic(5, 25),
  "claude-opus-4-5": anthropic(5, 25),
  "claude-opus-4": anthropic(15, 75),
  "claude-sonnet-5": anthropic(2, 10),
  "claude-sonnet-4": anthropic(3, 15),
  "claude-haiku-4-5": anthropic(1, 5),
  "gpt-6.1-sol": openai(2, 0.1, 10),
  "gpt-6.1-terra": openai(1, 0.05, 5),
  "gpt-6-sol": openai(2, 0.2, 10),
  "gpt-6-luna": openai(0.1, 0.01, 0.5),
  "gpt-5.5": openai(5, 0.5, 30),
  "gpt-5.5-pro": openai(30, 30, 180),
  "gpt-5.4": openai(2.5, 0.25, 15),
  "gpt-5.4-pro": openai(30, 30, 180),
  "gpt-5.4-mini": openai(0.75, 0.075, 4.5),
  "gpt-5.4-nano": openai(0.2, 0.02, 1.25),
  "gemini-3.8-flash": google(0.75, 0.75, 3.75),
};

/** Context windows in tokens, by the beginning of the model's name; the longest that fits counts. */
const CONTEXT_WINDOWS: Readonly<Record<string, number>> = {
  "claude-fable-5": 1_000_000,
  "claude-opus-5": 1_000_000,
  "claude-opus-4-6": 1_000_000,
  "claude-sonnet-5": 1_000_000,
  "claude-sonnet-4-6": 1_000_000,
  "claude-haiku-5": 1_000_000,
  claude: 200_000,
  "gpt-6": 922_000,
  "gpt-5": 272_000,
  gemini: 1_000_000,
  rehearsal: 200_000,
};

/** What an unknown model is taken to hold. */
export const CONTEXT_WINDOW_GUESS = 128_000;

export function knownContextWindow(model: string): number {
  return longestFit(CONTEXT_WINDOWS, model) ?? CONTEXT_WINDOW_GUESS;
}

/**
 * What a model costs, or null when nobody knows.
 * @param model the provider's own name of the model.
 * @param overrides by `<provider>/<model>` or by the model's name alone.
 */
export function priceOf(provider: string, model: string, overrides: Readonly<Record<string, Price>>): Price | null {
  return overrides[`${provider}/${model}`] ?? overrides[model] ?? longestFit(PRICES, model) ?? null;
}

/** Millionths of a US dollar for the tokens of one call, rounded; null when the price is unknown. */
export function costMicros(provider: string, model: string, tokens: Pick<Usage, "input" | "output" | "cacheRead" | "cacheWrite">, overrides: Readonly<Record<string, Price>>): number | null {
  const price = priceOf(provider, model, overrides);
  if (price === null) return null;
  const uncached = Math.max(0, tokens.input - tokens.cacheRead - tokens.cacheWrite);
  return Math.round(uncached * price.input + tokens.cacheRead * price.cacheRead + tokens.cacheWrite * price.cacheWrite + tokens.output * price.output + price.call * MICROS_PER_DOLLAR);
}

/** The most that one token and one call can cost, whatever of the prompt is cached. */
export function priceBound(price: Price): PriceBound {
  return { input: Math.max(price.input, price.cacheRead, price.cacheWrite), output: price.output, call: price.call * MICROS_PER_DOLLAR };
}

/** The entry whose name begins `model`, e.g. of `claude-sonnet-4-5-20250929` or `anthropic/claude-opus-5`. */
function longestFit<T>(table: Readonly<Record<string, T>>, model: string): T | undefined {
  const name = model.slice(model.lastIndexOf("/") + 1);
  let best: string | undefined;
  for (const begin of Object.keys(table)) {
    if (name.startsWith(begin) && (best === undefined || begin.length > best.length)) best = begin;
  }
  return best === undefined ? undefined : table[best];
}
