/** Reads server-sent events: the data of each, comments and other fields left out. */

/** A line longer than this ends the stream: an event is never that large. */
const LINE_LENGTH_MAX = 16_000_000;

export async function* eventsIn(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  for await (const chunk of body) {
    // Only what is new is searched for line ends, so that a long line in many pieces stays cheap.
    const lines = decoder.decode(chunk, { stream: true }).split("\n");
    lines[0] = rest + lines[0]!;
    rest = lines.pop()!;
    if (rest.length > LINE_LENGTH_MAX) throw new Error("an event is too long");
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
      else if (line === "" && data.length > 0) {
        yield data.join("\n");
        data = [];
      }
    }
  }
}
