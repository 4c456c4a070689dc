/** One row of the thread each: what was said, done, answered, or went wrong. */
import type { VNode } from "preact";
import type { LiveText, MessageItem, NoticeItem, CommandItem, FailureItem, ReplyItem, ToolItem } from "./conversation.ts";
import { SECOND_MS, useNow } from "./clock.ts";
import { age, duration, inputSummary, oneLine, problemAndRemedy, readable } from "./format.ts";
import { RichText } from "./rich-text.tsx";
import type { RunningTurn } from "./state.ts";
import type { Work } from "./thread.ts";

/** Steps of a turn that stay in sight; earlier ones are folded. */
const STEPS_SHOWN = 3;
const QUOTE_MAX_CHARS = 120;
/** More of a tool's output is cut here; the page stays quick. */
const OUTPUT_SHOWN_CHARS = 20_000;

const SENDERS: Readonly<Record<string, string>> = {
  child: "Results of children",
  agent: "From another agent",
  timer: "From a timer",
  webhook: "From a webhook",
  system: "From the gateway",
  operator: "From the operator",
};

interface MessageProps {
  item: MessageItem;
  ahead: number;
  onAgain(item: MessageItem): void;
  onForget(item: MessageItem): void;
}

export function Message({ item, ahead, onAgain, onForget }: MessageProps): VNode {
  const fromPerson = item.provenance === "user" || item.provenance === "operator";
  const head = { "data-testid": "message", "data-role": fromPerson ? "user" : item.provenance, "data-message-id": item.id, id: anchorOf(item.id) };
  if (!fromPerson) {
    return (
      <article class="message incoming" {...head}>
        <details>
          <summary>
            <span class="chevron" aria-hidden="true" />
            <strong>{SENDERS[item.provenance] ?? item.provenance}</strong>
            <span class="summary-text">{oneLine(item.text, QUOTE_MAX_CHARS)}</span>
          </summary>
          <RichText text={item.text} />
        </details>
        <Standing item={item} ahead={ahead} />
      </article>
    );
  }
  return (
    <article class={`message user ${item.state}`} aria-label="You" {...head}>
      <div class="bubble">{item.text}</div>
      <Standing item={item} ahead={ahead} />
      {item.state === "refused" && item.fault !== null && (
        <div class="refusal" role="alert">
          <Fault fault={item.fault} />
          <button type="button" class="quiet" onClick={() => onAgain(item)}>
            Send again
          </button>
          <button type="button" class="quiet" onClick={() => onForget(item)}>
            Remove
          </button>
        </div>
      )}
    </article>
  );
}

/** Where a message stands while it has no answer. */
function Standing({ item, ahead }: { item: MessageItem; ahead: number }): VNode | null {
  const now = useNow(item.state === "waiting" && item.startsAt !== null ? SECOND_MS : null);
  switch (item.state) {
    case "sending":
      return <p class="standing">sending…</p>;
    case "waiting": {
      const inMs = item.startsAt === null ? 0 : item.startsAt - now;
      const parts = ["waiting", ahead > 0 ? `${ahead} ahead` : null, inMs >= 1000 ? `about ${age(inMs)}` : null];
      return <p class="standing">{parts.filter((part) => part !== null).join(" · ")}</p>;
    }
    case "cancelled":
      return <p class="standing">stopped</p>;
    case "failed":
      return <p class="standing problem">not answered</p>;
    default:
      return null;
  }
}

export function Reply({ item, answers }: { item: ReplyItem; answers: MessageItem | null }): VNode {
  return (
    <article class="message assistant" aria-label="Reply" data-testid="message" data-role="assistant" data-turn-id={item.turnId ?? undefined}>
      {answers !== null && <Quote message={answers} />}
      <div data-testid="reply" data-reply-to={item.replyTo.join(" ")}>
        <RichText text={item.text} />
      </div>
    </article>
  );
}

/** The words so far of a turn that runs. */
export function Live({ live, answers, handle }: { live: LiveText; answers: MessageItem | null; handle: string | null }): VNode {
  return (
    <article class="message assistant live" aria-label="Reply being written" data-testid="streaming" data-turn-id={live.turnId}>
      {answers !== null && <Quote message={answers} />}
      {handle !== null && <span class="handle">{handle}</span>}
      <RichText text={(live.cut ? "… " : "") + live.text} />
    </article>
  );
}

/** A turn that runs and has said nothing yet. */
export function Thinking({ turn }: { turn: RunningTurn }): VNode {
  const now = useNow(SECOND_MS);
  return (
    <div class="thinking" data-testid="thinking">
      <span class="pulse" aria-hidden="true" />
      working · {age(now - turn.startedAt)}
      {turn.attempt > 1 && ` · attempt ${turn.attempt}`}
    </div>
  );
}

