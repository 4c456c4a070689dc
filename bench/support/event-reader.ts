/**
 * One reader of the event stream over all sessions.
 *
 * Only events that somebody asked for are parsed: the reader shares the cores with what it measures.
 */
import type { IncomingMessage } from "node:http";
import type { ApiEvent } from "../../src/api/wire.ts";
import type { HttpClient } from "./http-client.ts";

/** An event's own type is the first in its line; everything before it is numbers and keys. */
const TYPE = /"type":"([a-z.]+)"/;
const FAILED_TURN = '"outcome":"failed"';

interface Waiter {
  resolve(atMs: number): void;
  reject(cause: Error): void;
}

export class EventReader {
  readonly #response: IncomingMessage;
  readonly #replies = new Map<string, Waiter[]>();
  readonly #listeners = new Map<string, (event: ApiEvent) => void>();
  #rest = "";

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => this.#take(chunk));
    // A gateway that is killed on purpose cuts the stream; whoever still waits then has a deadline of its own.
    response.on("error", () => {});
  }

  static async open(client: HttpClient): Promise<EventReader> {
    const response = await client.open("GET", "/api/events?after=now");
    if (response.statusCode !== 200) throw new Error(`the event stream was refused: ${response.statusCode}`);
    return new EventReader(response);
  }

  /** The moment (`performance.now()`) at which the session's next reply was received. Rejects when its turn fails. */
  reply(session: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const waiting = this.#replies.get(session);
      if (waiting === undefined) this.#replies.set(session, [{ resolve, reject }]);
      else waiting.push({ resolve, reject });
    });
  }

  /** Calls `listener` for every event of a type; one listener per type. */
  on(type: string, listener: (event: ApiEvent) => void): void {
    this.#listeners.set(type, listener);
  }

  close(): void {
    this.#response.destroy();
  }

  #take(chunk: string): void {
    const blocks = (this.#rest + chunk).split("\n\n");
    this.#rest = blocks.pop()!;
    for (const block of blocks) this.#block(block);
  }

  #block(block: string): void {
    const type = TYPE.exec(block)?.[1];
    if (type === undefined) return;
    const isReply = type === "reply";
    const isFailure = type === "turn.ended" && block.includes(FAILED_TURN);
    const listener = this.#listeners.get(type);
    if (!isReply && !isFailure && listener === undefined) return;
    const event = JSON.parse(block.slice(block.indexOf("data: ") + "data: ".length)) as ApiEvent;
    listener?.(event);
    if (!isReply && !isFailure) return;
    const waiter = this.#replies.get(event.session)?.shift();
    if (isReply) waiter?.resolve(performance.now());
    else waiter?.reject(new Error(`a turn of ${event.session} failed: ${JSON.stringify(event.data["fault"])}`));
  }
}
