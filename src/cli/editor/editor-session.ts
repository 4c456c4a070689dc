/**
 * One session as an editor sees it: events of the gateway in, updates and answers to prompts out.
 *
 * Always true: each prompt gets one end: its answer, its failure, or that it was cancelled; each answer
 * reaches the editor once, word for word, and what was shown while it was written counts when it is the
 * same. What comes without a prompt (results of children, notices) is shown too.
 */
import type { AvailableCommand, SessionUpdate, StopReason, ToolKind } from "@agentclientprotocol/sdk";
import type { ApiEvent, ApiFault } from "../../api/wire.ts";
import { endOfMessage } from "../await-end.ts";

export type PromptEnd = { readonly stopReason: StopReason } | { readonly fault: ApiFault };

/** One exact thing that waits for a person's approval, as the event that asks for it says. */
export interface Asked {
  readonly approvalId: string;
  readonly tool: string;
  /** One line of the asker; not to be trusted. */
  readonly what: string;
  readonly path: string | null;
  readonly input: Readonly<Record<string, unknown>>;
}

/** What an editor session does to the outside. */
export interface EditorPort {
  update(update: SessionUpdate): void;
  /** Puts a request for approval to the person. */
  ask(asked: Asked): void;
}

/** Ends of messages that are kept until their prompt asks for them. */
const ENDS_KEPT_MAX = 100;

export class EditorSession {
  readonly #port: EditorPort;
  readonly #waiting = new Map<string, (end: PromptEnd) => void>();
  /** Ends that came before the answer to the POST that would have named their message. */
  readonly #early = new Map<string, PromptEnd>();
  /** What was shown of a turn since its last tool call, by turn. */
  readonly #shown = new Map<string, string>();

  constructor(port: EditorPort) {
    this.#port = port;
  }

  /** Resolves when the message has its end. */
  endOf(messageId: string): Promise<PromptEnd> {
    const early = this.#early.get(messageId);
    if (early !== undefined) {
      this.#early.delete(messageId);
      return Promise.resolve(early);
    }
    return new Promise((resolve) => this.#waiting.set(messageId, resolve));
  }

  /** Ends every prompt that waits. */
  endAll(end: PromptEnd): void {
    for (const resolve of this.#waiting.values()) resolve(end);
    this.#waiting.clear();
  }

  say(text: string): void {
    if (text !== "") this.#port.update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text } });
  }

  take(event: ApiEvent): void {
    this.#show(event);
    const named = event.type === "reply" ? event.data["replyTo"] : event.data["messageIds"];
    for (const id of Array.isArray(named) ? (named as string[]) : []) {
      const end = endOfMessage(event, id);
      if (end === null) continue;
      const promptEnd: PromptEnd = "text" in end ? { stopReason: "end_turn" } : end.fault.code === "TURN_CANCELLED" ? { stopReason: "cancelled" } : { fault: end.fault };
      const resolve = this.#waiting.get(id);
      if (resolve === undefined) this.#keep(id, promptEnd);
      else {
        this.#waiting.delete(id);
        resolve(promptEnd);
      }
    }
  }

  #keep(id: string, end: PromptEnd): void {
    this.#early.set(id, end);
    if (this.#early.size > ENDS_KEPT_MAX) this.#early.delete(this.#early.keys().next().value!);
  }

  #show({ type, turnId = "", data }: ApiEvent): void {
    const text = String(data["text"] ?? "");
    switch (type) {
      case "text.delta":
        this.#shown.set(turnId, (this.#shown.get(turnId) ?? "") + text);
        return this.say(text);
      case "text.void":
        if (this.#shown.delete(turnId)) this.say("\n\n(begins again)\n\n");
        return;
      case "tool.started":
        this.#shown.delete(turnId);
        return this.#port.update({
          sessionUpdate: "tool_call",
          toolCallId: callId(turnId, data),
          title: titleOf(String(data["tool"]), String(data["input"] ?? "")),
          kind: kindOf(String(data["tool"])),
          status: "in_progress",
          rawInput: inputOf(String(data["input"] ?? "")),
        });
      case "tool.ended":
        return this.#port.update({ sessionUpdate: "tool_call_update", toolCallId: callId(turnId, data), status: data["ok"] === true ? "completed" : "failed", content: [{ type: "content", content: { type: "text", text } }] });
      case "reply":
        if (data["code"] === "COMMAND") return; // shown by whoever asked
        return this.#answer(turnId, text);
      case "notice":
        if (data["code"] === "INTERIM") return this.#answer(turnId, text);
        if (data["code"] === "MESSAGE") return this.say(`${text}\n\n`); // the agent's own words, before its answer
        if (data["code"] === "COMMAND" || data["code"] === "APPROVAL") return; // shown by whoever asked
        return this.#port.update({ sessionUpdate: "agent_thought_chunk", content: { type: "text", text: `${text}\n` } });
      case "turn.ended":
        this.#shown.delete(turnId);
        return;
      case "approval.requested":
        return this.#port.ask(data as unknown as Asked);
    }
  }

  #answer(turnId: string, text: string): void {
    const shown = this.#shown.get(turnId) ?? "";
    this.#shown.delete(turnId);
    if (shown.trim() === text.trim()) return;
    if (text.startsWith(shown)) this.say(text.slice(shown.length));
    else this.say(`\n\n${text}`);
  }
}

/** Calls of different turns may share an id. */
function callId(turnId: string, data: Readonly<Record<string, unknown>>): string {
  return `${turnId}:${String(data["callId"])}`;
}

const TITLE_LENGTH_MAX = 200;

function titleOf(tool: string, input: string): string {
  return `${tool} ${input}`.slice(0, TITLE_LENGTH_MAX);
}

function inputOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // it was cut
  }
}

const KINDS: Readonly<Record<string, ToolKind>> = { read: "read", list: "read", memory: "think", glob: "search", grep: "search", tool_search: "search", write: "edit", edit: "edit", exec: "execute", process: "execute", web_fetch: "fetch" };

export function kindOf(tool: string): ToolKind {
  return KINDS[tool] ?? "other";
}

export function commandsOf(commands: readonly { readonly name: string; readonly usage: string; readonly doc: string }[]): AvailableCommand[] {
  return commands.map(({ name, usage, doc }) => {
    const hint = usage.replace(new RegExp(`^/${name} ?`), "");
    return { name, description: doc, ...(hint === "" ? {} : { input: { hint } }) };
  });
}