function Quote({ message }: { message: MessageItem }): VNode {
  return (
    <button type="button" class="quote" title="Show the message that this answers" onClick={() => showMessage(message.id)}>
      {oneLine(message.text, QUOTE_MAX_CHARS)}
    </button>
  );
}

function showMessage(id: string): void {
  const target = document.getElementById(anchorOf(id));
  if (target === null) return;
  target.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  target.classList.remove("flash");
  void target.offsetWidth;
  target.classList.add("flash");
}

function anchorOf(id: string): string {
  return `message-${id}`;
}

export function Notice({ item, onSend }: { item: NoticeItem; onSend(text: string): void }): VNode {
  if (item.approvalId !== undefined) return <Question item={item} approvalId={item.approvalId} onSend={onSend} />;
  // A notice of several lines is a text to read, such as a command's answer in history.
  if (item.text.includes("\n")) return <TextToRead text={item.text} label="Notice" testId="notice" />;
  return (
    <p class={`notice ${item.level}`} data-testid="notice">
      {item.text}
    </p>
  );
}

/** Something waits for the person's yes. The buttons say what the person could type. */
function Question({ item, approvalId, onSend }: { item: NoticeItem; approvalId: string; onSend(text: string): void }): VNode {
  const answers = [
    ["Approve once", `/approve ${approvalId}`],
    ["Always, exactly this", `/approve ${approvalId} always`],
    ["Deny", `/deny ${approvalId}`],
  ] as const;
  return (
    <article class="message command" aria-label={`Question ${approvalId}`} data-testid="approval">
      <pre>{item.text}</pre>
      {answers.map(([label, command]) => (
        <button key={command} type="button" class="quiet" onClick={() => onSend(command)}>
          {label}
        </button>
      ))}
    </article>
  );
}

export function CommandAnswer({ item }: { item: CommandItem }): VNode {
  return <TextToRead text={item.text} label="Answer to the command" testId="command-reply" />;
}

function TextToRead({ text, label, testId }: { text: string; label: string; testId: string }): VNode {
  return (
    <article class="message command" aria-label={label} data-testid={testId}>
      <pre tabIndex={0}>{text}</pre>
    </article>
  );
}

export function Failure({ item, onAgain }: { item: FailureItem; onAgain: (() => void) | null }): VNode {
  return (
    <div class="message failure" role="alert" data-testid="failure" data-code={item.fault.code}>
      <Fault fault={item.fault} />
      {onAgain !== null && (
        <button type="button" class="quiet" onClick={onAgain}>
          Ask again
        </button>
      )}
    </div>
  );
}

function Fault({ fault }: { fault: FailureItem["fault"] }): VNode {
  const { problem, remedy } = problemAndRemedy(fault);
  return (
    <p class="problem">
      <strong>{problem}</strong>
      {remedy !== null && <span class="remedy">{remedy}</span>}
    </p>
  );
}

/** What a turn did on its way to the answer. */
export function WorkRow({ items }: { items: readonly Work[] }): VNode {
  const folded = items.length > STEPS_SHOWN + 1 ? items.slice(0, -STEPS_SHOWN) : [];
  return (
    <div class="work" data-testid="work">
      {folded.length > 0 && (
        <details class="earlier">
          <summary>
            <span class="chevron" aria-hidden="true" />
            {folded.length} earlier steps
          </summary>
          {folded.map(step)}
        </details>
      )}
      {items.slice(folded.length).map(step)}
    </div>
  );
}

function step(item: Work): VNode {
  if (item.kind === "tool") return <Tool key={item.id} item={item} />;
  return (
    <div key={item.id} class="aside">
      <RichText text={item.text} />
    </div>
  );
}

function Tool({ item }: { item: ToolItem }): VNode {
  const { outcome } = item;
  const state = outcome === null ? "running" : outcome.ok ? "ok" : "failed";
  const input = readable(item.input);
  return (
    <details class={`tool ${state}`} data-testid="tool" data-tool={item.tool} data-state={state}>
      <summary>
        <span class="mark" role="img" aria-label={state} />
        <strong>{item.tool}</strong>
        <span class="summary-text">{inputSummary(item.input)}</span>
        {outcome?.ms != null && <time>{duration(outcome.ms)}</time>}
      </summary>
      {input !== "" && (
        <pre tabIndex={0} aria-label="Input">
          {cut(input)}
        </pre>
      )}
      {outcome !== null && outcome.text !== "" && (
        <pre tabIndex={0} aria-label="Output">
          {cut(outcome.text)}
        </pre>
      )}
    </details>
  );
}

function cut(text: string): string {
  return text.length <= OUTPUT_SHOWN_CHARS ? text : `${text.slice(0, OUTPUT_SHOWN_CHARS)}\n(${text.length - OUTPUT_SHOWN_CHARS} more characters)`;
}
