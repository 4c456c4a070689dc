/**
 * Texts and tool inputs from models, made safe to store, show and send on: no control characters
 * but tab, line feed and carriage return, and no half surrogate pairs.
 */
import { isJsonObject, parseJson, type Json, type JsonObject } from "../base/json.ts";

const CONTROL = /[\p{Cc}--[\t\n\r]]/v;
const CONTROLS = /[\p{Cc}--[\t\n\r]]/gv;

/** How much of an unreadable tool input is kept. */
export const INVALID_INPUT_CHARACTERS_MAX = 2000;

export function cleanText(text: string): string {
  // Halves of pairs first: one that only meets its other half when a control character between them is gone is no pair.
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return CONTROL.test(whole) ? whole.replace(CONTROLS, "") : whole;
}

/** The arguments of a tool call, or `{ "$invalid": text }` when they are no JSON object. */
export function readToolInput(text: string): JsonObject {
  try {
    const value = parseJson(text.trim() === "" ? "{}" : text);
    // JSON hides such characters behind escapes; without one there is nothing to clean.
    if (isJsonObject(value)) return text.includes("\\u") || text.includes("\\b") || text.includes("\\f") || CONTROL.test(text) || !text.isWellFormed() ? (cleanJson(value) as JsonObject) : value;
  } catch {
    // Told to the model below: it can send the call again.
  }
  return { $invalid: cleanText(text.slice(0, INVALID_INPUT_CHARACTERS_MAX)) };
}

function cleanJson(value: Json): Json {
  if (typeof value === "string") return cleanText(value);
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(cleanJson);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [cleanText(key), cleanJson(item)]));
}

/** Cleans a text that comes in pieces: a pair of surrogates may be cut between two of them. */
export class TextCleaner {
  #half = "";

  /** The part of `piece` that is complete. */
  take(piece: string): string {
    let text = this.#half + piece;
    this.#half = "";
    const last = text.charCodeAt(text.length - 1);
    if (last >= 0xd800 && last < 0xdc00) {
      this.#half = text.slice(-1);
      text = text.slice(0, -1);
    }
    return cleanText(text);
  }

  /** What was still held back when the text ended. */
  rest(): string {
    const half = this.#half;
    this.#half = "";
    return cleanText(half);
  }
}
