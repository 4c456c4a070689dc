/** Where a command reads and writes. Tests give their own. */
import type { Readable, Writable } from "node:stream";

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly errors: Writable;
}

/** Writes a line to standard output. */
export function say(terminal: Terminal, text: string): void {
  terminal.output.write(`${text}\n`);
}

export function sayJson(terminal: Terminal, value: unknown): void {
  say(terminal, JSON.stringify(value, null, terminal.output.isTTY === true ? 2 : undefined));
}

export function isInteractive(terminal: Terminal): boolean {
  return terminal.input.isTTY === true && terminal.output.isTTY === true;
}

type Colour = "dim" | "red" | "bold";
const CODES: Readonly<Record<Colour, string>> = { dim: "2", red: "31", bold: "1" };

/** The text in colour on a terminal, as it is elsewhere. */
export function colour(terminal: Terminal, name: Colour, text: string): string {
  return terminal.output.isTTY === true ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text;
}

/** Removes what could drive a terminal (escape sequences, bells) from text that others wrote. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  return text.replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)?/g, "").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}

/** The lines of standard input as they come, without their ends. Ends at one that is too long. */
export async function* linesOf(terminal: Terminal, lengthMax: number): AsyncGenerator<string> {
  terminal.input.setEncoding("utf8");
  let rest = "";
  for await (const chunk of terminal.input) {
    const lines = (rest + (chunk as string)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield line;
    if (rest.length > lengthMax) return;
  }
  if (rest.trim() !== "") yield rest;
}

/** Everything that is written to standard input. */
export async function readAll(terminal: Terminal): Promise<string> {
  let text = "";
  terminal.input.setEncoding("utf8");
  for await (const chunk of terminal.input) text += chunk;
  return text;
}
