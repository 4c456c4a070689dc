/**
 * May a message be answered beside what the same person asked before?
 *
 * Rules over the texts alone, for queue mode `parallel`. They err on the side of order: a message
 * that might lean on an earlier one waits for it. They know English; in other languages only
 * names, quotes, paths and replies are seen.
 */

const CORRECTION_START = /^\W*(no|nope|wait|hold on|actually|sorry|oops|correction|i mean|i meant|rather|instead|not that|scratch that|never ?mind|forget|cancel|undo|also|and|then|but|or|plus|yes|ok|okay|thanks)\b/i;
const CORRECTION = /\b(instead|make (that|it)|change (that|it)|rather than that|on second thought|as well|as before|like before|the same)\b/i;
/** "@bot: ..." says whom one speaks to, which is in many messages and is the subject of none. */
const ADDRESS = /@[\w-]{2,60}:(?=\s)/g;
/** Words that point at something said before; `this week` and the like point at a day. */
const POINTER = /\b(it|its|them|they|their|he|him|his|she|her|hers|former|latter|previous|above|again|(?:this|that|these|those)(?!\s+(?:morning|afternoon|evening|week|weekend|month|year|time)))\b/i;

export interface EarlierTexts {
  /** True when the platform says that it answers an earlier message. */
  readonly isReply: boolean;
  /** What runs or waits in the same session. */
  readonly texts: readonly string[];
}

export function isIndependent(text: string, earlier: EarlierTexts): boolean {
  if (earlier.isReply || CORRECTION_START.test(text) || CORRECTION.test(text) || POINTER.test(text)) return false;
  const named = entitiesOf(text);
  return !earlier.texts.some((other) => [...entitiesOf(other)].some((entity) => named.has(entity)));
}

/**
 * Names, quotes, paths, addresses and tags: what two messages share when they are about the same thing.
 * Every part of the expression is bounded, and the way to a path begins at the start of a word only:
 * otherwise a long text without blanks would take minutes.
 */
function entitiesOf(said: string): Set<string> {
  const text = said.replaceAll(ADDRESS, "");
  const found = new Set<string>();
  for (const match of text.matchAll(/"([^"\n]{2,80})"|`([^`\n]{2,80})`|((?:https?:\/\/|(?:(?<![\w.-])[\w.-]{1,200})?\/)[\w./-]{2,200})|([\w.+-]{1,64}@[\w.-]{3,100})|([#@][\w-]{2,60})|(\b[\w-]{1,60}\.[a-z]{2,5}\b)/gi)) {
    found.add((match.slice(1).find((part) => part !== undefined) ?? match[0]).toLowerCase());
  }
  for (const match of text.matchAll(/(?<=[a-z0-9,;:]\s)\p{Lu}[\p{L}\d-]{2,40}/gu)) found.add(match[0].toLowerCase());
  return found;
}
