/**
 * Shows a conversation while the person types: what comes in appears above the line that is being
 * typed, which stays as it is.
 *
 * On a terminal the last line of an unfinished answer stands right above the prompt and grows in
 * place. Elsewhere whole lines are written, one after the other.
 */
import { clearScreenDown, cursorTo, moveCursor, type Interface } from "node:readline";
import type { Piece } from "./conversation.ts";
import { colour, plain, type Terminal } from "./terminal.ts";


const WIDTH_MIN = 20;

export class ChatScreen {
  readonly #terminal: Terminal;
  readonly #lines: Interface;
  /** The unfinished last line of an answer, as it stands above the prompt; "" when there is none. */
  #growing = "";

  constructor(terminal: Terminal, lines: Interface) {
    this.#terminal = terminal;
    this.#lines = lines;
  }

  show(piece: Piece): void {
    switch (piece.kind) {
      case "delta":
        return this.#grow(plain(piece.text));
      case "end":
        return this.#write([], "");
      case "void":
        return this.#write([colour(this.#terminal, "dim", "(begins again)")], "");
      case "answer":
        return this.line(plain(piece.text));
      case "said":
        return this.line(colour(this.#terminal, "bold", `> ${plain(piece.text)}`));
      case "note":
        return this.line(colour(this.#terminal, "dim", `· ${plain(piece.text)}`));
      case "trouble":
        return this.line(colour(this.#terminal, "red", `! ${plain(piece.text)}`));
    }
  }

  /** Puts a text above the prompt; an answer that is being written is broken off by it. */
  line(text: string): void {
    this.#write([text], "");
  }

  #grow(text: string): void {
    const rows = (this.#growing + text).split("\n");
    const rest = rows.pop()!;
    // What fills a row is done, so that the growing line is one row and can be written over.
    const { isTTY, columns } = this.#terminal.output;
    const width = isTTY === true ? Math.max(WIDTH_MIN, (columns || Infinity) - 1) : Infinity; // some terminals say 0
    let last = rest;
    for (; last.length > width; last = last.slice(width)) rows.push(last.slice(0, width));
    this.#replaceGrowing(rows, last);
  }

  #write(rows: readonly string[], growing: string): void {
    this.#replaceGrowing(this.#growing === "" ? rows : [this.#growing, ...rows], growing);
  }

  #replaceGrowing(rows: readonly string[], growing: string): void {
    const { output } = this.#terminal;
    const before = this.#growing;
    this.#growing = growing;
    if (output.isTTY !== true) {
      for (const row of rows) output.write(`${row}\n`);
      return;
    }
    moveCursor(output, 0, -this.#lines.getCursorPos().rows - (before === "" ? 0 : 1));
    cursorTo(output, 0);
    clearScreenDown(output);
    for (const row of growing === "" ? rows : [...rows, growing]) output.write(`${row}\n`);
    this.#lines.prompt(true);
  }
}
