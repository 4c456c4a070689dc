/** When which bytes of a stream are written: pauses, latency and stream faults as one list. */
import type { FaultStep, Plan } from "./plan.ts";
import type { Frames } from "./wire.ts";

export interface Write {
  readonly pauseMs: number;
  readonly bytes: string | Buffer;
}
export interface Timeline {
  readonly writes: readonly Write[];
  /** What happens after the last write. */
  readonly end: "finish" | "cut" | "silence" | "keepalive";
}

/** What some APIs write after the last event. */
const END_MARK = "data: [DONE]\n\n";
/** At most this many writes stand between the first byte and the end of a slow answer. */
const SPREAD_WRITES = 4;
const DRIP_PAUSE_MS = 1000;
/** A private-use character that `badutf8` turns into a broken byte sequence. */
export const BROKEN_MARK = "\ue000";

export function timelineFor(plan: Plan, frames: Frames, latency: { firstByteMs: number; totalMs: number }, fault: FaultStep | undefined): Timeline {
  const writes: { pauseMs: number; text: string }[] = [{ pauseMs: latency.firstByteMs, text: frames.head }];
  plan.pieces.forEach((piece, index) => {
    frames.pieces[index]!.forEach((text, delta) => writes.push({ pauseMs: plan.slowMs + (delta === 0 ? piece.pauseMs : 0), text }));
  });
  if (fault?.do === "cut") return { writes: merged(writes.slice(0, fault.count + 1)), end: "cut" };
  if (fault?.do === "stall") return { writes: [], end: "silence" };
  if (fault?.do === "keepalive") return { writes: [], end: "keepalive" };
  if (fault?.do === "oddevents") writes.splice(1, 0, { pauseMs: 0, text: oddEvents(frames.head) });
  if (fault?.do === "hold") writes.push({ pauseMs: plan.endPauseMs, text: frames.tail.replace(END_MARK, "") });
  else if (fault?.do !== "noend") writes.push({ pauseMs: plan.endPauseMs, text: frames.tail });
  spread(writes, latency.totalMs);
  const whole = merged(writes);
  if (fault?.do === "drip") return { writes: bytewise(whole, DRIP_PAUSE_MS, 1), end: "finish" };
  if (fault?.do === "splitutf8") return { writes: insideCodePoints(whole), end: "finish" };
  if (fault?.do === "badutf8") return { writes: whole.map((write) => ({ pauseMs: write.pauseMs, bytes: broken(String(write.bytes)) })), end: "finish" };
  return { writes: whole, end: fault?.do === "hold" ? "silence" : "finish" };
}

/** Spreads what is left of the whole latency evenly over the writes after the first byte. */
function spread(writes: { pauseMs: number; text: string }[], totalMs: number): void {
  const left = totalMs - writes.reduce((sum, write) => sum + write.pauseMs, 0);
  if (left <= 0) return;
  const stops = Math.min(SPREAD_WRITES, writes.length - 1);
  for (let i = 1; i <= stops; i++) writes[Math.round((i * (writes.length - 1)) / stops)]!.pauseMs += left / stops;
}

/** Joins what is written without a pause in between, so that a quick answer is one write. */
function merged(writes: readonly { pauseMs: number; text: string }[]): Write[] {
  const joined: { pauseMs: number; bytes: string }[] = [];
  for (const { pauseMs, text } of writes) {
    const last = joined.at(-1);
    if (last !== undefined && (pauseMs === 0 || last.bytes === "")) {
      last.bytes += text;
      last.pauseMs += pauseMs;
    } else joined.push({ pauseMs, bytes: text });
  }
  return joined;
}

function bytewise(writes: readonly Write[], pauseMs: number, size: number): Write[] {
  const all = Buffer.concat(writes.map((write) => Buffer.from(write.bytes as string)));
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => ({ pauseMs, bytes: all.subarray(i * size, (i + 1) * size) }));
}

/** Ends a write after the first byte of every character that has more than one. */
function insideCodePoints(writes: readonly Write[]): Write[] {
  const all = Buffer.concat(writes.map((write) => Buffer.from(write.bytes as string)));
  const cut: Write[] = [];
  let from = 0;
  for (let i = 0; i < all.length; i++) {
    if (all[i]! < 0xc2) continue;
    cut.push({ pauseMs: 1, bytes: all.subarray(from, i + 1) });
    from = i + 1;
  }
  cut.push({ pauseMs: 1, bytes: all.subarray(from) });
  return cut;
}

function broken(text: string): Buffer {
  const parts = text.split(BROKEN_MARK).map((part) => Buffer.from(part));
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from([0xe2, 0x82]), part])));
}

/** An event nobody knows, the opening once more, and the end of a block that never began. */
function oddEvents(head: string): string {
  if (!head.startsWith("event:")) return 'data: {"candidates":[],"choices":[],"surprise":true}\n\n';
  const unknown = 'event: surprise\ndata: {"type":"surprise","value":1}\n\n';
  return head.includes('"message_start"') ? `${unknown}${head}event: content_block_stop\ndata: {"type":"content_block_stop","index":99}\n\n` : unknown;
}
