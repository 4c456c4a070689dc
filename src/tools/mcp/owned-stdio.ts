/**
 * A server over the standard input and output of a process that we own: one JSON message per line.
 *
 * Always true: at most one message of {@link MESSAGE_BYTES_MAX} is kept in memory, in each direction;
 * lines that are no JSON object are dropped (programs greet on standard output); when the transport
 * is closed, by whoever, the process and everything it started is ended.
 */
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { Clock } from "../../base/clock.ts";
import { isJsonObject, parseJson, type Json } from "../../base/json.ts";
import type { OwnedTree, ProcessTree } from "../../base/process-tree.ts";
import { BoundedOutput } from "../bounded-output.ts";
import { FloodGate, MESSAGE_BYTES_MAX, tooLarge } from "./flood-gate.ts";

/** Time from SIGTERM to SIGKILL, milliseconds. */
const GRACE_MS = 2_000;
/** How much is kept of what it says on standard error. */
const STDERR_BYTES_MAX = 4_096;
const NEWLINE = 10;

export class OwnedStdio implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #tree: OwnedTree;
  readonly #processes: ProcessTree;
  readonly #gate: FloodGate;
  readonly #stderr = new BoundedOutput(STDERR_BYTES_MAX);
  readonly #parts: Buffer[] = [];
  #partsBytes = 0;
  #closed = false;
  #problem: string | null = null;

  constructor(tree: OwnedTree, processes: ProcessTree, clock: Clock) {
    this.#tree = tree;
    this.#processes = processes;
    this.#gate = new FloodGate(clock);
    tree.child.stdout.on("data", (chunk: Buffer) => this.#read(chunk)).on("error", () => {});
    tree.child.stderr.on("data", (chunk: Buffer) => this.#stderr.add(chunk)).on("error", () => {});
    tree.child.stdin?.on("error", () => {}); // it may exit without reading
    void tree.ended.then(({ code, signal }) => {
      this.#problem ??= `it ended ${signal === null ? `with exit code ${code}` : `by ${signal}`}`;
      this.#close();
    });
  }

  get pid(): number | undefined {
    return this.#tree.child.pid;
  }

  /** Why it is no more. */
  get problem(): string | null {
    return this.#problem;
  }

  /** What it said on standard error since the last call. */
  takeStderr(): string {
    return this.#stderr.takeRest();
  }

  async start(): Promise<void> {}

  async send(message: JSONRPCMessage): Promise<void> {
    const { stdin } = this.#tree.child;
    if (this.#closed || stdin === null || !stdin.writable) throw new Error("its input is closed");
    if (stdin.writableLength > MESSAGE_BYTES_MAX) return this.#fail("it does not read its input");
    stdin.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    this.#close();
    await this.#tree.ended;
  }

  #read(chunk: Buffer): void {
    for (let from = 0; !this.#closed && from < chunk.length; ) {
      const end = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, end < 0 ? chunk.length : end);
      if (this.#partsBytes + piece.length > MESSAGE_BYTES_MAX) return this.#fail(tooLarge());
      this.#parts.push(piece);
      this.#partsBytes += piece.length;
      if (end < 0) return;
      const line = this.#parts.length === 1 ? piece : Buffer.concat(this.#parts);
      this.#parts.length = 0;
      this.#partsBytes = 0;
      from = end + 1;
      this.#line(line.toString("utf8"));
    }
  }

  #line(line: string): void {
    if (line.trim() === "") return;
    const flooded = this.#gate.message();
    if (flooded !== null) return this.#fail(flooded);
    let message: Json;
    try {
      message = parseJson(line);
    } catch {
      return;
    }
    if (isJsonObject(message)) this.onmessage?.(message as unknown as JSONRPCMessage);
  }

  #fail(problem: string): void {
    this.#problem ??= problem;
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.length = 0;
    const { stdin, stdout, stderr } = this.#tree.child;
    stdin?.destroy();
    stdout.destroy();
    stderr.resume();
    void this.#processes.endMarked(this.#tree.mark, { graceMs: GRACE_MS });
    this.onclose?.();
  }
}
