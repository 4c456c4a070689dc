/**
 * Requests to addresses that somebody else named: web pages for agents, receivers of results.
 *
 * Always true:
 *   - http or https, no credentials in the address
 *   - the host is resolved once; the connection goes to the addresses that were checked and to no other
 *   - every address of the host must be public, unless the host and port are allowed by name
 *
 * It follows no redirect: whoever does checks the next address anew.
 */
import { lookup } from "node:dns/promises";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { http } from "../base/node-http.ts";
import { Fault } from "../model/faults.ts";
import { isPublicAddress } from "./public-address.ts";

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a host. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

export const systemResolve: Resolve = (host) => lookup(host, { all: true });

/** @throws {Fault} ADDRESS_REFUSED */
export function checkedUrl(text: string, base?: URL): URL {
  const refuse = (problem: string): never => {
    throw new Fault("ADDRESS_REFUSED", { url: text, problem });
  };
  const url = URL.parse(text, base?.href) ?? refuse("is not a web address; begin with http:// or https://");
  if (url.protocol !== "http:" && url.protocol !== "https:") refuse("only http and https are fetched");
  if (url.username !== "" || url.password !== "") throw new Fault("ADDRESS_REFUSED", { url: url.origin, problem: "holds credentials, which are not sent" });
  if (url.hostname === "") refuse("names no host");
  return url;
}

export interface AddressRules {
  /** `host:port` of places that need not be public. */
  readonly allowed: readonly string[];
  /** The setting that `allowed` comes from. */
  readonly setting: string;
  readonly resolve: Resolve;
  readonly signal: AbortSignal;
}

/** @throws {Fault} ADDRESS_REFUSED; the signal's reason; what the look-up throws. */
export async function checkedAddresses(url: URL, { allowed, setting, resolve, signal }: AddressRules): Promise<readonly ResolvedAddress[]> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const family = isIP(host);
  const addresses = family !== 0 ? [{ address: host, family }] : await unlessAborted(resolve(host), signal);
  if (addresses.length === 0) throw new Fault("ADDRESS_REFUSED", { url: url.href, problem: "the host has no address" });
  const place = `${url.hostname}:${portOf(url)}`;
  if (!allowed.includes(place) && !addresses.every(({ address }) => isPublicAddress(address))) {
    throw new Fault("ADDRESS_REFUSED", { url: url.href, problem: `is not in the public internet; a person can allow "${place}" in ${setting}` });
  }
  return addresses;
}

function portOf(url: URL): string {
  return url.port !== "" ? url.port : url.protocol === "https:" ? "443" : "80";
}

export interface PinnedRequest {
  readonly method: "GET" | "POST";
  readonly headers: OutgoingHttpHeaders;
  readonly body?: Buffer;
  readonly signal: AbortSignal;
  /** Called when the request is about to leave: from now on it may be taken. */
  readonly onSent?: () => void;
}

/** One request over a connection of its own: a shared one could have been opened to another address. */
export function pinnedRequest(url: URL, addresses: readonly ResolvedAddress[], { method, headers, body, signal, onSent }: PinnedRequest): Promise<IncomingMessage> {
  const pinned: LookupFunction = (_host, options, done) => {
    if (options.all === true) done(null, [...addresses]);
    else done(null, addresses[0]!.address, addresses[0]!.family);
  };
  const client = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const sent = client.request(url, { method, agent: false, lookup: pinned, headers, signal });
    sent.once("socket", (socket) => socket.once("connect", () => onSent?.()));
    sent.once("response", (response) => {
      const remote = response.socket.remoteAddress ?? "";
      if (addresses.some(({ address }) => isSameAddress(address, remote))) return resolve(response);
      response.destroy();
      reject(new Error("the connection went to another address than the one that was checked"));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function isSameAddress(checked: string, connected: string): boolean {
  return normal(checked) === normal(connected);
}

function normal(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname : address;
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

/** Why a request failed, in words for people. */
export function connectionProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code !== undefined && PROBLEMS[code]) || message || String(code);
}
