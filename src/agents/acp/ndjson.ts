/**
 * The lines between the gateway and a harness: JSON-RPC, one message per line, read before the
 * protocol library sees it.
 *
 * Always true:
 *   - reading never runs ahead: the next chunk is taken when the last one was worked off
 *   - `session/update` goes to `onUpdate` as it came, in order, and not to the library, which
 *     would drop those that it does not know
 *   - the library is given well-formed requests with ids that are not open, and answers to
 *     questions that were asked; the rest is counted as noise and never answered
 *
 * A line over the limit ends the conversation: what it was an answer to cannot be known any more.
 */
import type { Readable, Writable } from "node:stream";
import type { AnyMessage, Stream } from "@agentclientprotocol/sdk";
import { isJsonObject, JSON_DEPTH_MAX, nestsTooDeep, type Json, type JsonObject } from "../../base/json.ts";

/** The longest line, bytes. */
export const LINE_MAX_BYTES = 8 * 1024 * 1024;
/** Requests of a harness that may be open at once; further ones are answered with an error. */
const OPEN_REQUESTS_MAX = 1024;
/** "The server is busy", in the range that JSON-RPC leaves to servers. */
const BUSY_CODE = -32_005;
/** "Not a valid request", of JSON-RPC; for answers of theirs it stands in the place of what cannot be taken. */
const INVALID_CODE = -32_600;
const TOO_DEEP = { code: INVALID_CODE, message: `nested deeper than ${JSON_DEPTH_MAX} levels` };
const NEWLINE = 0x0a;

export interface Lines {
  readonly stream: Stream;
  /** Lines that were no message of the protocol. */
  readonly noise: () => number;
}

export interface LinesDeps {
  readonly output: Readable;
  readonly input: Writable;
  readonly onUpdate: (params: JsonObject) => void;
  /** The result of a request of ours, before the library has it: what comes on later lines comes after it. */
  readonly onResult: (result: Json) => void;
  /** A line that is no message; its beginning. */
  readonly onNoise: (text: string) => void;
}

export function openLines({ output, input, onUpdate, onResult, onNoise }: LinesDeps): Lines {
  /** Requests of ours without an answer yet. */
  const asked = new Set<unknown>();
  /** Requests of the harness without an answer yet. */
  const open = new Set<unknown>();
  let noise = 0;

  const readable = new ReadableStream<AnyMessage>({
    async start(controller) {
      try {
        for await (const line of linesOf(output)) {
          const message = take(line);
          if (message !== null) controller.enqueue(message);
        }
        controller.close();
      } catch (cause) {
        controller.error(cause);
      }
    },
    cancel: () => void output.destroy(),
  });
  const writable = new WritableStream<AnyMessage>({
    write(message) {
      if ("method" in message && "id" in message) asked.add(message.id);
      else if (!("method" in message)) open.delete(message.id);
      return send(message);
    },
  });
  return { stream: { readable, writable }, noise: () => noise };

  function take(line: Buffer): AnyMessage | null {
    const text = line.toString("utf8").trim();
    if (text === "") return null;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return ignore(text);
    }
    if (!isJsonObject(message)) return ignore(text);
    const { id, method, params } = message;
    // What nests so deep would break whoever writes it down. Whoever waits for an answer gets one.
    const isTooDeep = nestsTooDeep(message);
    const hasId = typeof id === "string" || typeof id === "number";
    if (typeof method !== "string") {
      const isAnswer = hasId && ("result" in message || isJsonObject(message["error"]));
      if (!isAnswer || !asked.delete(id)) return ignore(text);
      if (isTooDeep) return { jsonrpc: "2.0", id, error: TOO_DEEP };
      onResult(message["result"] ?? null);
      return message as AnyMessage;
    }
    if (!("id" in message)) {
      if (isTooDeep) return ignore(text);
      if (method !== "session/update") return message as AnyMessage;
      if (isJsonObject(params)) onUpdate(params);
      return isJsonObject(params) ? null : ignore(text);
    }
    if (!hasId || open.has(id)) return ignore(text);
    if (isTooDeep) {
      void send({ jsonrpc: "2.0", id, error: TOO_DEEP }).catch(() => {});
      return null;
    }
    if (open.size >= OPEN_REQUESTS_MAX) {
      void send({ jsonrpc: "2.0", id, error: { code: BUSY_CODE, message: `${OPEN_REQUESTS_MAX} requests are open; wait for an answer` } }).catch(() => {});
      return null;
    }
    open.add(id);
    return message as AnyMessage;
  }

  function ignore(text: string): null {
    noise++;
    onNoise(text);
    return null;
  }

  function send(message: AnyMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!input.writable) return reject(new Error("its input is closed"));
      input.write(`${JSON.stringify(message)}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** Whole lines, without their ends. Gives the event loop a round after each chunk, so that a flood starves nobody. */
async function* linesOf(output: Readable): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of output as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end);
      if (length + tail.length > LINE_MAX_BYTES) throw new LineTooLong();
      yield parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
      parts = [];
      length = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > LINE_MAX_BYTES) throw new LineTooLong();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export class LineTooLong extends Error {
  override readonly name = "LineTooLong";
  constructor() {
    super(`it sent a line of over ${LINE_MAX_BYTES} bytes`);
  }
}
