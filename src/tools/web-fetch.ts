/**
 * `web_fetch`: the text of a page, from the public internet only.
 *
 * Always true, for the first address and for every redirect alike:
 *   - it is checked as `checked-address.ts` says; `tools.web.allowPrivate` names what need not be public
 *   - time, size and the number of redirects are bounded, after unpacking too
 */
import type { IncomingMessage } from "node:http";
import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Clock } from "../base/clock.ts";
import type { Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import type { Tool, ToolOutcome } from "../model/tool.ts";
import { checkedAddresses, checkedUrl, connectionProblem, pinnedRequest, systemResolve, type Resolve } from "./checked-address.ts";
import { inputShape, optional, text, wholeNumber } from "./input.ts";
import { readableText } from "./readable-text.ts";
import { webAllowPrivate } from "./settings.ts";

export const FETCH_MAX_MS = 20_000;
const FETCH_MAX_BYTES = 2 * 1024 * 1024;
const REDIRECTS_MAX = 5;
const URL_MAX_CHARS = 8000;

const HEADERS = { "user-agent": "yardmaster", accept: "text/html, text/*, application/json;q=0.9, */*;q=0.5", "accept-encoding": "gzip, deflate, br" };

const INPUT = inputShape({ url: text({ min: 1, max: URL_MAX_CHARS }), maxBytes: optional(wholeNumber({ min: 1, max: FETCH_MAX_BYTES })) });

interface Deps {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly resolve?: Resolve;
}

export function makeWebFetchTool({ settings, clock, resolve = systemResolve }: Deps): Tool {
  return {
    name: "web_fetch",
    description: "Fetches a public web page or text file; HTML comes as plain text.",
    inputSchema: INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(input, context) {
      const { url, maxBytes = FETCH_MAX_BYTES } = INPUT.parse("web_fetch", input);
      const tooLong = new AbortController();
      const disarm = clock.after(FETCH_MAX_MS, () => tooLong.abort());
      const signal = AbortSignal.any([context.signal, tooLong.signal]);
      try {
        return await get(url, maxBytes, signal);
      } catch (error) {
        if (context.signal.aborted || error instanceof Fault) throw error;
        if (tooLong.signal.aborted) return failed(`${url} did not answer within ${FETCH_MAX_MS / 1000} s`);
        return failed(`${url} cannot be fetched: ${connectionProblem(error)}`);
      } finally {
        disarm();
      }
    },
  };

  async function get(first: string, maxBytes: number, signal: AbortSignal): Promise<ToolOutcome> {
    let url = checkedUrl(first);
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const addresses = await checkedAddresses(url, { allowed: settings.get(webAllowPrivate), setting: webAllowPrivate.key, resolve, signal });
      const response = await pinnedRequest(url, addresses, { method: "GET", headers: HEADERS, signal });
      try {
        const location = isRedirect(response) ? response.headers.location : undefined;
        if (location === undefined) return await describe(url, response, maxBytes);
        url = checkedUrl(location, url);
      } finally {
        response.destroy();
      }
    }
    return failed(`${first} redirects more than ${REDIRECTS_MAX} times`);
  }

}

function isRedirect({ statusCode = 0 }: IncomingMessage): boolean {
  return [301, 302, 303, 307, 308].includes(statusCode);
}

async function describe(url: URL, response: IncomingMessage, maxBytes: number): Promise<ToolOutcome> {
  const type = response.headers["content-type"] ?? "";
  const isError = (response.statusCode ?? 0) >= 400;
  const head = `${url.href}\n${response.statusCode} ${response.statusMessage ?? ""} ${type}`.trimEnd();
  if (!isText(type)) return failed(`${head}\nis not text; fetch it with a command if you need the file`);
  const { bytes, isCut } = await readUpTo(unpacked(response), maxBytes);
  if (bytes.includes(0) && !/utf-?16/i.test(type)) return failed(`${head}\nis not text; fetch it with a command if you need the file`);
  const decoded = decode(bytes, type);
  const isHtml = /html/i.test(type) || (type === "" && /^\s*<(!doctype html|html)\b/i.test(decoded.slice(0, 500)));
  const { title, text } = isHtml ? readableText(decoded) : { title: null, text: decoded };
  const cut = isCut ? `\n[cut after ${bytes.length} bytes]` : "";
  return { text: `${head}${title === null ? "" : `\n${title}`}\n\n${text}${cut}`, isError };
}

function isText(type: string): boolean {
  return type === "" || /^\s*(text\/|application\/([a-z0-9.+-]*[+/])?(json|xml|xhtml\+xml|javascript|ecmascript|yaml|x-yaml|toml|x-ndjson|ld\+json)\b)/i.test(type);
}

function decode(bytes: Buffer, type: string): string {
  const charset = /charset\s*=\s*"?([\w.:-]{1,40})/i.exec(type)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    return bytes.toString("utf8");
  }
}

/** @throws {Error} for an encoding that was not asked for. */
function unpacked(response: IncomingMessage): Readable {
  const encoding = (response.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  switch (encoding) {
    case "":
    case "identity":
      return response;
    case "gzip":
    case "x-gzip":
      return pipeline(response, createGunzip(), () => {});
    case "deflate":
      return pipeline(response, createInflate(), () => {});
    case "br":
      return pipeline(response, createBrotliDecompress(), () => {});
    default:
      throw new Error(`the answer is packed as ${encoding}`);
  }
}

async function readUpTo(stream: Readable, maxBytes: number): Promise<{ bytes: Buffer; isCut: boolean }> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop destroys the stream, and with it the connection.
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), isCut: true };
  }
  return { bytes: Buffer.concat(chunks), isCut: false };
}

function failed(text: string): ToolOutcome {
  return { text, isError: true };
}
