/**
 * The one place that knows what a secret looks like.
 *
 * Two nets: values registered as secrets when configuration is read (exact, also URL-encoded and
 * base64), and well-known shapes of provider keys and bearer tokens, for those that arrive in
 * error texts and tool output.
 */
const MASK = "[secret]";

/** Shapes of keys that providers issue, and of tokens in headers. Each is linear in the text's length. */
const SHAPES = [
  /\bsk-[A-Za-z0-9_-]{16,}/g,
  /\bAIza[A-Za-z0-9_-]{30,}/g,
  /\bgh[pousr]_[A-Za-z0-9]{20,}/g,
  /\bxox[abprs]-[A-Za-z0-9-]{10,}/g,
  /\b(Bearer\s+)[A-Za-z0-9._~+/=-]{20,}/g,
];

/** Masks everything in `text` that has the shape of a credential. */
export function redact(text: string): string {
  let masked = text;
  for (const shape of SHAPES) {
    masked = masked.replace(shape, (_all, prefix: unknown) => (typeof prefix === "string" ? prefix + MASK : MASK));
  }
  return masked;
}

/** A secret shorter than this is not searched for: masking it would garble ordinary text. */
const SECRET_LENGTH_MIN = 8;

/** Masks known secret values and what has the shape of a credential. */
export function makeRedactor(secrets: readonly string[]): (text: string) => string {
  const mask = makeMask(secrets);
  return (text) => redact(mask.of(text));
}

/** Masks known secret values only, in the clear, URL-encoded and base64: for texts in which shapes alone prove nothing, such as the files of a project. */
export interface Mask {
  of(text: string): string;
  /** How much of a text can be masked by now: whatever comes after it, no secret begins in this part and ends in the rest. */
  settled(text: string): number;
}

export const NO_MASK: Mask = { of: (text) => text, settled: ({ length }) => length };

export function makeMask(secrets: readonly string[]): Mask {
  const needles = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < SECRET_LENGTH_MIN) continue;
    needles.add(secret);
    // Half a pair of surrogates cannot be encoded; it would be sent as a replacement character.
    needles.add(encodeURIComponent(secret.toWellFormed()));
    needles.add(Buffer.from(secret).toString("base64"));
  }
  // The longest first: a secret that is the beginning of another must not take it apart.
  const byLength = [...needles].sort((a, b) => b.length - a.length);
  return {
    of(text) {
      let masked = text;
      for (const needle of byLength) if (masked.includes(needle)) masked = masked.replaceAll(needle, MASK);
      return masked;
    },
    settled(text) {
      let end = text.length - openEnd(text);
      // A whole secret may end in what is open, because it ends as it or another one begins.
      for (let cut = end; ; cut = end) {
        for (const needle of byLength) {
          const at = text.indexOf(needle, Math.max(0, cut - needle.length + 1));
          if (at !== -1 && at < end && end < at + needle.length) end = at;
        }
        if (end === cut) return end;
      }
    },
  };

  /** How many characters at the end may be the beginning of a secret. */
  function openEnd(text: string): number {
    for (let length = Math.min(text.length, (byLength[0]?.length ?? 1) - 1); length > 0; length--) {
      const tail = text.slice(-length);
      if (byLength.some((needle) => needle.length > length && needle.startsWith(tail))) return length;
    }
    return 0;
  }
}

/** The same for secrets that may change meanwhile. */
export function makeLiveMask(secrets: () => readonly string[]): Mask {
  let known: readonly string[] = [];
  let mask = makeMask(known);
  const now = (): Mask => {
    const current = secrets();
    if (current.length !== known.length || current.some((secret, index) => secret !== known[index])) {
      known = current;
      mask = makeMask(known);
    }
    return mask;
  };
  return { of: (text) => now().of(text), settled: (text) => now().settled(text) };
}

/** Masks a text that comes in pieces: what may be the beginning of a secret is kept back until it is known. */
export class MaskedStream {
  readonly #mask: Mask;
  #kept = "";

  constructor(mask: Mask) {
    this.#mask = mask;
  }

  /** @returns what can be shown by now; may be empty. */
  push(piece: string): string {
    const text = this.#kept + piece;
    const settled = this.#mask.settled(text);
    this.#kept = text.slice(settled);
    return this.#mask.of(text.slice(0, settled));
  }

  /** @returns what was kept back: no more comes. */
  end(): string {
    const rest = this.#mask.of(this.#kept);
    this.#kept = "";
    return rest;
  }
}
