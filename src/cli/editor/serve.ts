/**
 * `yard acp`: the running gateway as an agent that editors start and speak to over standard input and
 * output, in the Agent Client Protocol.
 *
 * A session of the editor is a session of the gateway under the same key, so it can be seen and gone on
 * with from anywhere. It works in the folder that the editor names. Sessions outlive the editor; closing
 * one stops what runs in it and keeps what was said. Tool servers that an editor offers are not used.
 */
import { randomUUID } from "node:crypto";
import { Readable, Writable } from "node:stream";
import type { AgentContext, ListSessionsResponse, LoadSessionRequest, PromptResponse, SessionInfo, SessionUpdate } from "@agentclientprotocol/sdk";
import type { ApiSession, CancelResult, CommandList, History, MessageAccepted, SessionList, StatusAnswer } from "../../api/wire.ts";
import { directSession } from "../../model/session.ts";
import type { GatewayClient } from "../client.ts";
import { inPath } from "../command.ts";
import { faultOf } from "../failure.ts";
import type { Terminal } from "../terminal.ts";
import { commandsOf, EditorSession, type Asked } from "./editor-session.ts";
import { promptText } from "./prompt-text.ts";
import { replayOf } from "./replay.ts";

const CHANNEL = "editor";
const PAGE = 100;
/** Pages of history that a load replays; a longer one begins later. */
const PAGES_MAX = 50;
const PROTOCOL_VERSION = 1;

