/**
 * The floor under every figure: the gateway's own model call, made straight to the stand-in.
 *
 * A recorder stands once between gateway and stand-in and keeps the request; from then on the same
 * bytes are sent without the gateway.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { HttpClient } from "./http-client.ts";

/** Headers that belong to one connection, and not to the call. */
const OF_CONNECTION = ["host", "connection", "content-length", "transfer-encoding", "accept-encoding"];

interface ModelCall {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export class ModelFloor {
  readonly #server: Server;
  readonly #client: HttpClient;
  #call: ModelCall | null = null;

  private constructor(standinUrl: string) {
    this.#client = new HttpClient(standinUrl);
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", async () => {
        const headers = Object.entries(request.headers).filter(([name]) => !OF_CONNECTION.includes(name));
        this.#call = { path: request.url!, headers: Object.fromEntries(headers) as Record<string, string>, body: Buffer.concat(chunks).toString() };
        const answer = await this.#client.open("POST", this.#call.path, this.#call.body, this.#call.headers);
        response.writeHead(answer.statusCode!, { "content-type": answer.headers["content-type"]! });
        answer.pipe(response);
      });
    });
  }

  static async start(standinUrl: string): Promise<ModelFloor> {
    const floor = new ModelFloor(standinUrl);
    await new Promise<void>((resolve) => floor.#server.listen(0, "127.0.0.1", resolve));
    return floor;
  }

  /** What the gateway's model provider must name as its address for the recording. */
  get recorderUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Makes the recorded call once. @returns how long it took until its last byte, milliseconds. */
  async call(): Promise<number> {
    if (this.#call === null) throw new Error("no model call was recorded");
    const { path, headers, body } = this.#call;
    const startedAt = performance.now();
    const { status, text } = await this.#client.request("POST", path, body, headers);
    if (status !== 200) throw new Error(`the stand-in answered ${status}: ${text.slice(0, 500)}`);
    return performance.now() - startedAt;
  }

  close(): void {
    this.#client.close();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
