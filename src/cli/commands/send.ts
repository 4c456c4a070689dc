/** `yard send`: one message, and with `--wait` its answer. */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { Option } from "commander";
import type { ApiQueueMode, MessageAccepted } from "../../api/wire.ts";
import { QUEUE_MODES } from "../../model/lane.ts";
import { DEFAULT_AGENT, mainSession } from "../../model/session.ts";
import { awaitReply, lastSeqOf, WAIT_SECONDS, WAIT_SECONDS_MAX } from "../await-end.ts";
import { asJson, sessionArgument, wholeNumberArgument, type Cli } from "../command.ts";
import { duration } from "../table.ts";
import { plain, readAll, say, sayJson } from "../terminal.ts";

interface SendOptions {
  readonly session?: string;
  readonly wait?: boolean;
  readonly timeout: number;
  readonly queueMode?: ApiQueueMode;
  readonly json?: boolean;
}

export function register(parent: Command, cli: Cli): void {
  asJson(parent.command("send").description("send one message").argument("<text>", "the message; - reads it from standard input"))
    .option("--session <session>", "a session's key, or an agent's name", sessionArgument)
    .option("--wait", "wait for the answer and print it")
    .option("--timeout <seconds>", "with --wait: how long", wholeNumberArgument({ min: 1, max: WAIT_SECONDS_MAX }), WAIT_SECONDS)
    .addOption(new Option("--queue-mode <mode>", "what happens when a turn is running").choices(QUEUE_MODES))
    .action(async (words: string, { session, wait, timeout, queueMode, json }: SendOptions) => {
      const text = words === "-" ? await readAll(cli.terminal) : words;
      const gateway = await cli.connect();
      const after = wait ? ((await lastSeqOf(gateway, session ?? mainSession(DEFAULT_AGENT))) ?? 0) : 0;
      const body = { text, session, queueMode, clientMessageId: randomUUID() };
      const accepted = await gateway.post<MessageAccepted>("/api/messages", body);

      if (!wait) {
        if (json) sayJson(cli.terminal, accepted);
        else say(cli.terminal, accepted.commandReply === undefined ? acceptedText(accepted) : plain(accepted.commandReply));
        return;
      }
      const reply = await awaitReply(cli, gateway, { session: accepted.session, after, messageId: accepted.messageId, seconds: timeout });
      if (json) sayJson(cli.terminal, { ...accepted, reply: reply.data });
      else say(cli.terminal, plain(String(reply.data["text"])));
    });
}

function acceptedText({ messageId, session, queuedAhead, etaMs }: MessageAccepted): string {
  const line = queuedAhead === 0 ? "next" : `${queuedAhead} before it, about ${duration(etaMs)}`;
  return `${messageId} accepted in ${session} (${line})`;
}
