/**
 * Node's HTTP client and server.
 *
 * An import of `node:http` by name makes Node load the whole client behind `fetch` and `WebSocket`
 * for three of its exports: 40 ms and 14 MB at every start. Taken this way it is left alone.
 */
import type * as Http from "node:http";

export const http: typeof Http = process.getBuiltinModule("node:http");
