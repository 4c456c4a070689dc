/**
 * The fetch for servers over HTTP: ends an answer that is larger than a message may be, whatever its
 * headers say of its length. In an event stream each event is one message.
 */
import type { Clock } from "../../base/clock.ts";
import { FloodGate, MESSAGE_BYTES_MAX, tooLarge } from "./flood-gate.ts";

const NEWLINE = 10;
const RETURN = 13;

/** @param onFlood  called once for each answer that was ended, with what was wrong. */
export function boundedFetch(clock: Clock, onFlood: (problem: string) => void): (url: string | URL, init?: RequestInit) => Promise<Response> {
  return async (url, init) => {
    const response = await fetch(url, init);
    if (response.body === null) return response;
    const isStream = response.headers.get("content-type")?.includes("text/event-stream") ?? false;
    const body = response.body.pipeThrough(counting(isStream ? new FloodGate(clock) : null, onFlood));
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
  };
}

function counting(events: FloodGate | null, onFlood: (problem: string) => void): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  let atLineStart = false;
  return new TransformStream({
    transform(chunk, controller) {
      let problem: string | null = null;
      if (events === null) bytes += chunk.length;
      else {
        for (const byte of chunk) {
          if (byte === RETURN) continue;
          bytes++;
          if (byte === NEWLINE && atLineStart) {
            bytes = 0;
            problem ??= events.message();
          }
          atLineStart = byte === NEWLINE;
        }
      }
      if (bytes > MESSAGE_BYTES_MAX) problem ??= tooLarge();
      if (problem === null) return controller.enqueue(chunk);
      onFlood(problem);
      controller.error(new Error(problem));
    },
  });
}
