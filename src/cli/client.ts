/**
 * The gateway as commands see it: its HTTP API, and nothing else.
 *
 * Always true: the token is sent only to the address that the running gateway wrote down, or that the
 * person named; a refusal is thrown as the gateway's own fault; a request ends in bounded time.
 */
import type { ApiEvent, ApiFault } from "../api/wire.ts";
import { sleep, type Clock } from "../base/clock.ts";
import { tokenFrom } from "../config/config.ts";
import type { Environment } from "../config/environment.ts";
import { readGatewayFile, readGatewayToken } from "../config/gateway-file.ts";
import { Fault } from "../model/faults.ts";
import { AnsweredFault } from "./failure.ts";
import { eventsIn } from "./sse.ts";

const REQUEST_TIMEOUT_MS = 30_000;
const RECONNECT_DELAY_MS = 250;
const RECONNECT_DELAY_MAX_MS = 4_000;
/** How long a lost stream is tried again before the gateway counts as gone. */
const RECONNECT_FOR_MS = 30_000;
const DEFAULT_PORT = 9273;

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export class GatewayClient {
  readonly url: string;
  readonly #token: string;
  readonly #clock: Clock;

  constructor(options: { url: string; token: string; clock: Clock }) {
    this.url = options.url;
    this.#token = options.token;
    this.#clock = options.clock;
  }

  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#request<T>("GET", path + queryText(query));
  }
  /** @param timeoutMs  for what takes the gateway longer than a look into its store. */
  post<T>(path: string, body: unknown = {}, timeoutMs = REQUEST_TIMEOUT_MS): Promise<T> {
    return this.#request<T>("POST", path, body, timeoutMs);
  }
  patch<T>(path: string, body: unknown): Promise<T> {
    return this.#request<T>("PATCH", path, body);
  }
  delete<T>(path: string): Promise<T> {
    return this.#request<T>("DELETE", path);
  }

  /**
   * Posts one message and waits for its answer until the signal aborts, however long that takes.
   * @returns null when there is none. @throws {AnsweredFault}, {Fault} GATEWAY_NOT_THERE
   */
  async exchange(path: string, message: unknown, signal: AbortSignal): Promise<unknown> {
    const response = await this.#fetch("POST", path, message, signal);
    if (!response.ok) throw await answeredFault(response);
    return response.status === 202 ? null : await response.json();
  }

  /**
   * Follows a session's events from after a number, through lost connections, until the signal aborts.
   * @param onLost  called once each time the connection is lost.
   * @throws {Fault} GATEWAY_NOT_THERE  it stayed away for 30 s.
   */
  async *follow(from: { session: string; after: number; onLost?: () => void }, signal: AbortSignal): AsyncGenerator<ApiEvent> {
    let after = from.after;
    let lostAt: number | null = null;
    let delayMs = RECONNECT_DELAY_MS;
    while (!signal.aborted) {
      try {
        const response = await this.#fetch("GET", `/api/events${queryText({ session: from.session, after })}`, undefined, signal);
        if (!response.ok) throw await answeredFault(response);
        [lostAt, delayMs] = [null, RECONNECT_DELAY_MS];
        for await (const data of eventsIn(response.body!)) {
          const event = JSON.parse(data) as ApiEvent;
          if (event.seq !== undefined) after = event.seq;
          yield event;
        }
      } catch (thrown) {
        if (signal.aborted) return;
        if (thrown instanceof AnsweredFault && !thrown.fault.retryable) throw thrown;
      }
      if (lostAt === null) {
        lostAt = this.#clock.monotonic();
        from.onLost?.();
      } else if (this.#clock.monotonic() - lostAt > RECONNECT_FOR_MS) throw new Fault("GATEWAY_NOT_THERE", { url: this.url });
      await sleep(this.#clock, delayMs, signal).catch(() => {}); // aborted: the loop ends
      delayMs = Math.min(delayMs * 2, RECONNECT_DELAY_MAX_MS);
    }
  }

  async #request<T>(method: string, path: string, body?: unknown, timeoutMs = REQUEST_TIMEOUT_MS): Promise<T> {
    const response = await this.#fetch(method, path, body, AbortSignal.timeout(timeoutMs));
    if (!response.ok) throw await answeredFault(response);
    return (response.status === 204 ? {} : await response.json()) as T;
  }

  async #fetch(method: string, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#token}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    try {
      return await fetch(this.url + path, { method, headers, signal, redirect: "error", ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    } catch (cause) {
      if (signal.aborted && (cause as Error).name === "AbortError") throw cause;
      throw new Fault("GATEWAY_NOT_THERE", { url: this.url }, { cause });
    }
  }
}

/**
 * Finds the gateway of a state directory: the address it wrote down, else `YARD_PORT`, else the default port.
 * @throws {Fault} GATEWAY_NOT_THERE  there is no token yet, so none was ever started here.
 */
export async function findGateway(options: { home: string; environment: Environment; clock: Clock }): Promise<GatewayClient> {
  const { home, environment, clock } = options;
  const running = await readGatewayFile(home);
  const port = Number(environment["YARD_PORT"]) || DEFAULT_PORT;
  const url = running?.url ?? `http://127.0.0.1:${port}`;
  const token = tokenFrom(environment) ?? (await readGatewayToken(home));
  // Without its file no gateway of this directory runs; whoever else has the port must not get the token.
  if (token === undefined || (running === null && !environment["YARD_PORT"])) throw new Fault("GATEWAY_NOT_THERE", { url });
  return new GatewayClient({ url, token, clock });
}

async function answeredFault(response: Response): Promise<AnsweredFault> {
  const body = (await response.json().catch(() => null)) as Partial<ApiFault> | null;
  if (typeof body?.code === "string" && typeof body.message === "string") {
    return new AnsweredFault({ details: {}, retryable: false, ...body, code: body.code, message: body.message });
  }
  const problem = `${response.url} answered ${response.status} and no fault; is it a yardmaster gateway?`;
  return new AnsweredFault({ code: "INTERNAL", message: problem, details: { problem }, retryable: false });
}

function queryText(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as [string, string]]));
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
