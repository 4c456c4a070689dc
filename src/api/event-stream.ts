/**
 * GET /api/events: the event log as server-sent events.
 *
 * Numbered events carry their number as `id`, so a reader that lost its connection goes on with
 * `Last-Event-ID`. Everything that comes in one turn of the event loop goes out in one write; what
 * is provisional waits a little longer, so that a hundred streams of words are not a hundred writes each.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { feed, UNSENT_BYTES_MAX, type FeedStart, type JsonOf, type Outlet } from "./event-feed.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { shownFault } from "./fault-answer.ts";
import { BEAT_MS, type OpenConnections } from "./open-connections.ts";

/** A comment every 15 s keeps proxies from closing a silent stream. */
const COMMENT_EVERY_BEATS = 15_000 / BEAT_MS;
/** A reader that cannot take a full buffer in this time is let go; it comes back with its last number. */
const PAUSED_BEATS_MAX = 30_000 / BEAT_MS;
/** How soon a browser that lost the stream asks again. */
const RECONNECT_MS = 1_000;

/** How long provisional pieces are gathered, if no numbered event comes before. */
const FRAMES_GATHERED_MS = 15;

export interface StreamDeps {
  readonly clock: Clock;
  readonly sessions: Pick<Sessions, "watch">;
  readonly connections: OpenConnections;
  readonly jsonOf: JsonOf;
}

/** Serves the stream on a response whose head is not yet sent. Ends with the connection, or when `isGood` turns false. */
export function serveEventStream(deps: StreamDeps, from: FeedStart, response: ServerResponse, headers: Readonly<Record<string, string>>, isGood: () => boolean): void {
  let pending = `retry: ${RECONNECT_MS}\n\n`;
  let flushing = false;
  let disarmFrames: (() => void) | null = null;
  let pausedBeats: number | null = null;
  let stopFeed = (): void => {};
  let forget = (): void => {};

  const outlet: Outlet = {
    send(json, number) {
      if (number !== null) return write(`id: ${number}\ndata: ${json}\n\n`);
      pending += `data: ${json}\n\n`;
      if (!flushing) disarmFrames ??= deps.clock.after(FRAMES_GATHERED_MS, flush);
    },
    // One unit of a string is at least one byte; what is over is at most one event.
    isFull: () => response.writableLength + pending.length > UNSENT_BYTES_MAX,
    whenEmpty(then) {
      const goOn = (): void => {
        pausedBeats = null;
        then();
      };
      pausedBeats = 0;
      flush();
      if (response.writableNeedDrain) response.once("drain", goOn);
      else setImmediate(goOn);
    },
    fail(cause) {
      write(`event: fault\ndata: ${JSON.stringify(shownFault(cause))}\n\n`);
      finish();
    },
  };

  response.writeHead(200, { ...headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" });
  flush();
  response.once("close", stop);
  forget = deps.connections.add({ isStranger: () => false, onBeat, close: finish });
  stopFeed = feed(deps.sessions, from, outlet, deps.jsonOf);

  function write(text: string): void {
    pending += text;
    if (flushing) return;
    flushing = true;
    setImmediate(flush);
  }

  function flush(): void {
    flushing = false;
    disarmFrames?.();
    disarmFrames = null;
    if (pending === "" || response.destroyed) return;
    const text = pending;
    pending = "";
    response.write(text);
  }

  function onBeat(beat: number): void {
    if (!isGood()) return finish();
    if (pausedBeats !== null) {
      pausedBeats++;
      if (pausedBeats > PAUSED_BEATS_MAX) response.destroy();
    } else if (beat % COMMENT_EVERY_BEATS === 0) {
      write(":\n\n");
    }
  }

  function finish(): void {
    stop();
    flush();
    response.end();
  }

  function stop(): void {
    disarmFrames?.();
    stopFeed();
    forget();
  }
}

