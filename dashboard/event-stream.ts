/** Server-sent events from a stream of bytes: `id:` and `data:` lines, closed by an empty line. */
export interface ServerEvent {
  readonly id: string | null;
  readonly data: string;
}

/**
 * Reads events until the stream ends; the reader is given back however the loop is left.
 * @param onBytes  called for every piece that arrives, comments too: the line is alive.
 */
export async function* eventsIn(body: ReadableStream<Uint8Array>, onBytes?: () => void): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let id: string | null = null;
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      onBytes?.();
      // Only what is new is searched for line ends, so that a long line in many pieces stays cheap.
      const lines = decoder.decode(value, { stream: true }).split("\n");
      lines[0] = rest + lines[0]!;
      rest = lines.pop()!;
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line === "") {
          if (data.length > 0) yield { id, data: data.join("\n") };
          id = null;
          data = [];
        } else if (line.startsWith("data:")) data.push(valueOf(line, 5));
        else if (line.startsWith("id:")) id = valueOf(line, 3);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function valueOf(line: string, from: number): string {
  return line.slice(line[from] === " " ? from + 1 : from);
}
