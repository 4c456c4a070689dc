/**
 * What holds for every fetch that the libraries are given: no redirects (they would carry the key
 * to another host), no web pages or plain JSON where an event stream belongs, no endless answers.
 */
import { BadAnswer, oneLine } from "./failure.ts";

/** The most bytes of one answer. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
export const ERROR_BYTES_MAX = 1024 * 1024;
const EXCERPT_BYTES_MAX = 4096;

/** @throws {BadAnswer} when a good status comes with a page or plain JSON. */
async function checkIsStream(response: Response): Promise<void> {
  const type = response.headers.get("content-type") ?? "";
  if (/text\/html|application\/json/.test(type)) throw new BadAnswer(`${type.split(";")[0]} instead of an event stream: ${oneLine(await excerpt(response))}`);
}

/** For a fetch that follows no redirect and ends endless answers by itself. */
export function streamsOnly(fetchIt: typeof fetch): typeof fetch {
  return async (input, init) => {
    const response = await fetchIt(input, init);
    if (response.ok) await checkIsStream(response);
    return response;
  };
}

/** For a fetch that knows none of this by itself. */
export function guardedFetch(fetchIt: typeof fetch): typeof fetch {
  return async (input, init) => {
    const response = await fetchIt(input, { ...init, redirect: "manual" });
    if (!response.ok) return bounded(response, ERROR_BYTES_MAX);
    await checkIsStream(response);
    return bounded(response, ANSWER_BYTES_MAX);
  };
}

function bounded(response: Response, bytesMax: number): Response {
  if (response.body === null) return response;
  const { status, statusText, headers } = response;
  const reader = response.body.getReader();
  let bytes = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        bytes += value.byteLength;
        if (bytes > bytesMax) {
          await reader.cancel();
          throw new BadAnswer(`more than ${bytesMax} bytes in one answer`);
        }
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, statusText, headers });
}

/** The beginning of a body; the rest is not read. */
async function excerpt(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  let text = "";
  const decoder = new TextDecoder();
  while (text.length < EXCERPT_BYTES_MAX) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return text.slice(0, EXCERPT_BYTES_MAX);
}
