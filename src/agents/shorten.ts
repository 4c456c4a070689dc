/** Leaves out the middle of a long text and says how much: the beginning and the end tell most. */
export function shortenMiddle(text: string, bytesMax: number): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= bytesMax) return text;
  const buffer = Buffer.from(text);
  const half = Math.floor(bytesMax / 2);
  const head = buffer.subarray(0, half).toString("utf8").replace(/\uFFFD$/, "");
  const tail = buffer.subarray(bytes - half).toString("utf8").replace(/^\uFFFD+/, "");
  return `${head}\n[… ${bytes - 2 * half} bytes left out …]\n${tail}`;
}
