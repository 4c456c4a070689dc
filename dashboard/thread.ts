/**
 * How a conversation's items stand on the page: tool calls of one turn gathered, and a quote above
 * each reply that does not stand right below what it answers. Pure.
 */
import type { Item, MessageItem, ReplyItem, ToolItem, AsideItem } from "./conversation.ts";

export type Work = ToolItem | AsideItem;
export type ThreadRow =
  | { readonly kind: "item"; readonly key: string; readonly item: Exclude<Item, Work | ReplyItem> }
  | { readonly kind: "reply"; readonly key: string; readonly item: ReplyItem; readonly answers: MessageItem | null }
  | { readonly kind: "work"; readonly key: string; readonly items: readonly Work[] };

export function threadOf(items: readonly Item[]): ThreadRow[] {
  const rows: ThreadRow[] = [];
  const messages = new Map<string, MessageItem>();
  for (const item of items) {
    if (item.kind === "message") for (const id of [item.id, ...item.also]) messages.set(id, item);
  }
  let above: MessageItem | null = null;
  for (const item of items) {
    if (item.kind === "tool" || item.kind === "aside") {
      const last = rows.at(-1);
      if (last?.kind === "work" && last.items[0]!.turnId === item.turnId) rows[rows.length - 1] = { ...last, items: [...last.items, item] };
      else rows.push({ kind: "work", key: `work:${item.id}`, items: [item] });
    } else if (item.kind === "reply") {
      const answered: MessageItem | undefined = item.replyTo.map((id) => messages.get(id)).findLast((message) => message !== undefined);
      const isRightAbove = answered === undefined || answered === above;
      rows.push({ kind: "reply", key: item.id, item, answers: isRightAbove ? null : answered });
      above = null;
    } else {
      rows.push({ kind: "item", key: item.kind === "message" ? (item.clientMessageId ?? item.id) : item.id, item });
      if (item.kind === "message") above = item;
      else if (item.kind === "failure") above = null;
    }
  }
  return rows;
}

/** For each waiting message, how many stand in front of it: in its session and in the pool's line. */
export function aheadOf(items: readonly Item[], position: number | null): ReadonlyMap<string, number> {
  const ahead = new Map<string, number>();
  for (const item of items) {
    if (item.kind === "message" && item.state === "waiting") ahead.set(item.id, ahead.size + (position ?? 0));
  }
  return ahead;
}
