/**
 * Keeps the beginning and the end of an output of any length, in bounded memory.
 *
 *     head (kept as it came)  ...  N bytes left out  ...  tail (a ring; older bytes make room)
 *
 * Both ends are cut between characters.
 */

/** The least room that is made for the head, bytes. */
const HEAD_GROWTH_MIN_BYTES = 4096;

export class BoundedOutput {
  readonly #headMax: number;
  readonly #tailMax: number;
  #head = Buffer.alloc(0);
  #headUsed = 0;
  #ring: Buffer | null = null;
  /** Bytes that ever went to the ring. */
  #ringTotal = 0;

  /** @param maxBytes  how much is kept in all. */
  constructor(maxBytes: number) {
    this.#headMax = Math.floor(maxBytes / 2);
    this.#tailMax = maxBytes - this.#headMax;
  }

  get isEmpty(): boolean {
    return this.#headUsed === 0;
  }

  add(chunk: Uint8Array): void {
    const toHead = Math.min(chunk.length, this.#headMax - this.#headUsed);
    if (toHead > 0) {
      this.#growHead(this.#headUsed + toHead);
      this.#head.set(chunk.subarray(0, toHead), this.#headUsed);
      this.#headUsed += toHead;
    }
    if (toHead < chunk.length) this.#addToRing(chunk.subarray(toHead));
  }

  /** Everything since the last call, as text; then begins anew. A character that is not complete yet is left for the next call. */
  take(): string {
    return this.#take(false);
  }

  /** As {@link take}, when nothing more will come. */
  takeRest(): string {
    return this.#take(true);
  }

  #take(isLast: boolean): string {
    const head = this.#head.subarray(0, this.#headUsed);
    const leftOut = Math.max(0, this.#ringTotal - this.#tailMax);
    const tail = this.#tail();
    this.#head = Buffer.alloc(0);
    this.#headUsed = 0;
    this.#ring = null;
    this.#ringTotal = 0;
    const all = leftOut === 0 ? Buffer.concat([head, tail]) : tail;
    const end = isLast ? all.length : wholeCharacters(all);
    this.add(all.subarray(end));
    if (leftOut === 0) return clean(all.toString("utf8", 0, end));
    const headEnd = wholeCharacters(head);
    const tailBegin = all.findIndex((byte) => !isContinuation(byte));
    const note = `[... ${leftOut + head.length - headEnd + tailBegin} bytes left out ...]`;
    return clean(`${head.toString("utf8", 0, headEnd)}\n${note}\n${all.toString("utf8", tailBegin, end)}`);
  }

  #growHead(needed: number): void {
    if (needed <= this.#head.length) return;
    const grown = Buffer.allocUnsafe(Math.min(this.#headMax, Math.max(needed * 2, HEAD_GROWTH_MIN_BYTES)));
    grown.set(this.#head.subarray(0, this.#headUsed));
    this.#head = grown;
  }

  #addToRing(chunk: Uint8Array): void {
    this.#ring ??= Buffer.allocUnsafe(this.#tailMax);
    const last = chunk.subarray(Math.max(0, chunk.length - this.#tailMax));
    const at = (this.#ringTotal + chunk.length - last.length) % this.#tailMax;
    const upToEnd = Math.min(last.length, this.#tailMax - at);
    this.#ring.set(last.subarray(0, upToEnd), at);
    this.#ring.set(last.subarray(upToEnd), 0);
    this.#ringTotal += chunk.length;
  }

  #tail(): Buffer {
    if (this.#ring === null) return Buffer.alloc(0);
    if (this.#ringTotal <= this.#tailMax) return this.#ring.subarray(0, this.#ringTotal);
    const begin = this.#ringTotal % this.#tailMax;
    return Buffer.concat([this.#ring.subarray(begin), this.#ring.subarray(0, begin)]);
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** How many bytes from the start form whole characters. */
function wholeCharacters(bytes: Uint8Array): number {
  let start = bytes.length - 1;
  while (start > 0 && start > bytes.length - 4 && isContinuation(bytes[start]!)) start--;
  const lead = bytes[start] ?? 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return start + length <= bytes.length ? bytes.length : Math.max(0, start);
}

/** NUL cannot be kept in every store, and means nothing to a reader. */
function clean(text: string): string {
  return text.replaceAll("\0", "\uFFFD");
}
