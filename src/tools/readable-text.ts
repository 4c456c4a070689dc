/**
 * HTML as text that reads well: no scripts, styles or tags; blocks on lines of their own.
 *
 * One pass from left to right, each character looked at a bounded number of times, so hostile markup
 * costs no more than its length. It is no browser: nothing is run, hidden parts are not known.
 */
const DROPPED = new Set(["script", "style", "noscript", "template", "svg", "iframe", "object"]);
const BLOCKS = new Set(
  "address article aside blockquote body br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table tr ul".split(" "),
);
const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " ", copy: "\u00a9", reg: "\u00ae", trade: "\u2122", hellip: "\u2026", mdash: "\u2014", ndash: "\u2013",
  lsquo: "\u2018", rsquo: "\u2019", ldquo: "\u201c", rdquo: "\u201d", laquo: "\u00ab", raquo: "\u00bb", bull: "\u2022", middot: "\u00b7", times: "\u00d7", euro: "\u20ac",
  auml: "\u00e4", ouml: "\u00f6", uuml: "\u00fc", Auml: "\u00c4", Ouml: "\u00d6", Uuml: "\u00dc", szlig: "\u00df", eacute: "\u00e9", egrave: "\u00e8", agrave: "\u00e0", ccedil: "\u00e7",
};

export interface Readable {
  readonly title: string | null;
  readonly text: string;
}

export function readableText(html: string): Readable {
  // Only ASCII, so that places in both are the same.
  const lower = html.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  const parts: string[] = [];
  let last = "\n";
  let title: string | null = null;
  let inPre = false;
  for (let at = 0; at < html.length; ) {
    const open = html.indexOf("<", at);
    addText(html.slice(at, open < 0 ? html.length : open));
    if (open < 0) break;
    const name = /^\/?[a-z][a-z0-9]{0,15}/.exec(lower.slice(open + 1, open + 18))?.[0];
    if (name === undefined) {
      at = afterOddity(open);
      continue;
    }
    at = endOfTag(html, open + 1 + name.length);
    if (name === "title" || DROPPED.has(name)) {
      const end = find(`</${name}`, at);
      if (name === "title") title ??= oneSpace(decodeEntities(html.slice(at, end))).trim() || null;
      at = end < html.length ? endOfTag(html, end) : end;
      continue;
    }
    const tag = name.replace("/", "");
    if (tag === "pre") inPre = !name.startsWith("/");
    if (name === "li") breakLine("- ");
    else if (name === "td" || name === "th") addText(" ");
    else if (tag === "p" || /^h\d$/.test(tag)) breakLine("\n");
    else if (BLOCKS.has(tag)) breakLine("");
  }
  const lines = parts.join("").split("\n").map((line) => line.trimEnd());
  return { title, text: lines.join("\n").replace(/\n{3,}/g, "\n\n").trim() };

  function add(text: string): void {
    if (text === "") return;
    parts.push(text);
    last = text.at(-1)!;
  }
  function addText(raw: string): void {
    const text = decodeEntities(raw);
    if (inPre) return add(text);
    const shown = oneSpace(text);
    add(shown.startsWith(" ") && (last === " " || last === "\n") ? shown.slice(1) : shown);
  }
  function breakLine(extra: string): void {
    add(last === "\n" ? extra : `\n${extra}`);
  }
  /** Where it begins; the end of the document when it is not there. */
  function find(text: string, from: number): number {
    const found = lower.indexOf(text, from);
    return found < 0 ? html.length : found;
  }
  /** Passes over a comment or declaration; any other `<` is an ordinary character. */
  function afterOddity(open: number): number {
    if (html.startsWith("<!--", open)) return find("-->", open + 4) + 3;
    if (/[!?/]/.test(html[open + 1] ?? "")) return find(">", open) + 1;
    add("<");
    return open + 1;
  }
}

function oneSpace(text: string): string {
  return text.replace(/\s+/g, " ");
}

/** Just after the `>` that ends a tag; one in quotes does not end it. */
function endOfTag(html: string, from: number): number {
  let quote = "";
  for (let at = from; at < html.length; at++) {
    const character = html[at]!;
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
    else if (character === ">") return at + 1;
  }
  return html.length;
}

function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z]{2,8});/g, (all, name: string) => {
    if (!name.startsWith("#")) return ENTITIES[name] ?? all;
    const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return isCharacter ? String.fromCodePoint(code) : "\uFFFD";
  });
}
