/**
 * `web_fetch`: the text of a page, from the public internet only.
 *
 * Always true, for the first address and for every redirect alike:
 *   - http or https, no credentials in the address, and none are sent
 *   - the host is resolved once; the connection goes to the addresses that were checked and to no other
 *   - every address of the host must be public, unless `tools.web.allowPrivate` names the host and port
 *   - time, size and the number of redirects are bounded, after unpacking too
 */
import { lookup } from "node:dns/promises";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Clock } from "../base/clock.ts";
import type { Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import type { Tool, ToolOutcome } from "../model/tool.ts";
import { inputShape, optional, text, wholeNumber } from "./input.ts";
import { isPublicAddress } from "./public-address.ts";
import { readableText } from "./readable-text.ts";
import { webAllowPrivate } from "./settings.ts";

export const FETCH_MAX_MS = 20_000;
const FETCH_MAX_BYTES = 2 * 1024 * 1024;
const REDIRECTS_MAX = 5;
const URL_MAX_CHARS = 8000;

const INPUT = inputShape({ url: text({ min: 1, max: URL_MAX_CHARS }), maxBytes: optional(wholeNumber({ min: 1, max: FETCH_MAX_BYTES })) });

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a host. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

const systemResolve: Resolve = (host) => lookup(host, { all: true });

interface Deps {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly resolve?: Resolve;
}

export function makeWebFetchTool({ settings, clock, resolve = systemResolve }: Deps): Tool {
  return {
    name: "web_fetch",
    description: "Fetches a public web page or text file by GET; HTML comes as plain text.",
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
        return failed(`${url} cannot be fetched: ${problemOf(error)}`);
      } finally {
        disarm();
      }
    },
  };

  async function get(first: string, maxBytes: number, signal: AbortSignal): Promise<ToolOutcome> {
    let url = checkedUrl(first);
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const response = await request(url, await checkedAddresses(url, signal), signal);
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

  /** @throws {Fault} ADDRESS_REFUSED */
  async function checkedAddresses(url: URL, signal: AbortSignal): Promise<readonly ResolvedAddress[]> {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const family = isIP(host);
    const addresses = family !== 0 ? [{ address: host, family }] : await unlessAborted(resolve(host), signal);
    if (addresses.length === 0) throw new Fault("ADDRESS_REFUSED", { url: url.href, problem: "the host has no address" });
    const isNamed = settings.get(webAllowPrivate).includes(`${url.hostname}:${portOf(url)}`);
    if (!isNamed && !addresses.every(({ address }) => isPublicAddress(address))) {
      throw new Fault("ADDRESS_REFUSED", { url: url.href, problem: `is not in the public internet; a person can allow "${url.hostname}:${portOf(url)}" in tools.web.allowPrivate` });
    }
    return addresses;
  }
}

/** @throws {Fault} ADDRESS_REFUSED */
function checkedUrl(text: string, base?: URL): URL {
  const refuse = (problem: string): never => {
    throw new Fault("ADDRESS_REFUSED", { url: text, problem });
  };
  const url = URL.parse(text, base?.href) ?? refuse("is not a web address; begin with http:// or https://");
  if (url.protocol !== "http:" && url.protocol !== "https:") refuse("only http and https are fetched");
  if (url.username !== "" || url.password !== "") throw new Fault("ADDRESS_REFUSED", { url: url.origin, problem: "holds credentials, which are not sent" });
  if (url.hostname === "") refuse("names no host");
  return url;
}

function portOf(url: URL): string {
  return url.port !== "" ? url.port : url.protocol === "https:" ? "443" : "80";
}

function request(url: URL, addresses: readonly ResolvedAddress[], signal: AbortSignal): Promise<IncomingMessage> {
  const pinned: LookupFunction = (_host, options, done) => {
    if (options.all === true) done(null, [...addresses]);
    else done(null, addresses[0]!.address, addresses[0]!.family);
  };
  const client = url.protocol === "https:" ? https : http;
  const headers = { "user-agent": "yardmaster", accept: "text/html, text/*, application/json;q=0.9, */*;q=0.5", "accept-encoding": "gzip, deflate, br" };
  return new Promise((resolve, reject) => {
    // A connection of its own: a shared one could have been opened to another address.
    const sent = client.get(url, { agent: false, lookup: pinned, headers, signal });
    sent.once("response", (response) => {
      const remote = response.socket.remoteAddress ?? "";
      if (addresses.some(({ address }) => isSameAddress(address, remote))) return resolve(response);
      response.destroy();
      reject(new Error("the connection went to another address than the one that was checked"));
    });
    sent.on("error", reject);
  });
}

function isSameAddress(checked: string, connected: string): boolean {
  return normal(checked) === normal(connected);
}

function normal(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname : address;
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

/** A name look-up cannot be stopped, but nobody has to wait for it. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the host name cannot be looked up now",
  ECONNREFUSED: "nothing answers there",
  ECONNRESET: "the connection broke",
  ETIMEDOUT: "nothing answers there",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
};

function problemOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && PROBLEMS[code]) || message || String(code);
}

function failed(text: string): ToolOutcome {
  return { text, isError: true };
}
