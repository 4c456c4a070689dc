/**
 * A harness that does what it is told, good or bad: raw JSON-RPC lines over its standard streams,
 * without the protocol's library, so that it can also break every rule.
 *
 * A prompt is a JSON list of steps ({@link Step}); any other text is answered with "echo: <text>".
 * How it starts comes from the environment: `HARNESS` is a {@link Manner} as JSON.
 */
import { spawn } from "node:child_process";
import { appendFileSync, closeSync, copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface Manner {
  /** What happens instead of an answer to a method: never, exit with a code, a signal, its output closed, nonsense. */
  readonly at?: Readonly<Record<string, Misdeed>>;
  /** Goes on after its input is closed and after SIGTERM. */
  readonly stubborn?: boolean;
  readonly load?: boolean;
  readonly resume?: boolean;
  readonly fork?: boolean;
  readonly steer?: boolean;
  /** Tells of its session before it has answered with its name. */
  readonly early?: boolean;
  /** `program`: it takes tool servers over standard streams only. */
  readonly tools?: "program";
  /** Updates sent while a session is loaded. */
  readonly replay?: number;
  readonly modes?: readonly string[];
  readonly models?: readonly string[];
}

export type Misdeed = "hang" | "exit 0" | "exit 1" | "segv" | "close output" | "nonsense" | "half a line" | "error" | "flood" | "long line" | "64 MB line" | "latin";

export type Step =
  | { readonly say: string }
  /** Asks the model at MODEL_URL, with MODEL_KEY, and says what it answered. */
  | { readonly model: string }
  /** Says a variable of its environment. */
  | { readonly env: string }
  | { readonly sleep: number }
  /** Waits for a file. */
  | { readonly until: string }
  /** Waits for a cancel. */
  | { readonly wait: "cancel" | "ever" | "steering" }
  | { readonly update: object }
  /** As it stands, but for `DEEP<n>`: so many lists in each other. */
  | { readonly raw: string }
  | { readonly tool: { readonly id: string; readonly name: string; readonly input?: object; readonly output?: string; readonly failed?: boolean } }
  /** Asks for a permission `times` at once, and says each answer; `andGoOn`: it waits for none. */
  | { readonly ask: { readonly name: string; readonly input?: object; readonly kind?: string; readonly content?: readonly object[]; readonly kinds?: readonly string[] }; readonly times?: number; readonly andGoOn?: true }
  | { readonly call: string; readonly params: object }
  | { readonly write: { readonly path: string; readonly text: string } }
  | { readonly misdeed: Misdeed }
  /** Does something with a file, a port of this machine or a tool of the server that it was lent, and says how that went. */
  | { readonly attempt: "read" | "write" | "connect" | "tool"; readonly at: string; readonly input?: object }
  | { readonly child: "setsid" | "plain" }
  | { readonly flood: { readonly lines: number; readonly to: "stdout" | "stderr" } }
  /** Steps that are done the first time only; the file remembers. */
  | { readonly once: string; readonly steps: readonly Step[] }
  /** The same, for each session of its own. */
  | { readonly onceEach: true; readonly steps: readonly Step[] }
  | { readonly afterwards: readonly Step[] }
  | { readonly stop: string };

const manner = JSON.parse(process.env["HARNESS"] ?? "{}") as Manner;
const STATE = process.env["HARNESS_STATE"] ?? process.cwd();
const ANSWER_EVER = 1 << 30;

let nextId = 1000;
let sessionId = "";
let lent: { url: string; headers: readonly { name: string; value: string }[] } | null = null;
let cancelled: PromiseWithResolvers<void> = Promise.withResolvers();
let steering: PromiseWithResolvers<string> = Promise.withResolvers();
const waiting = new Map<number, (answer: { result?: any; error?: any }) => void>();

if (manner.stubborn) process.on("SIGTERM", () => {});
if (manner.stubborn) setInterval(() => {}, ANSWER_EVER);
createInterface({ input: process.stdin })
  .on("line", (line) => void hear(JSON.parse(line)))
  .on("close", () => manner.stubborn || process.exit(0));

function send(message: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}

function update(fields: object, session = sessionId): void {
  send({ method: "session/update", params: { sessionId: session, update: fields } });
}

function ask(method: string, params: object): Promise<{ result?: any; error?: any }> {
  const id = nextId++;
  send({ id, method, params });
  return new Promise((resolve) => waiting.set(id, resolve));
}

async function hear(message: { id?: number; method?: string; params?: any; result?: any; error?: any }): Promise<void> {
  const { id, method, params } = message;
  if (method === undefined) {
    const resolve = waiting.get(id!);
    if (resolve === undefined) appendFileSync(join(STATE, "unasked"), `${JSON.stringify(message)}\n`);
    waiting.delete(id!);
    return resolve?.(message);
  }
  appendFileSync(join(STATE, "heard"), `${JSON.stringify({ pid: process.pid, method, params })}\n`);
  const misdeed = manner.at?.[method];
  if (misdeed !== undefined && (await misbehave(misdeed, id))) return;
  if (params?.mcpServers?.[0] !== undefined) lent = params.mcpServers[0];
  switch (method) {
    case "initialize":
      return send({
        id,
        result: {
          protocolVersion: 1,
          agentCapabilities: { mcpCapabilities: { http: manner.tools !== "program" }, loadSession: manner.load ?? false, sessionCapabilities: { close: {}, ...(manner.resume ? { resume: {} } : {}), ...(manner.fork ? { fork: {} } : {}) } },
          ...(manner.steer ? { _meta: { steering: true } } : {}),
        },
      });
    case "session/new":
      sessionId = `s${process.pid}-${nextId++}`;
      writeFileSync(join(STATE, sessionId), "[]");
      if (manner.early) update({ sessionUpdate: "usage_update", used: 77, size: 100 });
      return send({ id, result: { sessionId, ...traits() } });
    case "session/fork": {
      if (!existsSync(join(STATE, params.sessionId))) return send({ id, error: { code: -32002, message: "no such session" } });
      sessionId = `s${process.pid}-${nextId++}`;
      copyFileSync(join(STATE, params.sessionId), join(STATE, sessionId));
      return send({ id, result: { sessionId, ...traits() } });
    }
    case "session/load":
    case "session/resume": {
      if (!existsSync(join(STATE, params.sessionId))) return send({ id, error: { code: -32002, message: "no such session" } });
      sessionId = params.sessionId;
      for (let n = 0; n < (manner.replay ?? 1); n++) update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text: `replayed ${n}` } });
      return send({ id, result: traits() });
    }
    case "session/set_mode":
      return send({ id, result: {} });
    case "session/set_config_option":
      return send({ id, result: { configOptions: [modelOption(params.value)] } });
    case "session/close":
      return send({ id, result: {} });
    case "session/cancel":
      return cancelled.resolve();
    case "_session/steering":
      steering.resolve(params.prompt[0].text);
      return send({ id, result: { outcome: "injected" } });
    case "session/prompt":
      return prompt(id!, params.prompt[0].text);
    default:
      return send({ id, error: { code: -32601, message: `no method ${method}` } });
  }
}

