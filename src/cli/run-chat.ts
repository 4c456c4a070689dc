/**
 * A chat in the terminal: lines go out as messages, everything that happens in the session comes in.
 * Typing is never blocked by an answer, nor an answer by typing.
 *
 * Ctrl-C, Ctrl-D and /quit leave; /stop stops what runs, as every other /command does its work in the
 * gateway. Without a terminal it ends when the input has ended and everything sent was answered.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { MessageAccepted, MissedAnswer, SeenAnswer } from "../api/wire.ts";
import { lastSeqOf } from "./await-end.ts";
import { ChatScreen } from "./chat-screen.ts";
import type { GatewayClient } from "./client.ts";
import { inPath, type Cli } from "./command.ts";
import { Conversation, type Piece } from "./conversation.ts";
import { faultOf } from "./failure.ts";
import { date } from "./table.ts";
import { isInteractive } from "./terminal.ts";

const LEAVE = ["/quit", "/exit"];

/** @returns when the person leaves. @throws {Fault} GATEWAY_NOT_THERE  it went away and did not come back. */
export async function runChat(cli: Cli, gateway: GatewayClient, session: string): Promise<void> {
  const { terminal } = cli;
  const interactive = isInteractive(terminal);
  const after = await lastSeqOf(gateway, session); // before input is read: lines that nobody listens for are lost
  const lines = createInterface({ input: terminal.input, output: interactive ? (terminal.output as NodeJS.WritableStream) : undefined, terminal: interactive, prompt: "> " });
  const screen = new ChatScreen(terminal, lines);
  const conversation = new Conversation();
  const left = new AbortController();
  /** A session that nothing was ever said in has no events to follow: it is made by its first message. */
  const { promise: exists, resolve: sessionExists } = Promise.withResolvers<void>();
  if (after !== null) sessionExists();
  let inputEnded = false;
  let sending = 0;

  const leaveWhenDone = (): void => {
    if (inputEnded && sending === 0 && (interactive || conversation.waiting === 0)) left.abort();
  };
  const send = async (text: string): Promise<void> => {
    const clientMessageId = randomUUID();
    conversation.sending(clientMessageId);
    sending++;
    try {
      const accepted = await gateway.post<MessageAccepted>("/api/messages", { text, session, clientMessageId });
      sessionExists();
      conversation.accepted(accepted.messageId);
      if (accepted.commandReply !== undefined) for (const piece of conversation.commandReply(accepted.commandReply)) screen.show(piece);
    } catch (thrown) {
      const { code, message } = faultOf(thrown);
      screen.show({ kind: "trouble", text: `${code}: ${message}` });
      if (!interactive) cli.fail();
    } finally {
      sending--;
      leaveWhenDone();
    }
  };

  lines.on("line", (line) => {
    const text = line.trim();
    if (LEAVE.includes(text)) lines.close();
    else if (text !== "") void send(text);
    if (interactive) lines.prompt();
  });
  lines.on("SIGINT", () => lines.close());
  lines.on("close", () => {
    inputEnded = true;
    leaveWhenDone();
  });
  let lastSeen = after;
  if (after !== null) for (const piece of await whatWasMissed(gateway, session)) screen.show(piece);
  if (interactive) lines.prompt();

  try {
    const onLost = (): void => screen.show({ kind: "note", text: "the connection is lost; trying again" });
    await Promise.race([exists, once(left.signal, "abort")]);
    for await (const event of gateway.follow({ session, after: after ?? 0, onLost }, left.signal)) {
      for (const piece of conversation.take(event)) screen.show(piece);
      lastSeen = event.seq ?? lastSeen;
      leaveWhenDone();
    }
  } finally {
    lines.close();
    if (interactive) terminal.output.write("\n");
    if (lastSeen !== null) await gateway.post<SeenAnswer>(`/api/sessions/${inPath(session)}/seen`, { seq: lastSeen }).catch(() => {}); // the gateway went away: the same is shown again
  }
}

/** What happened in the session since a chat with it was last left. */
async function whatWasMissed(gateway: GatewayClient, session: string): Promise<readonly Piece[]> {
  const { seenAt, events } = await gateway.get<MissedAnswer>(`/api/sessions/${inPath(session)}/missed`);
  if (events.length === 0) return [];
  const reader = new Conversation();
  return [{ kind: "note", text: `since ${date(seenAt!)}:` }, ...events.flatMap((event) => reader.take(event))];
}
