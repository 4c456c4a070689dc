/** What all listings share: how many rows, and where to go on. */
import { count, may, word, type Field } from "../read-body.ts";

const ROWS = { fallback: 50, max: 500 };
const CURSOR_LENGTH_MAX = 300;

const rows = may(count({ min: 1, max: ROWS.max }), `The most rows; ${ROWS.fallback} when absent.`);
const limit: Field<number> = { ...rows, read: (value, where) => rows.read(value, where) ?? ROWS.fallback };

export const pageFields = {
  limit,
  after: may(word({ max: CURSOR_LENGTH_MAX }), "`next` of the page before."),
};

type Present<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

/** The fields that were given: an absent one is left out instead of being undefined. */
export function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}
