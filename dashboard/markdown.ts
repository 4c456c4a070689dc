/**
 * A small, safe part of Markdown as data: paragraphs, headings, quotes, lists, fenced code, rules,
 * and in a line code, bold, emphasis and links.
 *
 * Nothing here makes HTML, and a link is one only for http and https; whatever is not understood
 * stays text. Work is linear in the length of the text, whatever the text is.
 */
export type Span =
  | { readonly t: "text"; readonly text: string }
  | { readonly t: "code"; readonly text: string }
  | { readonly t: "strong" | "em"; readonly spans: readonly Span[] }
  | { readonly t: "link"; readonly href: string; readonly spans: readonly Span[] };

export type Block =
  | { readonly t: "p"; readonly spans: readonly Span[] }
  | { readonly t: "heading"; readonly level: number; readonly spans: readonly Span[] }
  | { readonly t: "code"; readonly lang: string; readonly text: string }
  | { readonly t: "quote"; readonly blocks: readonly Block[] }
  | { readonly t: "list"; readonly ordered: boolean; readonly start: number; readonly items: readonly ListItem[] }
  | { readonly t: "rule" };
export interface ListItem {
  readonly spans: readonly Span[];
  /** The lists below it. */
  readonly below: readonly Block[];
}

const QUOTE_DEPTH_MAX = 4;
const LIST_DEPTH_MAX = 4;
const SPAN_DEPTH_MAX = 4;
const LINK_TEXT_MAX_CHARS = 500;
const URL_MAX_CHARS = 2000;