function traits(): object {
  return {
    ...(manner.modes === undefined ? {} : { modes: { currentModeId: manner.modes[0], availableModes: manner.modes.map((mode) => ({ id: mode, name: mode })) } }),
    ...(manner.models === undefined ? {} : { configOptions: [modelOption(manner.models[0]!)] }),
  };
}

function modelOption(currentValue: string): object {
  return { id: "model", name: "Model", category: "model", type: "select", currentValue, options: (manner.models ?? []).map((value) => ({ value, name: value })) };
}

async function prompt(id: number, text: string): Promise<void> {
  cancelled = Promise.withResolvers();
  steering = Promise.withResolvers();
  const known = JSON.parse(readFileSync(join(STATE, sessionId), "utf8")) as string[];
  writeFileSync(join(STATE, sessionId), JSON.stringify([...known, text]));
  // What was said before may stand above it, quoted.
  const start = text.startsWith("[{") ? 0 : text.indexOf("\n[{");
  if (start === -1) say(text.endsWith("what do you know?") ? `I know: ${known.join(" | ")}` : `echo: ${text}`);
  const list = start === -1 ? [] : stepsAt(text, start);
  let stopReason = "end_turn";
  const later: Step[] = [];
  for (const step of list) {
    if ("stop" in step) stopReason = step.stop;
    else if ("afterwards" in step) later.push(...step.afterwards);
    else if ((await take(step)) === "cancelled") stopReason = "cancelled";
  }
  send({ id, result: { stopReason, usage: { inputTokens: 10, outputTokens: 5, totalTokens: 15 } } });
  for (const step of later) await take(step);
}

