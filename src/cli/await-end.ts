/** Waits for the answer to a message, or the end of a task, by following the session's events. */
import type { ApiEvent, ApiFault, ApiTask } from "../api/wire.ts";
import { Fault } from "../model/faults.ts";
import { AnsweredFault } from "./failure.ts";
import type { GatewayClient } from "./client.ts";
import { inPath, type Cli } from "./command.ts";

export const WAIT_SECONDS = 3600;
export const WAIT_SECONDS_MAX = 7 * 86_400;

/** The number of the last event of a session; null when there is no such session yet. */
export async function lastSeqOf(gateway: GatewayClient, session: string): Promise<number | null> {
  try {
    return (await gateway.get<{ lastSeq: number }>(`/api/sessions/${inPath(session)}`)).lastSeq;
  } catch (thrown) {
    if (thrown instanceof AnsweredFault && thrown.fault.code === "SESSION_NOT_FOUND") return null;
    throw thrown;
  }
}

/** What became of a message, if this event says so: its answer, its failure, or null for anything else. */
export function endOfMessage(event: ApiEvent, messageId: string): { readonly text: string } | { readonly fault: ApiFault } | null {
  const { data } = event;
  const names = (list: unknown): boolean => Array.isArray(list) && list.includes(messageId);
  if (event.type === "reply" && names(data["replyTo"])) return { text: String(data["text"]) };
  if (event.type === "turn.ended" && data["outcome"] !== "done" && names(data["messageIds"])) {
    return { fault: (data["fault"] as ApiFault | undefined) ?? cancelledBy("the gateway") };
  }
  if (event.type === "message.cancelled" && names(data["messageIds"])) return { fault: cancelledBy(String(data["by"] ?? "the gateway")) };
  return null;
}

/**
 * @returns the text that answers the message.
 * @throws {AnsweredFault} its turn failed or was cancelled.
 * @throws {Fault} WAIT_TIMED_OUT, GATEWAY_NOT_THERE
 */
export async function awaitReply(cli: Cli, gateway: GatewayClient, wait: { session: string; after: number; messageId: string; seconds: number }): Promise<ApiEvent> {
  return await firstEvent(cli, gateway, wait, `message ${wait.messageId}`, `yard sessions history ${wait.session}`, (event) => {
    const end = endOfMessage(event, wait.messageId);
    if (end !== null && "fault" in end) throw new AnsweredFault(end.fault);
    return end !== null;
  });
}

/** @returns the task as it ended, however it ended. @throws {Fault} WAIT_TIMED_OUT, GATEWAY_NOT_THERE */
export async function awaitTask(cli: Cli, gateway: GatewayClient, wait: { session: string; after: number; taskId: string; seconds: number }): Promise<ApiTask> {
  await firstEvent(cli, gateway, wait, `task ${wait.taskId}`, `yard tasks show ${wait.taskId}`, (event) => event.type === "task.ended" && event.taskId === wait.taskId);
  return await gateway.get<ApiTask>(`/api/tasks/${inPath(wait.taskId)}`);
}

async function firstEvent(
  cli: Cli,
  gateway: GatewayClient,
  wait: { session: string; after: number; seconds: number },
  what: string,
  look: string,
  isIt: (event: ApiEvent) => boolean,
): Promise<ApiEvent> {
  const overdue = new AbortController();
  const disarm = cli.clock.after(wait.seconds * 1000, () => overdue.abort());
  try {
    for await (const event of gateway.follow(wait, overdue.signal)) if (isIt(event)) return event;
  } finally {
    disarm();
    overdue.abort();
  }
  throw new Fault("WAIT_TIMED_OUT", { what, seconds: wait.seconds, look });
}

function cancelledBy(by: string): ApiFault {
  const fault = new Fault("TURN_CANCELLED", { by });
  return { ...fault.toRecord(), details: { by } };
}