const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]{0,40})/;
// What follows is anything at all: a dot would stop at U+2028, and then every blank before it is tried again.
const HEADING = /^(#{1,6})\s+([^]*)$/;
const BULLET = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+([^]*)$/;
const RULE = /^ {0,3}(?:-{3,}|\*{3,}|_{3,})\s*$/;

export function parseMarkdown(text: string, depth = 0): Block[] {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const blocks: Block[] = [];
  let index = 0;
  while (index < lines.length) {
    const line = lines[index]!;
    if (line.trim() === "") {
      index++;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence !== null) {
      const end = endOfFence(lines, index + 1, fence[1]!);
      blocks.push({ t: "code", lang: fence[2]!, text: lines.slice(index + 1, end).join("\n") });
      index = end + 1;
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading !== null) {
      blocks.push({ t: "heading", level: heading[1]!.length, spans: parseSpans(heading[2]!) });
      index++;
      continue;
    }
    if (RULE.test(line)) {
      blocks.push({ t: "rule" });
      index++;
      continue;
    }
    let end = index;
    if (line.startsWith(">") && depth < QUOTE_DEPTH_MAX) {
      while (end < lines.length && lines[end]!.startsWith(">")) end++;
      const inner = lines.slice(index, end).map((quoted) => quoted.replace(/^> ?/, ""));
      blocks.push({ t: "quote", blocks: parseMarkdown(inner.join("\n"), depth + 1) });
    } else if (BULLET.test(line)) {
      const list = parseList(lines, index);
      blocks.push(list.block);
      end = list.end;
    } else {
      end++;
      while (end < lines.length && !startsBlock(lines[end]!)) end++;
      blocks.push({ t: "p", spans: parseSpans(lines.slice(index, end).join("\n")) });
    }
    index = end;
  }
  return blocks;
}

function startsBlock(line: string): boolean {
  return line.trim() === "" || FENCE.test(line) || HEADING.test(line) || BULLET.test(line) || RULE.test(line) || line.startsWith(">");
}

/** The line that closes a fence, or the end of the text: an open fence runs on while it streams. */
function endOfFence(lines: readonly string[], from: number, fence: string): number {
  for (let index = from; index < lines.length; index++) if (lines[index]!.trim().startsWith(fence)) return index;
  return lines.length;
}

interface Bullet {
  readonly depth: number;
  /** The number before it; null for a plain bullet. */
  readonly number: number | null;
  text: string;
}

function parseList(lines: readonly string[], from: number): { block: Block; end: number } {
  const first = BULLET.exec(lines[from]!)!;
  const items: Bullet[] = [];
  let index = from;
  for (; index < lines.length; index++) {
    const line = lines[index]!;
    const bullet = BULLET.exec(line);
    if (bullet !== null) {
      // Another kind of list at the left edge is another list.
      if (bullet[1] === "" && (bullet[2] === undefined) !== (first[2] === undefined) && index > from) break;
      const depth = Math.min(Math.floor(bullet[1]!.replaceAll("\t", "  ").length / 2), LIST_DEPTH_MAX);
      items.push({ depth, number: bullet[2] === undefined ? null : Number(bullet[2]), text: bullet[3]! });
    } else if (/^\s+\S/.test(line) && !FENCE.test(line)) {
      items.at(-1)!.text += `\n${line.trim()}`;
    } else if (line.trim() === "" && BULLET.test(lines[index + 1] ?? "")) {
      continue;
    } else break;
  }
  return { block: listOf(items), end: index };
}

/** The bullets as a tree: what is further in belongs to the bullet before it. */
function listOf(bullets: readonly Bullet[]): Block {
  const first = bullets[0]!;
  const items: ListItem[] = [];
  let index = 0;
  while (index < bullets.length) {
    const from = index++;
    while (index < bullets.length && bullets[index]!.depth > first.depth) index++;
    const below = bullets.slice(from + 1, index);
    items.push({ spans: parseSpans(bullets[from]!.text), below: below.length === 0 ? [] : [listOf(below)] });
  }
  return { t: "list", ordered: first.number !== null, start: first.number ?? 1, items };
}

export function parseSpans(text: string, depth = 0): Span[] {
  const spans: Span[] = [];
  let plainFrom = 0;
  let index = 0;
  // A mark that has no partner from here on has none further on either.
  const noPartner = new Set<string>();
  const take = (span: Span, end: number): void => {
    if (index > plainFrom) spans.push({ t: "text", text: text.slice(plainFrom, index) });
    spans.push(span);
    index = plainFrom = end;
  };
  const partner = (mark: string, from: number): number => {
    if (noPartner.has(mark)) return -1;
    const found = text.indexOf(mark, from);
    if (found < 0) noPartner.add(mark);
    return found;
  };
  while (index < text.length) {
    const character = text[index]!;
    if (character === "`") {
      const mark = text.startsWith("``", index) ? "``" : "`";
      const end = partner(mark, index + mark.length);
      if (end > index + mark.length) {
        take({ t: "code", text: text.slice(index + mark.length, end) }, end + mark.length);
        continue;
      }
    } else if (character === "*" && depth < SPAN_DEPTH_MAX) {
      const mark = text.startsWith("**", index) ? "**" : "*";
      const from = index + mark.length;
      const end = partner(mark, from);
      if (end > from && !isBlank(text[from]) && !isBlank(text[end - 1])) {
        take({ t: mark === "**" ? "strong" : "em", spans: parseSpans(text.slice(from, end), depth + 1) }, end + mark.length);
        continue;
      }
      index += mark.length;
      continue;
    } else if (character === "[" && depth < SPAN_DEPTH_MAX) {
      const link = linkAt(text, index);
      if (link !== null) {
        take({ t: "link", href: link.href, spans: parseSpans(link.label, SPAN_DEPTH_MAX) }, link.end);
        continue;
      }
    } else if (character === "h" && depth < SPAN_DEPTH_MAX && !isWord(text[index - 1])) {
      const bare = /^https?:\/\/[^\s<>"'`*]+/.exec(text.slice(index, index + URL_MAX_CHARS));
      const url = bare?.[0].replace(/[.,;:!?)\]]{1,8}$/, "");
      const href = url === undefined ? null : safeHref(url);
      if (href !== null) {
        take({ t: "link", href, spans: [{ t: "text", text: url! }] }, index + url!.length);
        continue;
      }
    }
    index++;
  }
  if (text.length > plainFrom) spans.push({ t: "text", text: text.slice(plainFrom) });
  return spans;
}

function linkAt(text: string, from: number): { label: string; href: string; end: number } | null {
  const near = text.slice(from, from + LINK_TEXT_MAX_CHARS + URL_MAX_CHARS);
  const middle = near.indexOf("](");
  if (middle < 1 || middle > LINK_TEXT_MAX_CHARS) return null;
  const end = near.indexOf(")", middle);
  if (end < 0) return null;
  const href = safeHref(near.slice(middle + 2, end).trim());
  return href === null ? null : { label: near.slice(1, middle), href, end: from + end + 1 };
}

/** An absolute http or https address, or null: nothing else becomes a link. */
export function safeHref(text: string): string | null {
  if (!/^https?:\/\//i.test(text) || /[\s\\]/.test(text)) return null;
  const url = URL.parse(text);
  return url !== null && (url.protocol === "http:" || url.protocol === "https:") ? url.href : null;
}

function isBlank(character: string | undefined): boolean {
  return character === undefined || character === " " || character === "\n";
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && /\w/.test(character);
}
