/**
 * Bad providers against the real gateway: whatever one does, the message ends within its bound in an
 * answer or a fault that says what happened, and the conversation goes on afterwards.
 */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { test, type TestContext } from "node:test";
import type { ApiFault } from "../../src/api/wire.ts";
import { NoReply, standinConfig, startGateway, type Gateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

/** What the gateway is given for one call; several attempts and their pauses fit into the bound, and a busy machine's slow answers into each. */
const PATIENCE = {
  "models.deadlines.firstByteSeconds": 4,
  "models.deadlines.betweenChunksSeconds": 5,
  "models.deadlines.totalSeconds": 10,
  "models.retry.maxAttempts": 3,
  "models.retry.maxWaitSeconds": 5,
};
const BOUND_MS = 120_000;

interface Row {
  readonly what: string;
  readonly script: string;
  /** The whole answer, or what it matches, or the codes of which one must be the end. */
  readonly ends: { readonly says: string | RegExp } | { readonly fails: readonly string[] };
  /** It leaves a wall: the next message of its model waits, and is not asked here. */
  readonly walls?: true;
}

const BROKEN = { fails: ["PROVIDER_BROKEN_STREAM"] };
const SILENT = { fails: ["PROVIDER_TIMED_OUT"] };
const OVERLOADED = { fails: ["PROVIDER_OVERLOADED"] };
const REJECTED = { fails: ["PROVIDER_REJECTED"] };
const AUTH = { fails: ["PROVIDER_AUTH"] };
const WENT_ON = { says: "went on" };

const ROWS: readonly Row[] = [
  { what: "headers, then silence", script: "stall", ends: SILENT },
  { what: "one byte a second", script: "drip then say never", ends: SILENT },
  { what: "comments for ever", script: "keepalive", ends: SILENT },
  { what: "words, then silence", script: "say one then wait 10m then say two", ends: SILENT },
  { what: "no end of the answer", script: "noend then say half", ends: BROKEN },
  { what: "a finish reason, and then neither an end mark nor a close", script: "hold then say it all", ends: { says: "it all" } },
  { what: "a stream that is cut again and again", script: "cut 2 then write 300", ends: { fails: ["PROVIDER_BROKEN_STREAM", "PROVIDER_UNREACHABLE"] } },
  { what: "a stream that is cut once", script: "cut 2 times 1 then say went on", ends: WENT_ON },
  { what: "writes that end inside characters", script: "splitutf8 then say grüße 🎈 aus 東京", ends: { says: "grüße 🎈 aus 東京" } },
  { what: "broken UTF-8", script: "badutf8 then say hello", ends: { says: /^hello/ } },
  { what: "events that are unknown or come twice", script: "oddevents then say went on", ends: WENT_ON },
  { what: "an event of 10 MB", script: "giant 10000000 then say went on", ends: { says: /./ } },
  { what: "200 with a web page", script: "html", ends: BROKEN },
  { what: "200 with an error as JSON", script: "jsonerror", ends: BROKEN },
  { what: "a connection that is dropped", script: "reset", ends: { fails: ["PROVIDER_UNREACHABLE"] } },
  { what: "a tool call with invalid JSON", script: "badjson list then say went on", ends: WENT_ON },
  { what: "a tool call with raw control characters", script: "control list then say went on", ends: WENT_ON },
  { what: "an unknown tool", script: "call no_such_tool then say went on", ends: WENT_ON },
  { what: "tool calls that share an id", script: "sameids then call list & list then say went on", ends: WENT_ON },
  { what: "500 tool calls at once", script: 'call list {"path":"."} x 500 then say went on', ends: WENT_ON },
  { what: "400", script: "fail 400", ends: REJECTED },
  { what: "401", script: "fail 401", ends: AUTH },
  { what: "403", script: "fail 403", ends: AUTH },
  { what: "404", script: "fail 404", ends: { fails: ["PROVIDER_MODEL_MISSING"] } },
  { what: "408", script: "fail 408", ends: OVERLOADED },
  { what: "413", script: "fail 413", ends: REJECTED },
  { what: "429 for ever", script: "fail 429", ends: { fails: ["PROVIDER_RATE_LIMITED"] }, walls: true },
  { what: "429 with a time to wait", script: "fail 429 after 1s times 1 then say went on", ends: WENT_ON },
  { what: "429 with a time beyond all patience", script: "fail 429 after 10m", ends: { fails: ["PROVIDER_RATE_LIMITED"] }, walls: true },
  { what: "500", script: "fail 500", ends: OVERLOADED },
  { what: "503", script: "fail 503", ends: OVERLOADED },
  { what: "529", script: "fail 529", ends: { fails: ["PROVIDER_OVERLOADED", "PROVIDER_RATE_LIMITED"] }, walls: true },
  { what: "503 and then an answer", script: "fail 503 times 2 then say went on", ends: WENT_ON },
];

for (const api of ["openai-completions", "anthropic-messages"] as const) {
  test(`over ${api}, each of ${ROWS.length} things that a provider may do ends in its answer or its fault, and the conversation goes on`, { timeout: 300_000 }, async (t) => {
    const model = await startModel(t);
    const providers = { standin: { api, baseUrl: `${model.url}/v1`, apiKey: "test-key", models: ["m"] } };
    // A model of its own for each row: what one of them refuses would hold up the others.
    const agents = ROWS.map((_row, n) => ({ id: `row${n}`, model: `standin/m${n}` }));
    const gateway = await startGateway(t, { config: standinConfig(model.url, { ...PATIENCE, "models.providers": providers, "agents.list": agents, "agents.defaults.maxConcurrent": ROWS.length }) });
    // A refused key closes its provider for a while, so those rows come last and alone.
    const isAuth = (row: Row): boolean => row.ends === AUTH;
    const wrong = (await Promise.all(ROWS.filter((row) => !isAuth(row)).map((row, n) => endsAsItShould(gateway, row, `agent:row${n}:api:direct:anyone`, row.walls !== true)))).flat();
    for (const [n, row] of ROWS.filter(isAuth).entries()) wrong.push(...(await endsAsItShould(gateway, row, `agent:main:api:direct:auth${n}`, false)));
    assert.deepEqual(wrong, []);
    const { lanes } = await gateway.api<{ lanes: unknown[] }>("GET", "/api/lanes");
    assert.deepEqual(lanes, []);
    while ((await model.stats()).inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });
}

test("a port on which nobody listens, and one that never says a word of TLS, are told as what they are", { timeout: 240_000 }, async (t) => {
  const silent = await listen(t);
  const closed = await listen(t);
  const closedPort = portOf(closed);
  closed.close();
  for (const [provider, fails] of [
    [{ api: "openai-completions", baseUrl: `http://127.0.0.1:${closedPort}/v1`, apiKey: "k" }, "PROVIDER_UNREACHABLE"],
    [{ api: "openai-completions", baseUrl: `https://127.0.0.1:${portOf(silent)}/v1`, apiKey: "k" }, "PROVIDER_TIMED_OUT"],
  ] as const) {
    const gateway = await startGateway(t, { config: { ...PATIENCE, "models.providers": { bad: provider }, "agents.defaults.model": "bad/m", "messages.messageWaitMs": 0 } });
    assert.deepEqual(await endsAsItShould(gateway, { what: provider.baseUrl, script: "say never", ends: { fails: [fails] } }, "agent:main:main", false), []);
  }
});

/** @returns what went otherwise. */
async function endsAsItShould(gateway: Gateway, { what, script, ends }: Row, session: string, goesOn: boolean): Promise<string[]> {
  const { messageId } = await gateway.send(`! ${script}`, { session });
  const end = await gateway.waitReply(messageId, BOUND_MS).catch((cause: unknown) => cause);
  const wrong: string[] = [];
  if (typeof end === "string") {
    const fits = "says" in ends && (typeof ends.says === "string" ? end === ends.says : ends.says.test(end));
    if (!fits) wrong.push(`${what}: answered ${JSON.stringify(end.slice(0, 200))}`);
  } else {
    const fault = end instanceof NoReply ? (end.event.data["fault"] as unknown as ApiFault) : null;
    if (!("fails" in ends) || fault === null || !ends.fails.includes(fault.code)) wrong.push(`${what}: ${fault === null ? String(end) : JSON.stringify(fault)}`);
  }
  if (!goesOn) return wrong;
  const next = await gateway.ask("! say and on", { session }).catch(String);
  return next === "and on" ? wrong : [...wrong, `${what}: then the conversation did not go on: ${next}`];
}

async function listen(t: TestContext): Promise<Server> {
  const server = createServer((socket) => socket.on("error", () => {}));
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}

function portOf(server: Server): number {
  return (server.address() as { port: number }).port;
}