/** Resolves when the editor has gone. */
export async function serveEditor(terminal: Terminal, gateway: GatewayClient, agentId: string): Promise<void> {
  const { agent, methods, ndJsonStream, RequestError } = await import("@agentclientprotocol/sdk");
  const { version } = await gateway.get<StatusAnswer>("/api/status");
  const gone = new AbortController();
  const open = new Map<string, { readonly session: EditorSession; readonly stop: AbortController }>();
  const { session: on } = methods.agent;

  const app = agent({ name: "yardmaster" })
    .onRequest(methods.agent.initialize, () => ({
      protocolVersion: PROTOCOL_VERSION,
      agentCapabilities: {
        loadSession: true,
        promptCapabilities: { image: false, audio: false, embeddedContext: true },
        mcpCapabilities: { http: false, sse: false },
        sessionCapabilities: { list: {}, resume: {}, close: {} },
      },
      agentInfo: { name: "yardmaster", title: "Yardmaster", version },
      authMethods: [],
    }))
    .onRequest(on.new, ({ params, client }) =>
      told(async () => {
        const key = directSession(agentId, CHANNEL, randomUUID());
        await gateway.post<ApiSession>("/api/sessions", { session: key, cwd: params.cwd });
        await begin(key, client, 0);
        return { sessionId: key };
      }),
    )
    .onRequest(on.load, ({ params, client }) =>
      told(async () => {
        await comeBack(params, client);
        for (const entry of await historyOf(params.sessionId)) for (const update of replayOf(entry)) await client.notify(methods.client.session.update, { sessionId: params.sessionId, update });
        return {};
      }),
    )
    .onRequest(on.resume, ({ params, client }) =>
      told(async () => {
        await comeBack(params, client);
        return {};
      }),
    )
    .onRequest(on.list, ({ params }) => told(() => list(params.cwd ?? null, params.cursor ?? null)))
    .onRequest(on.close, ({ params }) =>
      told(async () => {
        await cancel(params.sessionId);
        open.get(params.sessionId)?.stop.abort();
        open.delete(params.sessionId);
        return {};
      }),
    )
    .onRequest(on.prompt, ({ params, client }) => told(() => prompt(params.sessionId, promptText(params.prompt), client)))
    .onNotification(on.cancel, ({ params }) => cancel(params.sessionId).catch(() => {})); // a prompt that runs says so itself

  const stream = ndJsonStream(Writable.toWeb(terminal.output) as WritableStream<Uint8Array>, Readable.toWeb(terminal.input) as ReadableStream<Uint8Array>);
  const connection = app.connect(stream);
  await connection.closed;
  gone.abort();

  /** Turns refusals of the gateway into answers of the protocol. */
  async function told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (thrown instanceof RequestError) throw thrown;
      throw errorOf(faultOf(thrown));
    }
  }

  function errorOf(fault: ReturnType<typeof faultOf>): Error {
    const code = fault.code === "SESSION_NOT_FOUND" ? -32_002 : fault.code === "BAD_REQUEST" ? -32_602 : -32_603;
    return new RequestError(code, `${fault.code}: ${fault.message}`, fault);
  }

  /** Follows a session from a number on and shows it to the editor. */
  async function begin(key: string, client: AgentContext, after: number): Promise<EditorSession> {
    open.get(key)?.stop.abort();
    const stop = new AbortController();
    const update = (what: SessionUpdate): void => void client.notify(methods.client.session.update, { sessionId: key, update: what }).catch(() => {}); // the editor has gone
    const session = new EditorSession({ update, ask: (approval) => void relay(key, client, approval).catch((thrown: unknown) => complain(thrown)) });
    open.set(key, { session, stop });
    void follow(key, session, after, AbortSignal.any([stop.signal, gone.signal]));
    const { commands } = await gateway.get<CommandList>("/api/commands");
    // After the answer that names the session: before it, an editor does not know whose they are.
    setImmediate(() => update({ sessionUpdate: "available_commands_update", availableCommands: commandsOf(commands) }));
    return session;
  }

  async function follow(key: string, session: EditorSession, after: number, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of gateway.follow({ session: key, after }, signal)) session.take(event);
    } catch (thrown) {
      complain(thrown);
      session.endAll({ fault: faultOf(thrown) });
    } finally {
      if (open.get(key)?.session === session) open.delete(key);
      session.endAll({ stopReason: "cancelled" });
    }
  }

  async function comeBack({ sessionId, cwd }: Pick<LoadSessionRequest, "sessionId" | "cwd">, client: AgentContext): Promise<void> {
    const row = await gateway.get<ApiSession>(`/api/sessions/${inPath(sessionId)}`);
    if (row.cwd !== cwd) await gateway.patch(`/api/sessions/${inPath(sessionId)}`, { cwd });
    await begin(sessionId, client, row.lastSeq);
  }

  async function prompt(key: string, text: string, client: AgentContext): Promise<PromptResponse> {
    const session = open.get(key)?.session ?? (await begin(key, client, (await gateway.get<ApiSession>(`/api/sessions/${inPath(key)}`)).lastSeq));
    const accepted = await gateway.post<MessageAccepted>("/api/messages", { session: key, text, clientMessageId: randomUUID() });
    if (accepted.commandReply !== undefined) {
      session.say(accepted.commandReply);
      return { stopReason: "end_turn" };
    }
    const end = await session.endOf(accepted.messageId);
    if ("fault" in end) throw errorOf(end.fault);
    return end;
  }

  async function cancel(key: string): Promise<void> {
    await gateway.post<CancelResult>(`/api/sessions/${inPath(key)}/cancel`, { queue: true });
    // One that waited for its children has no turn that could end.
    open.get(key)?.session.endAll({ stopReason: "cancelled" });
  }

  async function relay(key: string, client: AgentContext, { approvalId, tool, what, input, path }: Asked): Promise<void> {
    const { outcome } = await client.request(methods.client.session.requestPermission, {
      sessionId: key,
      toolCall: { toolCallId: approvalId, title: what === "" ? tool : what, status: "pending", rawInput: input, ...(path === null ? {} : { locations: [{ path }] }) },
      options: [
        { optionId: "once", name: "Allow once", kind: "allow_once" },
        { optionId: "always", name: "Always allow exactly this", kind: "allow_always" },
        { optionId: "deny", name: "Deny", kind: "reject_once" },
      ],
    });
    const answer = outcome.outcome === "selected" && (outcome.optionId === "once" || outcome.optionId === "always") ? outcome.optionId : "deny";
    await gateway.post(`/api/approvals/${inPath(approvalId)}`, { answer });
  }

  async function list(cwd: string | null, cursor: string | null): Promise<ListSessionsResponse> {
    const { sessions, next } = await gateway.get<SessionList>("/api/sessions", { limit: PAGE, ...(cursor === null ? {} : { after: cursor }) });
    const infos = sessions.flatMap((row): SessionInfo[] => {
      const isConversation = row.kind === "main" || row.kind === "direct" || row.kind === "group";
      if (!isConversation || (cwd !== null && row.cwd !== cwd)) return [];
      return [{ sessionId: row.key, cwd: row.cwd ?? "/", title: row.label ?? row.key, updatedAt: new Date(row.lastAt).toISOString() }];
    });
    return { sessions: infos, ...(next === undefined ? {} : { nextCursor: next }) };
  }

  async function historyOf(key: string): Promise<History["entries"]> {
    const pages: History["entries"][] = [];
    let before: string | undefined;
    do {
      const page: History = await gateway.get<History>(`/api/sessions/${inPath(key)}/history`, { limit: PAGE, ...(before === undefined ? {} : { before }) });
      pages.unshift(page.entries);
      before = page.next;
    } while (before !== undefined && pages.length < PAGES_MAX);
    return pages.flat();
  }

  function complain(thrown: unknown): void {
    const { code, message } = faultOf(thrown);
    terminal.errors.write(`yard: ${code}: ${message}\n`);
  }
}
