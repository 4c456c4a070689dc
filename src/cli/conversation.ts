/**
 * A conversation as a person reads it: events of a session in, pieces of text out.
 *
 * Always true: each answer is shown once, word for word as it was given in the end; what was shown of
 * it while it was written counts when it is the same. Of several turns that write at one moment, one
 * is shown as it writes, the others when they are done.
 */
import type { ApiEvent } from "../api/wire.ts";
import { endOfMessage } from "./await-end.ts";
import { duration } from "./table.ts";

export type Piece =
  /** More of the answer that is being written. */
  | { readonly kind: "delta"; readonly text: string }
  /** What was written since the last line is void. */
  | { readonly kind: "void" }
  /** The answer being written is complete. */
  | { readonly kind: "end" }
  /** A whole answer. */
  | { readonly kind: "answer"; readonly text: string }
  /** What somebody else said in this conversation. */
  | { readonly kind: "said"; readonly text: string }
  /** What happened besides. */
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "trouble"; readonly text: string };

const QUOTE_LENGTH_MAX = 40;
/** Beginnings of messages are kept for this many, to say which one an answer is for. */
const QUOTES_MAX = 200;

export class Conversation {
  #writing: { readonly turnId: string; text: string } | null = null;
  readonly #own = new Set<string>();
  readonly #waiting = new Set<string>();
  readonly #ended = new Set<string>();
  readonly #quotes = new Map<string, string>();
  readonly #commandReplies = new Set<string>();
  #lastMessage = "";

  /** Call before a message is sent, so that it is not shown as somebody else's. */
  sending(clientMessageId: string): void {
    this.#own.add(clientMessageId);
  }

  /** Call when a sent message was accepted. Its events may have come before. */
  accepted(messageId: string): void {
    if (!this.#ended.delete(messageId)) this.#waiting.add(messageId);
  }

  /** How many of the messages sent from here have no answer yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The answer to a command sent from here. It also comes as an event, before or after; it is shown once. */
  commandReply(text: string): readonly Piece[] {
    if (this.#commandReplies.delete(text)) return [];
    if (this.#commandReplies.size > QUOTES_MAX) this.#commandReplies.clear();
    this.#commandReplies.add(text);
    return [{ kind: "answer", text }];
  }

  take(event: ApiEvent): readonly Piece[] {
    this.#settle(event);
    const { data } = event;
    const text = typeof data["text"] === "string" ? data["text"] : "";
    switch (event.type) {
      case "message.accepted":
        return this.#message(event, text);
      case "text.delta":
        return this.#delta(event.turnId ?? "", text);
      case "text.void":
        if (this.#writing?.turnId !== event.turnId) return [];
        this.#writing = null;
        return [{ kind: "void" }];
      case "tool.started":
        return [...this.#finish(event.turnId), { kind: "note", text: `uses ${String(data["tool"] ?? "a tool")}` }];
      case "reply":
        if (data["code"] === "COMMAND") return this.commandReply(text);
        return this.#answer(event.turnId, text, this.#aboutEarlier(data["replyTo"]));
      case "notice":
        if (data["code"] === "COMMAND") return this.commandReply(text);
        if (data["code"] === "INTERIM") return this.#answer(event.turnId, text, "");
        return [...this.#finish(event.turnId), { kind: data["level"] === "error" ? "trouble" : "note", text }];
      case "turn.ended":
        // A failure has its own notice; a cancelled turn has none.
        return data["outcome"] === "cancelled" ? [...this.#finish(event.turnId), { kind: "note", text: "stopped" }] : this.#finish(event.turnId);
      case "task.accepted":
        return [{ kind: "note", text: `child "${String(data["label"])}" accepted` }];
      case "task.ended":
        return [{ kind: "note", text: `child "${String(data["label"])}" ${String(data["state"])}` }];
      case "lane.waiting":
        return [{ kind: "note", text: `in line, about ${duration(Number(data["etaMs"] ?? 0))}` }];
      case "session.reset":
        return [{ kind: "note", text: "the context was cleared" }];
      default:
        return [];
    }
  }

  /** Counts off the messages sent from here. */
  #settle(event: ApiEvent): void {
    const named = event.type === "reply" ? event.data["replyTo"] : event.data["messageIds"];
    if (!Array.isArray(named)) return;
    for (const id of named as string[]) {
      if (endOfMessage(event, id) === null || this.#waiting.delete(id)) continue;
      this.#ended.add(id); // its own POST has not returned yet, or it is another client's
      if (this.#ended.size > QUOTES_MAX) this.#ended.delete(this.#ended.values().next().value!);
    }
  }

  #message({ data }: ApiEvent, text: string): readonly Piece[] {
    const messageId = String(data["messageId"] ?? "");
    this.#quotes.set(messageId, text.length > QUOTE_LENGTH_MAX ? `${text.slice(0, QUOTE_LENGTH_MAX)}…` : text);
    if (this.#quotes.size > QUOTES_MAX) this.#quotes.delete(this.#quotes.keys().next().value!);
    const isPerson = data["provenance"] === "user" || data["provenance"] === "operator";
    if (isPerson) this.#lastMessage = messageId;
    if (!isPerson || this.#own.delete(String(data["clientMessageId"] ?? ""))) return [];
    return [{ kind: "said", text }];
  }

  #delta(turnId: string, text: string): readonly Piece[] {
    this.#writing ??= { turnId, text: "" };
    if (this.#writing.turnId !== turnId) return [];
    this.#writing.text += text;
    return [{ kind: "delta", text }];
  }

  #answer(turnId: string | undefined, text: string, prefix: string): readonly Piece[] {
    const shown = this.#writing !== null && this.#writing.turnId === turnId ? this.#writing.text : null;
    if (shown !== null && shown.trim() === text.trim()) return this.#finish(turnId);
    if (shown !== null) this.#writing = null;
    return [...(shown === null ? [] : [{ kind: "void" } as const]), { kind: "answer", text: prefix + text }];
  }

  #finish(turnId: string | undefined): readonly Piece[] {
    if (this.#writing === null || this.#writing.turnId !== turnId) return [];
    this.#writing = null;
    return [{ kind: "end" }];
  }

  /** Says which message an answer is for, when a later one could be meant. */
  #aboutEarlier(replyTo: unknown): string {
    const ids = Array.isArray(replyTo) ? (replyTo as string[]) : [];
    const last = ids.at(-1);
    if (last === undefined || ids.includes(this.#lastMessage)) return "";
    const quote = this.#quotes.get(last);
    return quote === undefined ? "" : `(to “${quote}”) `;
  }
}
