/**
 * A tool server for tests, over standard input and output or, with `--http`, on a port of its own.
 * Written by hand, because a library would not misbehave; it does whatever its tools are told to.
 *
 * With `--http` it prints `{"port"}`. `--fail` exits at once, `--mute` never answers, `--noise` greets on standard output.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

interface Asked {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly arguments?: Record<string, unknown>; readonly protocolVersion?: string };
}

const flags = new Set(process.argv.slice(2));
const schema = (properties: object = {}): object => ({ type: "object", properties });
const tools: { name: string; description?: string; inputSchema: object; annotations?: object }[] = [
  { name: "echo", description: "Says it back.", inputSchema: schema({ text: { type: "string" } }), annotations: { readOnlyHint: true } },
  { name: "put", inputSchema: schema(), annotations: { idempotentHint: true } },
  { name: "do.it!", inputSchema: schema() },
  { name: "environment", inputSchema: schema() },
  { name: "hang", inputSchema: schema() },
  { name: "crash", inputSchema: schema() },
  { name: "flood", inputSchema: schema() },
  { name: "giant", inputSchema: schema({ bytes: { type: "number" } }) },
  { name: "fail", inputSchema: schema() },
  { name: "refuse", inputSchema: schema() },
  { name: "mixed", inputSchema: schema() },
  { name: "grow", description: "Adds a tool.", inputSchema: schema() },
  { name: "no_schema", inputSchema: { type: "string" } },
  { name: "huge_schema", inputSchema: schema({ x: { description: "x".repeat(20_000) } }) },
];

const text = (said: string): object => ({ content: [{ type: "text", text: said }] });

/** @returns the answer's result; null = none is given. */
function answer({ method, params }: Asked, send: (message: object) => void): object | null {
  if (flags.has("--mute")) return null;
  if (method === "initialize") return { protocolVersion: params!.protocolVersion, capabilities: { tools: { listChanged: true } }, serverInfo: { name: "test", version: "1.2.3" } };
  if (method === "ping") return hanging ? null : {};
  if (method === "tools/list") return { tools };
  const input = params!.arguments ?? {};
  switch (params!.name) {
    case "echo":
      return text(String(input["text"]));
    case "environment":
      return text(JSON.stringify({ env: process.env, cwd: process.cwd() }));
    case "hang":
      hanging = true;
      return null;
    case "crash":
      process.stderr.write(`out of luck, with ${process.env["SERVER_SECRET"]}\n`);
      process.exit(7);
    // falls through: never reached
    case "flood":
      for (let n = 0; n < 100_000; n++) send({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: n } });
      return null;
    case "giant":
      return text("x".repeat(Number(input["bytes"])));
    case "fail":
      return { ...text("it went wrong"), isError: true };
    case "mixed":
      return { content: [{ type: "text", text: "one" }, { type: "image", data: "AAAA", mimeType: "image/png" }, { type: "resource", resource: { uri: "file:///a", text: "two" } }, { type: "resource_link", uri: "https://x.example/a", name: "a" }] };
    case "grow":
      tools.push({ name: "grown", inputSchema: schema() });
      send({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
      return text("grown");
    default:
      return text(`did ${params!.name}`);
  }
}
let hanging = false;

function respond(asked: Asked, send: (message: object) => void): void {
  if (asked.id === undefined || asked.method === undefined) return;
  if (asked.params?.name === "refuse") return send({ jsonrpc: "2.0", id: asked.id, error: { code: -32_602, message: "not like this" } });
  const result = answer(asked, send);
  if (result !== null) send({ jsonrpc: "2.0", id: asked.id, result });
}

if (flags.has("--fail")) {
  process.stderr.write("cannot start today\n");
  process.exit(3);
}
if (flags.has("--http")) {
  const server = createServer((request, response) => {
    if (request.method !== "POST") return void response.writeHead(405).end();
    let body = "";
    request.setEncoding("utf8").on("data", (piece: string) => (body += piece));
    request.on("end", () => {
      const asked = JSON.parse(body) as Asked;
      if (asked.id === undefined) return void response.writeHead(202).end();
      // Its length is a lie whenever a giant is asked for: the connection is kept open after more than it.
      respond(asked, (message) => {
        if (asked.params?.name !== "giant") return void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(message));
        response.writeHead(200, { "content-type": "application/json", "x-content-length": "10" });
        response.write(JSON.stringify(message));
      });
    });
  });
  server.listen(Number(process.env["PORT"] ?? 0), "127.0.0.1", () => process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`));
} else {
  if (flags.has("--noise")) process.stdout.write("Welcome to the test server\n\n");
  const send = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
  let rest = "";
  process.stdin.setEncoding("utf8").on("data", (piece: string) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") respond(JSON.parse(line) as Asked, send);
  });
  process.stdin.on("end", () => process.exit(0));
}
