/**
 * Sums: + - * / and parentheses over decimal numbers, read by hand.
 *
 * Refused: everything else. Nothing is ever evaluated as code, and a text that is too long or
 * nested too deep is no sum.
 */

/** Longest text that is read as a sum, characters; it bounds the nesting too. */
const SUM_LENGTH_MAX = 200;

/** Digits that an answer shows, so that 0.1 + 0.2 reads 0.3. */
const ANSWER_DIGITS = 12;

export type Sum = { readonly outcome: "value"; readonly text: string } | { readonly outcome: "division by zero" } | { readonly outcome: "no sum" };

/** @param text  e.g. `17 * (23 + 1)`; `×`, `x` between numbers and `÷` are read as well. */
export function workOut(text: string): Sum {
  if (text.length > SUM_LENGTH_MAX) return { outcome: "no sum" };
  const tokens = tokensOf(text);
  if (tokens === null) return { outcome: "no sum" };
  const reader = new SumReader(tokens);
  const value = reader.whole();
  if (value === null) return { outcome: "no sum" };
  if (!Number.isFinite(value)) return { outcome: "division by zero" };
  return { outcome: "value", text: String(Number(value.toPrecision(ANSWER_DIGITS))) };
}

/** True when `text` is a sum with at least one operation in it; a bare number is none. */
export function isSum(text: string): boolean {
  return /\d\s*[-+*/×÷x]\s*[-(\d]/.test(text) && workOut(text).outcome !== "no sum";
}

function tokensOf(text: string): string[] | null {
  const plain = text.replace(/[×x]/g, "*").replace(/÷/g, "/").replace(/\s+/g, " ");
  const tokens = plain.match(/\d+(?:\.\d+)?|[-+*/()]|[^ ]/g) ?? [];
  return tokens.every((token) => /^(?:\d|[-+*/()]$)/.test(token)) ? tokens : null;
}

/** Reads `sum = product {+|- product}`, `product = factor {*|/ factor}`, `factor = number | -factor | (sum)`. */
class SumReader {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  whole(): number | null {
    const value = this.#sum();
    return this.#at === this.#tokens.length ? value : null;
  }

  #sum(): number | null {
    let value = this.#product();
    while (value !== null && (this.#next() === "+" || this.#next() === "-")) {
      const sign = this.#take() === "+" ? 1 : -1;
      const right = this.#product();
      value = right === null ? null : value + sign * right;
    }
    return value;
  }

  #product(): number | null {
    let value = this.#factor();
    while (value !== null && (this.#next() === "*" || this.#next() === "/")) {
      const times = this.#take() === "*";
      const right = this.#factor();
      value = right === null ? null : times ? value * right : value / right;
    }
    return value;
  }

  #factor(): number | null {
    const token = this.#take();
    if (token === undefined) return null;
    if (token === "-") {
      const value = this.#factor();
      return value === null ? null : -value;
    }
    if (token === "(") {
      const value = this.#sum();
      return this.#take() === ")" ? value : null;
    }
    return /^\d/.test(token) ? Number(token) : null;
  }

  #next(): string | undefined {
    return this.#tokens[this.#at];
  }

  #take(): string | undefined {
    return this.#tokens[this.#at++];
  }
}
