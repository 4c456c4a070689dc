/** Markdown on the page: elements made one by one, never HTML from text. */
import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { parseMarkdown, type Block, type Span } from "./markdown.ts";

const COPIED_SHOWN_MS = 1500;

export function RichText({ text }: { text: string }): VNode {
  return useMemo(() => <div class="rich">{parseMarkdown(text).map(block)}</div>, [text]);
}

function block(item: Block, index: number): VNode {
  switch (item.t) {
    case "p":
      return <p key={index}>{item.spans.map(span)}</p>;
    case "heading":
      // The page's own headings are above these.
      return item.level <= 2 ? <h3 key={index}>{item.spans.map(span)}</h3> : <h4 key={index}>{item.spans.map(span)}</h4>;
    case "code":
      return <CodeBlock key={index} lang={item.lang} text={item.text} />;
    case "quote":
      return <blockquote key={index}>{item.blocks.map(block)}</blockquote>;
    case "rule":
      return <hr key={index} />;
    case "list": {
      const items = item.items.map((entry, at) => (
        <li key={at}>
          {entry.spans.map(span)}
          {entry.below.map(block)}
        </li>
      ));
      return item.ordered ? (
        <ol key={index} start={item.start}>
          {items}
        </ol>
      ) : (
        <ul key={index}>{items}</ul>
      );
    }
  }
}

function span(item: Span, index: number): VNode | string {
  switch (item.t) {
    case "text":
      return item.text;
    case "code":
      return <code key={index}>{item.text}</code>;
    case "strong":
      return <strong key={index}>{item.spans.map(span)}</strong>;
    case "em":
      return <em key={index}>{item.spans.map(span)}</em>;
    case "link":
      return (
        <a key={index} href={item.href} target="_blank" rel="noopener noreferrer">
          {item.spans.map(span)}
        </a>
      );
  }
}

function CodeBlock({ lang, text }: { lang: string; text: string }): VNode {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_SHOWN_MS);
  };
  return (
    <figure class="code">
      <figcaption>
        <span>{lang || "text"}</span>
        <button type="button" class="quiet" onClick={() => void copy().catch(() => undefined)}>
          {copied ? "Copied" : "Copy"}
        </button>
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
