/**
 * Terminals: commands that a harness runs through the gateway.
 *
 * Each is a process tree of its own and ends with the harness's session at the latest. Its newest
 * output is kept up to a limit.
 */
import type { ProcessTree, OwnedTree, TreeEnd } from "../../base/process-tree.ts";

export const TERMINALS_MAX = 16;
const OUTPUT_MAX_BYTES = 1024 * 1024;
/** Time from SIGTERM to SIGKILL, milliseconds. */
const GRACE_MS = 2000;

export interface TerminalRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly outputMaxBytes: number | null;
}

interface Terminal {
  readonly tree: OwnedTree;
  readonly maxBytes: number;
  chunks: Buffer[];
  bytes: number;
  truncated: boolean;
  end: TreeEnd | null;
}

type ExitStatus = { readonly exitCode: number | null; readonly signal: string | null };

export class Terminals {
  readonly #processes: ProcessTree;
  readonly #mark: (id: string) => string;
  readonly #open = new Map<string, Terminal>();
  #count = 0;

  constructor(processes: ProcessTree, mark: (id: string) => string) {
    this.#processes = processes;
    this.#mark = mark;
  }

  /** @throws {Error} when there are too many, or it cannot start. */
  async create(request: TerminalRequest): Promise<string> {
    if (this.#open.size >= TERMINALS_MAX) throw new Error(`${TERMINALS_MAX} terminals are open; release one first`);
    const id = `t${++this.#count}`;
    const tree = await this.#processes.start({ mark: this.#mark(id), argv: [request.command, ...request.args], cwd: request.cwd, env: request.env, stdin: "ignore" });
    const terminal: Terminal = { tree, maxBytes: Math.min(request.outputMaxBytes ?? OUTPUT_MAX_BYTES, OUTPUT_MAX_BYTES), chunks: [], bytes: 0, truncated: false, end: null };
    this.#open.set(id, terminal);
    for (const stream of [tree.child.stdout, tree.child.stderr]) {
      stream.on("data", (chunk: Buffer) => keep(terminal, chunk));
      stream.on("error", () => {});
    }
    void tree.ended.then((end) => (terminal.end = end));
    return id;
  }

  output(id: string): { output: string; truncated: boolean; exitStatus: ExitStatus | null } {
    const terminal = this.#find(id);
    const bytes = Buffer.concat(terminal.chunks);
    const kept = bytes.subarray(Math.max(0, bytes.length - terminal.maxBytes));
    return { output: kept.toString("utf8").replace(/^\uFFFD+/, ""), truncated: terminal.truncated, exitStatus: terminal.end === null ? null : statusOf(terminal.end) };
  }

  async waitForExit(id: string): Promise<ExitStatus> {
    return statusOf(await this.#find(id).tree.ended);
  }

  async kill(id: string): Promise<void> {
    await this.#processes.endMarked(this.#find(id).tree.mark, { graceMs: GRACE_MS });
  }

  async release(id: string): Promise<void> {
    await this.kill(id);
    this.#open.delete(id);
  }

  async releaseAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.release(id)));
  }

  #find(id: string): Terminal {
    const terminal = this.#open.get(id);
    if (terminal === undefined) throw new Error(`no terminal ${id}`);
    return terminal;
  }
}

function keep(terminal: Terminal, chunk: Buffer): void {
  terminal.chunks.push(chunk);
  terminal.bytes += chunk.length;
  while (terminal.chunks.length > 1 && terminal.bytes - terminal.chunks[0]!.length >= terminal.maxBytes) terminal.bytes -= terminal.chunks.shift()!.length;
  if (terminal.bytes > terminal.maxBytes) terminal.truncated = true;
}

function statusOf({ code, signal }: TreeEnd): ExitStatus {
  return { exitCode: code, signal };
}
