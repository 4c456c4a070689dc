/**
 * Kills the gateway that loads it at a named point. It comes in from outside, by `--import`, into the
 * main thread and the store's thread: the program itself holds nothing for it.
 *
 *     NODE_OPTIONS="--import=<this file>" KILL_AT="after the commit of endTurn" KILL_COUNT=3
 *
 * Points, for what a store call does (`journal` counts as what it writes):
 *
 *     handed to the store ─▶ before the commit ─▶ after the commit ─▶ told
 *         main thread            nothing saved        nobody knows       its caller went on
 *
 * and what crosses the border: a message comes, its acknowledgement is written, the model is asked, its
 * answer is there, a command is started. KILL_LOG names a file that gets a line for each first time a
 * point is passed, for the test that the list of points is complete.
 */
import { subscribe } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";
import type { ClientRequest, IncomingMessage } from "node:http";
import { syncBuiltinESMExports } from "node:module";
import { DatabaseSync } from "node:sqlite";
import threads, { isMainThread, parentPort } from "node:worker_threads";

interface Call {
  readonly id: number;
  readonly verb: string;
  readonly input: unknown;
}

const at = process.env.KILL_AT ?? "";
const log = process.env.KILL_LOG;
let left = Number(process.env.KILL_COUNT ?? "1");
const passed = new Set<string>();

function pass(point: string): void {
  if (log !== undefined && !passed.has(point)) {
    passed.add(point);
    appendFileSync(log, `${point}\n`);
  }
  if (point === at && --left === 0) process.kill(process.pid, "SIGKILL");
}

function deeds({ verb, input }: Call): string[] {
  if (verb !== "journal") return [verb];
  const { writes } = input as { writes: readonly object[] };
  return [writes.some((write) => "intent" in write) && "journal an intent", writes.some((write) => "result" in write) && "journal a result"].filter((deed) => deed !== false);
}

const isCalls = (message: unknown): message is Call[] => Array.isArray(message) && message.every((one) => typeof (one as Call).verb === "string");

if (isMainThread) watchMainThread();
else if (parentPort !== null) watchStoreThread(parentPort);

function watchMainThread(): void {
  const open = new Map<number, string[]>();
  const { postMessage } = threads.Worker.prototype;
  threads.Worker.prototype.postMessage = function (message: unknown, ...rest: []) {
    if (isCalls(message)) {
      for (const call of message) {
        open.set(call.id, deeds(call));
        for (const deed of deeds(call)) pass(`handed to the store: ${deed}`);
      }
    }
    postMessage.call(this, message, ...rest);
  };
  const { emit } = threads.Worker.prototype;
  threads.Worker.prototype.emit = function (this: threads.Worker, name: string, ...values: unknown[]) {
    const went = emit.call(this, name as never, ...(values as never[]));
    const answers = (values[0] as { answers?: readonly { readonly id: number }[] } | undefined)?.answers;
    if (name === "message" && answers !== undefined) {
      const told = answers.flatMap(({ id }) => open.get(id) ?? []);
      for (const { id } of answers) open.delete(id);
      setImmediate(() => told.forEach((deed) => pass(`told: ${deed}`)));
    }
    return went;
  } as typeof emit;
  const isMessage = (request: IncomingMessage): boolean => request.method === "POST" && request.url === "/api/messages";
  const isAsk = (request: ClientRequest): boolean => request.path.endsWith("/chat/completions");
  subscribe("http.server.request.start", (event) => isMessage((event as { request: IncomingMessage }).request) && pass("a message comes"));
  subscribe("http.server.response.finish", (event) => isMessage((event as { request: IncomingMessage }).request) && pass("a message is acknowledged"));
  subscribe("http.client.request.start", (event) => isAsk((event as { request: ClientRequest }).request) && pass("the model is asked"));
  subscribe("http.client.response.finish", (event) => isAsk((event as { request: ClientRequest }).request) && pass("the model has answered"));
  subscribe("child_process", () => setImmediate(() => pass("a command is started")));
}

function watchStoreThread(port: threads.MessagePort): void {
  let batch: string[] = [];
  const note = (message: unknown): void => void (isCalls(message) && batch.push(...message.flatMap(deeds)));
  const { on, postMessage } = port;
  port.on = ((name: "message", listener: (message: unknown) => void) =>
    on.call(port, name, (message: unknown) => {
      note(message);
      listener(message);
    })) as typeof on;
  const { receiveMessageOnPort } = threads;
  threads.receiveMessageOnPort = (from) => {
    const received = receiveMessageOnPort(from);
    note(received?.message);
    return received;
  };
  syncBuiltinESMExports();
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (sql: string) {
    if (sql !== "COMMIT") return exec.call(this, sql);
    for (const deed of batch) pass(`before the commit of: ${deed}`);
    exec.call(this, sql);
    for (const deed of batch) pass(`after the commit of: ${deed}`);
  };
  port.postMessage = (message: unknown, ...rest: []) => {
    batch = [];
    postMessage.call(port, message, ...rest);
  };
}
