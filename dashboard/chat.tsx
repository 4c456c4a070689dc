/** The open conversation: its thread, what is being written right now, and the composer. */
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Composer } from "./composer.tsx";
import type { Conversation, Item, MessageItem, ReplyItem } from "./conversation.ts";
import { oneLine } from "./format.ts";
import { CommandAnswer, Failure, Live, Message, Notice, Reply, Thinking, WorkRow } from "./messages.tsx";
import type { RunningTurn } from "./state.ts";
import { aheadOf, threadOf, type ThreadRow } from "./thread.ts";

/** Closer to the end than this, the view follows new text. */
const FOLLOW_WITHIN_PX = 80;
const ANNOUNCED_MAX_CHARS = 400;

interface Props {
  session: string;
  conversation: Conversation;
  turns: readonly RunningTurn[];
  drafts: Map<string, string>;
  onSend(text: string): void;
  onAgain(item: MessageItem): void;
  onForget(item: MessageItem): void;
  onOlder(): Promise<void>;
  onReload(): void;
}

export function Chat({ session, conversation, turns, drafts, onSend, onAgain, onForget, onOlder, onReload }: Props): VNode {
  const { items, live, position } = conversation;
  const rows = useMemo(() => threadOf(items), [items]);
  const drawn = useMemo(() => {
    const ahead = aheadOf(items, position);
    return rows.map((row) => ({ at: atOf(row), node: draw(row, items, ahead, onSend, onAgain, onForget) }));
  }, [rows, position, session]);
  const scroll = useScroll(session, items, live);

  // Words being written stand where they began; a message sent meanwhile stands below them.
  const messages = useMemo(() => new Map(items.flatMap((item) => (item.kind === "message" ? [[item.id, item] as const] : []))), [items]);
  const thread: VNode[] = drawn.map(({ node }) => node);
  const writing = [...live.values()].filter((text) => text.text.trim() !== "").sort((a, b) => b.at - a.at);
  for (const text of writing) {
    const turn = turns.find(({ turnId }) => turnId === text.turnId);
    const index = drawn.findLastIndex(({ at }) => at <= text.at) + 1;
    const above = rows[index - 1];
    const answers = turn?.messageIds.map((id) => messages.get(id)).findLast((message) => message !== undefined) ?? null;
    const isRightAbove = above?.kind !== "item" || above.item === answers;
    thread.splice(index, 0, <Live key={`live:${text.turnId}`} live={text} answers={isRightAbove ? null : answers} handle={turn?.track === "side" ? turn.handle : null} />);
  }
  const silent = turns.find((turn) => turn.track === "main" && !writing.some((text) => text.turnId === turn.turnId));
  const isEmpty = thread.length === 0 && silent === undefined;

  return (
    <section class="chat" aria-label="Conversation">
      <div class="thread" ref={scroll.box} onScroll={scroll.onScroll} tabIndex={-1}>
        <div class="thread-column">
          {conversation.olderBefore !== null && (
            <button type="button" class="quiet more" onClick={() => void onOlder()}>
              Show earlier messages
            </button>
          )}
          {isEmpty && conversation.phase === "ready" && <Welcome />}
          {isEmpty && (conversation.phase === "loading" || conversation.phase === "stale") && <p class="empty">Loading…</p>}
          {thread}
          {silent !== undefined && <Thinking key={silent.turnId} turn={silent} />}
          {conversation.phase === "failed" && (
            <p class="notice error" role="alert">
              This conversation could not be loaded: {conversation.problem}{" "}
              <button type="button" class="quiet" onClick={onReload}>
                Try again
              </button>
            </p>
          )}
        </div>
      </div>
      {!scroll.isFollowing && (
        <button type="button" class="to-end" onClick={scroll.toEnd} aria-label="To the newest message">
          ↓
        </button>
      )}
      <Announcer session={session} items={items} />
      <Composer session={session} drafts={drafts} hint={turns.length > 0 ? "Something runs: what you send now is taken in turn, you need not wait." : "Enter sends, Shift+Enter makes a new line."} onSend={(text) => (scroll.toEnd(), onSend(text))} />
    </section>
  );
}

function Welcome(): VNode {
  return (
    <div class="welcome">
      <h2>What shall be done?</h2>
      <p>Send several messages in a row, start long work and go on talking: answers come when they are ready, each under what it answers.</p>
    </div>
  );
}

function atOf(row: ThreadRow): number {
  return row.kind === "work" ? row.items[0]!.at : row.item.at;
}

function draw(row: ThreadRow, items: readonly Item[], ahead: ReadonlyMap<string, number>, onSend: Props["onSend"], onAgain: Props["onAgain"], onForget: Props["onForget"]): VNode {
  if (row.kind === "work") return <WorkRow key={row.key} items={row.items} />;
  if (row.kind === "reply") return <Reply key={row.key} item={row.item} answers={row.answers} />;
  const { item } = row;
  switch (item.kind) {
    case "message":
      return <Message key={row.key} item={item} ahead={ahead.get(item.id) ?? 0} onAgain={onAgain} onForget={onForget} />;
    case "notice":
      return <Notice key={row.key} item={item} onSend={onSend} />;
    case "command":
      return <CommandAnswer key={row.key} item={item} />;
    case "failure": {
      const asked = items.filter((other): other is MessageItem => other.kind === "message" && other.provenance === "user" && item.messageIds.includes(other.id));
      const isLast = items.at(-1) === item;
      return <Failure key={row.key} item={item} onAgain={isLast && asked.length > 0 ? () => onSend(asked.map((message) => message.text).join("\n\n")) : null} />;
    }
  }
}

/** Reads new replies out to those who do not see them. */
function Announcer({ session, items }: { session: string; items: readonly Item[] }): VNode {
  const last = items.findLast((item): item is ReplyItem => item.kind === "reply");
  const first = useRef({ session, id: last?.id });
  if (first.current.session !== session) first.current = { session, id: last?.id };
  return (
    <div class="unseen" aria-live="polite">
      {last !== undefined && last.id !== first.current.id ? `Reply: ${oneLine(last.text, ANNOUNCED_MAX_CHARS)}` : ""}
    </div>
  );
}

/** Follows the end while the person is there, and keeps the place when earlier messages come in above. */
function useScroll(session: string, items: readonly Item[], live: unknown) {
  const box = useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = useState(true);
  const follows = useRef(true);
  const before = useRef({ session: "", first: "", height: 0 });

  const toEnd = (): void => {
    follows.current = true;
    setFollowing(true);
    box.current!.scrollTop = box.current!.scrollHeight;
  };
  const onScroll = (): void => {
    const { scrollHeight, scrollTop, clientHeight } = box.current!;
    follows.current = scrollHeight - scrollTop - clientHeight < FOLLOW_WITHIN_PX;
    setFollowing(follows.current);
  };
  useLayoutEffect(() => {
    const element = box.current!;
    const first = items[0]?.id ?? "";
    const { session: lastSession, first: lastFirst, height } = before.current;
    if (lastSession !== session) toEnd();
    else if (follows.current) element.scrollTop = element.scrollHeight;
    else if (lastFirst !== first) element.scrollTop += element.scrollHeight - height;
    before.current = { session, first, height: element.scrollHeight };
  }, [session, items, live]);
  useLayoutEffect(() => {
    // The window or the composer changed size: the end stays in sight.
    const observer = new ResizeObserver(() => {
      if (follows.current) box.current!.scrollTop = box.current!.scrollHeight;
    });
    observer.observe(box.current!);
    observer.observe(box.current!.firstElementChild!);
    return () => observer.disconnect();
  }, []);
  return { box, isFollowing, toEnd, onScroll };
}
