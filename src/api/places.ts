/**
 * From where the gateway lets itself be addressed: by which host names, from which web origins.
 *
 * The host check keeps a foreign name that was pointed at this machine (DNS rebinding) from opening
 * anything; the origin check keeps foreign pages in the person's browser out. Both compare whole
 * names, never beginnings of names, and both come before any token is looked at.
 */
import { isIP } from "node:net";
import type { Settings } from "../base/setting.ts";
import { Fault } from "../model/faults.ts";
import { allowedHosts, allowedOrigins } from "./settings.ts";

const OWN_HOSTS = ["127.0.0.1", "localhost", "[::1]"];
const HTTP_PORT = 80;
/** How much of a refused name is said back. */
const SHOWN_LENGTH_MAX = 100;

export class Places {
  readonly #settings: Settings;
  #hosts: readonly string[] = OWN_HOSTS;
  #origins: ReadonlySet<string> = new Set();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Told once the gateway listens; an address that it was bound to by number counts as its own name. */
  listensOn(host: string, port: number): void {
    const own = isIP(host) === 0 || isEveryAddress(host) ? OWN_HOSTS : [...OWN_HOSTS, inUrl(host)];
    this.#hosts = [...new Set(own)];
    this.#origins = new Set(this.#hosts.map((name) => `http://${name}${port === HTTP_PORT ? "" : `:${port}`}`));
  }

  /** @throws {Fault} HOST_REFUSED, ORIGIN_REFUSED */
  check(headers: { readonly host?: string | undefined; readonly origin?: string | undefined }): void {
    const host = nameInHost(headers.host ?? "");
    if (host === null || !(this.#hosts.includes(host) || isAmong(this.#settings.get(allowedHosts), host))) {
      throw new Fault("HOST_REFUSED", { host: shown(headers.host ?? "(none)") });
    }
    const { origin } = headers;
    if (origin === undefined) return;
    if (!this.isOwnOrigin(origin)) throw new Fault("ORIGIN_REFUSED", { origin: shown(origin) });
  }

  isOwnOrigin(origin: string): boolean {
    return this.#origins.has(origin.toLowerCase()) || isAmong(this.#settings.get(allowedOrigins), origin.toLowerCase());
  }
}

/** An address as it stands in a URL. */
export function inUrl(host: string): string {
  return isIP(host) === 6 ? `[${host.toLowerCase()}]` : host;
}

/** Where a program on this machine reaches what listens there: `0.0.0.0` and `::` are every address, and no name of one. */
export function ownUrl(host: string, port: number): string {
  const reached = !isEveryAddress(host) ? host : host.includes(":") ? "::1" : "127.0.0.1";
  return `http://${inUrl(reached)}:${port}`;
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/;

/** The name in a Host header, without the port; null when it is no such header. */
function nameInHost(header: string): string | null {
  return HOST.exec(header.toLowerCase())?.[1] ?? null;
}

function isEveryAddress(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
}

function isAmong(names: readonly string[], name: string): boolean {
  return names.some((one) => one.toLowerCase() === name);
}

function shown(name: string): string {
  return name.slice(0, SHOWN_LENGTH_MAX);
}
