/** A small HTTP client that keeps its connections, so that a client's own work stays small beside the gateway's. */
import { Agent, request as send, type IncomingMessage } from "node:http";

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

export class HttpClient {
  readonly #origin: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: Agent;

  /** @param connectionsMax  further requests wait for a connection to fall free. */
  constructor(origin: string, options: { token?: string; connectionsMax?: number } = {}) {
    this.#origin = new URL(origin);
    this.#headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connectionsMax ?? Infinity });
  }

  /** Resolves when the whole answer is here, whatever its status. */
  async request(method: "GET" | "POST", path: string, body?: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    const response = await this.open(method, path, body, headers);
    return new Promise((resolve, reject) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode!, text }));
      response.on("error", reject);
    });
  }

  /** @throws Error when the status is not 2xx. */
  async json<Answer>(method: "GET" | "POST", path: string, body?: unknown): Promise<Answer> {
    const { status, text } = await this.request(method, path, body === undefined ? undefined : JSON.stringify(body));
    if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${text.slice(0, 500)}`);
    return JSON.parse(text) as Answer;
  }

  /** Resolves with the head of the answer; the caller reads the rest. */
  open(method: "GET" | "POST", path: string, body?: string, headers: Readonly<Record<string, string>> = {}): Promise<IncomingMessage> {
    const { hostname, port, pathname } = this.#origin;
    const own = body === undefined ? {} : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
    return new Promise((resolve, reject) => {
      const request = send({ agent: this.#agent, hostname, port, method, path: pathname.replace(/\/$/, "") + path, headers: { ...this.#headers, ...own, ...headers } }, resolve);
      request.on("error", reject);
      request.end(body);
    });
  }

  /** Drops all connections. */
  close(): void {
    this.#agent.destroy();
  }
}
