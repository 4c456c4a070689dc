/**
 * Reads the gateway's message with the results of children back into data.
 *
 * The format is made by `model/digest.ts`. Lines of a result begin with `> `, so nothing that a
 * child says is ever taken for a line of the gateway.
 */

export interface DigestChild {
  readonly label: string;
  /** As the gateway put it, e.g. `succeeded in 3.2 s (task_…)` or `failed in 1.0 s (task_…): why`. */
  readonly state: string;
  readonly result: string;
}

export interface Digest {
  readonly children: readonly DigestChild[];
  readonly stillRunning: readonly string[];
}

const FIRST_LINE = /^\[results? of (?:\d+|a) background tasks?\]$/;
const CHILD_LINE = /^\d+\. ("(?:[^"\\]|\\.)*") (.+)$/;
const RUNNING_LINE = /^\[still running: (.+)\]$/;

/** @returns null when the message is no digest. */
export function readDigest(message: string): Digest | null {
  const [first, ...lines] = message.trim().split("\n");
  if (!FIRST_LINE.test(first!.trim())) return null;
  const children: { label: string; state: string; result: string[] }[] = [];
  let stillRunning: string[] = [];
  for (const line of lines) {
    const child = CHILD_LINE.exec(line);
    const running = RUNNING_LINE.exec(line);
    if (line.startsWith(">")) children.at(-1)?.result.push(line.replace(/^> ?/, ""));
    else if (child !== null) children.push({ label: unquoted(child[1]!), state: child[2]!, result: [] });
    else if (running !== null) stillRunning = (running[1]!.match(/"(?:[^"\\]|\\.)*"/g) ?? []).map(unquoted);
  }
  return { children: children.map((child) => ({ ...child, result: child.result.join("\n") })), stillRunning };
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}
