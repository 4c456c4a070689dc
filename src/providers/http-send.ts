/**
 * The way to a provider: one request over Node's own HTTP client, and its answer chunk by chunk.
 *
 * It gives up on a host that does not answer the door within seconds. No redirects, which would carry
 * the key to another host, no cookies, no endless answers.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { http } from "../base/node-http.ts";
import { BadAnswer } from "./failure.ts";

/** How long a host may take to accept a connection, TLS included. */
export const CONNECT_MS_MAX = 5_000;
/** The most bytes of one answer, and of one that is a refusal. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
export const ERROR_BYTES_MAX = 1024 * 1024;
/** Idle connections kept per provider, and for how long. */
const IDLE_SOCKETS_MAX = 1_024;
const IDLE_MS_MAX = 30_000;

export interface HttpCall {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Reads the body to its end; once.
   * @throws what `take` throws (nothing more is read then), {@link BadAnswer} for an endless one, or what broke the connection.
   */
  read(take: (bytes: Uint8Array) => void): Promise<void>;
}

/** @throws what kept the request from being answered; once it is answered, whatever the status, that is an answer. */
export type Send = (call: HttpCall) => Promise<HttpAnswer>;

/** Idle connections do not keep the process alive. */
export function makeSend(): Send {
  const options = { keepAlive: true, maxFreeSockets: IDLE_SOCKETS_MAX, timeout: IDLE_MS_MAX };
  const plain = new http.Agent(options);
  const secure = new HttpsAgent(options);

  function answerOf(call: HttpCall, url: URL, isSecondTry: boolean): Promise<HttpAnswer> {
    const { method, headers, body, signal } = call;
    return new Promise((resolve, reject) => {
      const isSecure = url.protocol === "https:";
      const request = (isSecure ? httpsRequest : http.request)(url, { method, headers, agent: isSecure ? secure : plain, signal });
      limitConnect(request, isSecure);
      request.on("response", (message) => resolve(answerFrom(message)));
      request.on("error", (error: NodeJS.ErrnoException) => {
        // An idle connection that the provider had closed just then: nothing was asked yet.
        if (request.reusedSocket && error.code === "ECONNRESET" && !isSecondTry && !signal.aborted) answerOf(call, url, true).then(resolve, reject);
        else reject(error);
      });
      request.end(body);
    });
  }

  return async (call) => answerOf(call, new URL(call.url), false);
}

export function limitConnect(request: ClientRequest, isSecure: boolean): void {
  request.on("socket", (socket) => {
    if (!socket.connecting) return;
    const giveUp = (): void => void request.destroy(Object.assign(new Error(`no connection within ${CONNECT_MS_MAX / 1000} s`), { code: "ETIMEDOUT" }));
    socket.setTimeout(CONNECT_MS_MAX, giveUp);
    socket.once(isSecure ? "secureConnect" : "connect", () => {
      socket.off("timeout", giveUp);
      socket.setTimeout(0);
    });
  });
}

function answerFrom(message: IncomingMessage): HttpAnswer {
  const status = message.statusCode ?? 0;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  return { status, headers, read: (take) => readAll(message, isGood(status) ? ANSWER_BYTES_MAX : ERROR_BYTES_MAX, take) };
}

function readAll(message: IncomingMessage, bytesMax: number, take: (bytes: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const fail = (cause: unknown): void => {
      reject(cause as Error);
      message.off("data", onData).destroy();
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) return fail(new BadAnswer(`more than ${bytesMax} bytes in one answer`));
      try {
        take(chunk);
      } catch (thrown) {
        fail(thrown);
      }
    };
    message.on("data", onData);
    message.on("end", resolve);
    message.on("error", reject);
    message.on("close", () => reject(Object.assign(new Error("the connection was closed in the middle of the answer"), { code: "ECONNRESET" })));
  });
}

export function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}
