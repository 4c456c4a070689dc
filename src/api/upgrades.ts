/**
 * WebSocket on the port of HTTP.
 *
 * A request for an upgrade passes the same hooks and routes as any other. The one route that wants
 * it takes it; everywhere else it is answered as if it had not asked, and its connection ends with
 * the answer. The protocol's library is loaded with the first one that is taken.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import { http } from "../base/node-http.ts";

interface Asked {
  readonly socket: Duplex;
  /** What came behind the request's head. */
  readonly head: Buffer;
}

export interface Upgrades {
  /** Did this request ask for an upgrade? */
  wants(request: FastifyRequest): boolean;
  /** @returns turns the connection of a request that wants it into a WebSocket, at once; a handshake that is none is refused. */
  load(): Promise<(request: FastifyRequest, then: (socket: WebSocket) => void) => void>;
}

/** Must be called before the server has routes. @param refuse  ends a connection whose request cannot be one for a WebSocket. */
export function acceptUpgrades(app: FastifyInstance, options: { frameBytesMax: number; refuse: (socket: Duplex) => void }): Upgrades {
  const asked = new WeakMap<IncomingMessage, Asked>();
  let server: Promise<WebSocketServer> | null = null;

  app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", destroy); // Node has taken its own listener away
    // Node reads no body behind such a request, so that whoever wants one would wait for ever.
    if (request.method !== "GET") return options.refuse(socket);
    asked.set(request, { socket, head });
    const response = new http.ServerResponse(request);
    response.assignSocket(socket as Parameters<ServerResponse["assignSocket"]>[0]);
    app.routing(request, response);
  });
  app.addHook("onResponse", async ({ raw }) => void asked.get(raw)?.socket.destroy());

  return {
    wants: ({ raw }) => asked.has(raw),
    async load() {
      server ??= import("ws").then(({ WebSocketServer }) => new WebSocketServer({ noServer: true, maxPayload: options.frameBytesMax }));
      const loaded = await server;
      return ({ raw }, then) => {
        const { socket, head } = asked.get(raw)!;
        socket.off("error", destroy); // the library listens itself
        loaded.handleUpgrade(raw, socket, head, (webSocket) => {
          webSocket.on("error", () => webSocket.terminate());
          then(webSocket);
        });
      };
    },
  };
}

function destroy(this: Duplex): void {
  this.destroy();
}