/** The list that begins there; what is said after it, e.g. how the result must look, is no part of it. */
function stepsAt(text: string, start: number): Step[] {
  for (let end = text.indexOf("}]", start); end >= 0; end = text.indexOf("}]", end + 1)) {
    try {
      return JSON.parse(text.slice(start, end + 2)) as Step[];
    } catch {
      // The end of an inner list.
    }
  }
  return JSON.parse(text.slice(start)) as Step[];
}

function say(text: string): void {
  update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text } });
}

async function take(step: Step): Promise<"cancelled" | void> {
  if ("say" in step) return say(step.say);
  if ("env" in step) return say(`${step.env}=${process.env[step.env] ?? ""}\n`);
  if ("model" in step) {
    const answer = await fetch(`${process.env["MODEL_URL"]}/chat/completions`, { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${process.env["MODEL_KEY"]}` }, body: JSON.stringify({ model: "m", messages: [{ role: "user", content: step.model }] }) });
    const body = (await answer.json()) as { choices?: { message: { content: string } }[]; error?: { message: string } };
    return say(body.choices?.[0]?.message.content ?? `refused ${answer.status}: ${body.error?.message}`);
  }
  if ("sleep" in step) return new Promise((resolve) => setTimeout(resolve, step.sleep));
  if ("until" in step) {
    while (!existsSync(step.until)) await new Promise((resolve) => setTimeout(resolve, 20));
    return;
  }
  if ("update" in step) return update(step.update);
  if ("raw" in step) return void process.stdout.write(step.raw.replaceAll(/DEEP(\d+)/g, (_, depth: string) => "[".repeat(Number(depth)) + "]".repeat(Number(depth))));
  if ("child" in step) {
    const [command, args] = step.child === "setsid" ? ["setsid", ["sleep", "1000"]] : ["sleep", ["1000"]];
    spawn(command as string, args as string[], { stdio: "ignore", detached: step.child === "setsid" }).unref();
    return;
  }
  if ("once" in step || "onceEach" in step) {
    // By its own variables, for the session has another name when it begins anew.
    const mark = join(STATE, "once" in step ? step.once : `once-${Buffer.from(process.env["HARNESS"] ?? "").toString("hex")}`);
    if (existsSync(mark)) return;
    writeFileSync(mark, "");
    for (const inner of step.steps) if ((await take(inner)) === "cancelled") return "cancelled";
    return;
  }
  if ("flood" in step) {
    const line = step.flood.to === "stderr" ? `${"noise ".repeat(30)}\n` : `${JSON.stringify({ jsonrpc: "2.0", method: "session/update", params: { sessionId, update: { sessionUpdate: "agent_thought_chunk", content: { type: "text", text: "hm ".repeat(30) } } } })}\n`;
    const stream = process[step.flood.to];
    for (let n = 0; n < step.flood.lines; n++) if (!stream.write(line)) await new Promise((resolve) => stream.once("drain", resolve));
    return;
  }
  if ("wait" in step) {
    if (step.wait === "ever") return new Promise(() => {});
    if (step.wait === "steering") return say(`steered: ${await steering.promise}`);
    await cancelled.promise;
    return "cancelled";
  }
  if ("tool" in step) {
    const { id: toolCallId, name, input, output = "", failed = false } = step.tool;
    update({ sessionUpdate: "tool_call", toolCallId, title: name, name, kind: "other", status: "in_progress", rawInput: input ?? {} });
    update({ sessionUpdate: "tool_call_update", toolCallId, status: failed ? "failed" : "completed", content: [{ type: "content", content: { type: "text", text: output } }] });
    return;
  }
  if ("ask" in step) {
    const { name, input, kind = "other", content, kinds = ["allow_once", "allow_always", "reject_once"] } = step.ask;
    const options = kinds.map((one) => ({ optionId: `o-${one}`, name: one, kind: one }));
    const all = Array.from({ length: step.times ?? 1 }, () =>
      ask("session/request_permission", { sessionId, options, toolCall: { toolCallId: `c${nextId}`, title: `${name} something`, kind, _meta: { tool: name }, rawInput: input ?? {}, ...(content === undefined ? {} : { content }) } }),
    );
    if (step.andGoOn) return;
    const answers = (await Promise.all(all)).map(({ result, error }) => (error === undefined ? (result.outcome.optionId ?? result.outcome.outcome) : `error ${error.code}`));
    return say(`${name}: ${[...new Set(answers)].join(",")} (${answers.length})\n`);
  }
  if ("call" in step) {
    const { result, error } = await ask(step.call, { sessionId, ...step.params });
    return say(`${step.call}: ${JSON.stringify(error === undefined ? result : { code: error.code, message: error.message })}\n`);
  }
  if ("write" in step) return writeFileSync(step.write.path, step.write.text);
  if ("attempt" in step) return say(`${step.attempt} ${step.at}: ${await attempted(step)}\n`);
  if ("misdeed" in step) await misbehave(step.misdeed, undefined);
}

async function attempted({ attempt, at, input }: Extract<Step, { attempt: string }>): Promise<string> {
  try {
    switch (attempt) {
      case "read":
        return readFileSync(at, "utf8");
      case "write":
        writeFileSync(at, "x");
        return "written";
      case "connect":
        return await new Promise((resolve) => connect(Number(at), "127.0.0.1").once("connect", () => resolve("connected")).once("error", () => resolve("refused")));
      case "tool": {
        const response = await fetch(lent!.url, {
          method: "POST",
          headers: { "content-type": "application/json", ...Object.fromEntries(lent!.headers.map(({ name, value }) => [name, value])) },
          body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: at === "" ? "tools/list" : "tools/call", params: at === "" ? {} : { name: at, arguments: input ?? {} } }),
        });
        const { result } = (await response.json()) as any;
        return at === "" ? result.tools.map(({ name }: any) => name).sort().join(",") : result.content[0].text;
      }
    }
  } catch (cause) {
    return `failed ${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message}`;
  }
}

/** @returns false when the answer comes all the same. */
async function misbehave(misdeed: Misdeed, id: number | undefined): Promise<boolean> {
  switch (misdeed) {
    case "hang":
      await new Promise(() => {});
      return true;
    case "exit 0":
    case "exit 1":
      return process.exit(Number(misdeed.slice(-1)));
    case "segv":
      process.kill(process.pid, "SIGSEGV");
      return true;
    case "close output":
      closeSync(1);
      setInterval(() => {}, ANSWER_EVER);
      return true;
    case "nonsense":
      process.stdout.write('Welcome!\n[]\n[{"jsonrpc":"2.0","id":1}]\n7\nnull\n{"id":99999,"jsonrpc":"2.0","result":{}}\n{"jsonrpc":"2.0","id":{},"method":"x"}\n{"method":7}\n\n');
      return false;
    case "latin":
      process.stdout.write(Buffer.from([0xff, 0xfe, 0x7b, 0x0a, 0xe9, 0x0a]));
      return false;
    case "half a line":
      process.stdout.write('{"jsonrpc":"2.0","id":');
      return process.exit(0);
    case "error":
      send({ id, error: { code: -32000, message: "log in first" } });
      return true;
    case "flood":
      await take({ flood: { lines: 20_000, to: "stderr" } });
      return false;
    case "long line":
      process.stdout.write(`{"x":"${"y".repeat(16 * 1024 * 1024)}"}\n`);
      return false;
    case "64 MB line":
      // A good message but for its length.
      process.stdout.write(`{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"${sessionId}","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"${"y".repeat(64 * 1024 * 1024)}"}}}}\n`);
      return false;
  }
}
