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
  return (text) => redact(mask(text));
}

/** Masks known secret values only, in the clear, URL-encoded and base64: for texts in which shapes alone prove nothing, such as the files of a project. */
export function makeMask(secrets: readonly string[]): (text: string) => string {
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
  return (text) => {
    let masked = text;
    for (const needle of byLength) if (masked.includes(needle)) masked = masked.replaceAll(needle, MASK);
    return masked;
  };
}

/** The same for secrets that may change meanwhile. */
export function makeLiveMask(secrets: () => readonly string[]): (text: string) => string {
  let known: readonly string[] = [];
  let mask = makeMask(known);
  return (text) => {
    const now = secrets();
    if (now.length !== known.length || now.some((secret, index) => secret !== known[index])) {
      known = now;
      mask = makeMask(known);
    }
    return mask(text);
  };
}
