/** Where messages are written. It never closes: sending while something runs is the point. */
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** Beyond this the field scrolls. */
const HEIGHT_MAX_PX = 220;

interface Props {
  session: string;
  /** What was written and not sent, by session. */
  drafts: Map<string, string>;
  hint: string;
  onSend(text: string): void;
}

export function Composer({ session, drafts, hint, onSend }: Props): VNode {
  const field = useRef<HTMLTextAreaElement>(null);

  useLayoutEffect(() => {
    field.current!.value = drafts.get(session) ?? "";
    fit(field.current!);
    // On a phone the keyboard would cover what was just opened.
    if (matchMedia("(hover: hover)").matches) field.current!.focus();
  }, [session]);

  const send = (): void => {
    const text = field.current!.value.trim();
    if (text === "") return;
    field.current!.value = "";
    drafts.delete(session);
    fit(field.current!);
    onSend(text);
    field.current!.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    // Enter also ends the choice of a character in some languages; then it is not ours.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="composer-box">
        <textarea
          ref={field}
          data-testid="composer"
          rows={1}
          placeholder="Write a message"
          aria-label="Message"
          aria-describedby="composer-hint"
          enterkeyhint="send"
          onInput={(event) => {
            drafts.set(session, event.currentTarget.value);
            fit(event.currentTarget);
          }}
          onKeyDown={onKeyDown}
        />
        <button type="submit" class="primary send" data-testid="send" aria-label="Send">
          <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
            <path d="M10 16V4M4.500 9.500 10 4l5.500 5.500" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" />
          </svg>
        </button>
      </div>
      <p id="composer-hint">{hint}</p>
    </form>
  );
}

function fit(field: HTMLTextAreaElement): void {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, HEIGHT_MAX_PX)}px`;
}
