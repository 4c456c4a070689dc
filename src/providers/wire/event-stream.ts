/** The bytes of an event stream in, its events out; how the bytes are cut does not matter. */
import { StringDecoder } from "node:string_decoder";
import { createParser, type EventSourceParser } from "eventsource-parser";
import { isJsonObject, parseJson, type JsonObject } from "../../base/json.ts";
import { ErrorInStream } from "../failure.ts";

/** Written by some after the last event. */
const END_MARK = "[DONE]";

export class EventStream {
  readonly #decoder = new StringDecoder("utf8");
  readonly #parser: EventSourceParser;

  /** @param take hears the data of each event. */
  constructor(take: (event: JsonObject) => void) {
    this.#parser = createParser({
      onEvent({ data }) {
        if (data !== END_MARK) take(eventIn(data));
      },
    });
  }

  /** @throws {ErrorInStream} an event is no JSON object; what `take` throws */
  feed(bytes: Uint8Array): void {
    this.#parser.feed(this.#decoder.write(bytes as Buffer));
  }
}

function eventIn(data: string): JsonObject {
  try {
    const value = parseJson(data);
    if (isJsonObject(value)) return value;
  } catch (cause) {
    throw new ErrorInStream("an event that is no JSON", { cause });
  }
  throw new ErrorInStream("an event that is no object", { cause: new TypeError(`an event that is no object: ${data}`) });
}
