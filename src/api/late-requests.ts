/**
 * Requests that Node calls late. Its check looks at the clock before it looks at what has come: after
 * this thread was busy for long, requests that lie in the machine's buffers look as if nobody had
 * sent them. So they are read first, and only what has not come then is refused.
 */
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../base/clock.ts";

/** How long a request may take to arrive, and how often that is looked at, milliseconds. */
export interface ArrivalLimits {
  readonly headMs: number;
  readonly wholeMs: number;
  readonly checkMs: number;
}

export class LateRequests {
  readonly #clock: Clock;
  readonly #wholeMs: number;
  /** The newest request of each connection. */
  readonly #newest = new WeakMap<Socket, IncomingMessage>();

  constructor(server: Server, clock: Clock, { wholeMs }: ArrivalLimits) {
    this.#clock = clock;
    this.#wholeMs = wholeMs;
    server.on("request", (request: IncomingMessage) => void this.#newest.set(request.socket, request));
  }

  /** Calls `refuse` when the request that Node has given up on has really not come. */
  judge(socket: Socket, refuse: () => void): void {
    const owed = this.#newest.get(socket);
    const owesBody = owed?.complete === false;
    // What had come is read between these two: before the first ends this turn of the loop, or in the next.
    setImmediate(() => setImmediate(() => {
      if (socket.destroyed) return;
      const newest = this.#newest.get(socket);
      if (owesBody ? !owed.complete : newest === owed) refuse();
      else if (newest !== undefined && !newest.complete) this.#watchBody(socket, newest, refuse);
    }));
  }

  /** Node looks no more at a request that it has given up on once. */
  #watchBody(socket: Socket, request: IncomingMessage, refuse: () => void): void {
    const disarm = this.#clock.after(this.#wholeMs, () => {
      if (!request.complete && !socket.destroyed) refuse();
    });
    socket.once("close", disarm);
    request.once("end", disarm);
  }
}
