/** Streams of events, as the command line and the page read them. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { eventsIn as eventsOfPage } from "../../dashboard/event-stream.ts";
import { eventsIn as eventsOfCli } from "../../src/cli/sse.ts";
import { cutInto, cuts, damageBytes, damages, nastyText } from "./hostile.ts";
import { target } from "./target.ts";

const line = fc.oneof(
  fc.tuple(fc.constantFrom("data: ", "data:", "data", "id: ", "id:", "event: ", ": ", "retry: ", "datax: "), fc.oneof(nastyText, fc.constantFrom("{}", "🎈 grüße", "")).map((text) => text.replaceAll(/[\r\n]/g, ""))).map(([field, value]) => field + value),
  fc.constant(""),
);
const stream = fc.record({ lines: fc.array(line, { maxLength: 12 }), end: fc.constantFrom("\n", "\r\n"), sizes: cuts, damage: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: damages }) });

const sse = target({
  name: "event-streams",
  fact: "the command line and the page read the same events from the same bytes, however the network cut them",
  share: 6,
  open: () => ({
    inputs: stream,
    async check({ lines, end, sizes, damage }) {
      const sent = damageBytes(Buffer.from(lines.map((one) => one + end).join("") + end), damage);
      const whole = await readByCli([sent]);
      assert.deepEqual(await readByCli(cutInto(sent, sizes)), whole);
      assert.deepEqual(await readByCli(cutInto(sent, [1])), whole);
      const page = await readByPage([sent]);
      assert.deepEqual(page.map(({ data }) => data), whole);
      assert.deepEqual(await readByPage(cutInto(sent, sizes)), page);
      if (damage.length === 0) assert.deepEqual(whole, plainReading(lines));
    },
  }),
});

const longEvents = target({
  name: "long-events",
  fact: "one long event in many pieces is read within 50 ms per KB",
  share: 0.1,
  open: () => ({
    inputs: fc.record({ text: fc.tuple(fc.constantFrom("x", "é", "🎈", "\r"), fc.integer({ min: 500, max: 100_000 })).map(([character, times]) => character.repeat(times)), size: fc.constantFrom(16, 256, 4096) }),
    async check({ text, size }) {
      const pieces = cutInto(Buffer.from(`data: ${text}\n\n`), [size]);
      assert.equal((await readByCli(pieces)).length, 1);
      assert.equal((await readByPage(pieces)).length, 1);
    },
  }),
});

function plainReading(lines: readonly string[]): string[] {
  const events: string[] = [];
  let data: string[] = [];
  for (const one of [...lines, ""]) {
    if (one === "" && data.length > 0) events.push(data.join("\n"));
    if (one === "") data = [];
    const value = /^data: ?([^]*)$/.exec(one)?.[1];
    if (value !== undefined) data.push(Buffer.from(value).toString());
  }
  return events;
}

async function readByCli(pieces: readonly Uint8Array[]): Promise<string[]> {
  const events: string[] = [];
  for await (const data of eventsOfCli(piecesAsIterable(pieces))) events.push(data);
  return events;
}

async function* piecesAsIterable(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function readByPage(pieces: readonly Uint8Array[]): Promise<{ id: string | null; data: string }[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  const events: { id: string | null; data: string }[] = [];
  for await (const event of eventsOfPage(body)) events.push(event);
  return events;
}

export const STREAM_TARGETS = [sse, longEvents];
