/** `a/{b,c}` as `a/b` and `a/c`. Braces that do not close, or hold no comma, are ordinary characters. */

/** Null when the pattern stands for more than `max`. */
export function expandBraces(pattern: string, max: number): readonly string[] | null {
  const done: string[] = [];
  const open = [{ text: pattern, from: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (done.length + open.length >= max) return null;
    const { text, from } = next;
    const begin = text.indexOf("{", from);
    const parts = begin < 0 ? null : partsOfBrace(text, begin);
    if (begin < 0) done.push(text);
    else if (parts === null) open.push({ text, from: begin + 1 });
    else for (const choice of parts.choices.reverse()) open.push({ text: text.slice(0, begin) + choice + text.slice(parts.end), from: begin });
  }
  return done;
}

function partsOfBrace(text: string, begin: number): { choices: string[]; end: number } | null {
  const choices: string[] = [];
  let depth = 0;
  let from = begin + 1;
  for (let at = begin; at < text.length; at++) {
    if (text[at] === "{") depth++;
    if (text[at] === "}") depth--;
    if (depth === 0 || (depth === 1 && text[at] === ",")) {
      choices.push(text.slice(from, at));
      from = at + 1;
    }
    if (depth === 0) return choices.length > 1 ? { choices, end: at + 1 } : null;
  }
  return null;
}
