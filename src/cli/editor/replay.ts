/** What was said before, as the updates by which an editor draws a loaded session. */
import type { SessionUpdate } from "@agentclientprotocol/sdk";
import type { HistoryEntry } from "../../api/wire.ts";
import { kindOf } from "./editor-session.ts";

export function replayOf(entry: HistoryEntry): SessionUpdate[] {
  const content = { type: "text", text: entry.text } as const;
  const id = (callId: string): string => `${entry.turnId ?? ""}:${callId}`;
  switch (entry.role) {
    case "user":
      return [{ sessionUpdate: "user_message_chunk", content }];
    case "assistant":
      return [
        ...(entry.text === "" ? [] : [{ sessionUpdate: "agent_message_chunk", content } as const]),
        ...(entry.toolCalls ?? []).map(({ callId, tool, input }): SessionUpdate => ({ sessionUpdate: "tool_call", toolCallId: id(callId), title: tool, kind: kindOf(tool), status: "in_progress", rawInput: input })),
      ];
    case "tool":
      return (entry.toolResults ?? []).map(({ callId, text, isError }) => ({ sessionUpdate: "tool_call_update", toolCallId: id(callId), status: isError ? "failed" : "completed", content: [{ type: "content", content: { type: "text", text } }] }));
    case "notice":
      return [{ sessionUpdate: "agent_thought_chunk", content: { type: "text", text: `${entry.text}\n` } }];
  }
}
