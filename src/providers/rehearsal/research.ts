/** Research as the rehearsal agent does it: topics, real waiting, and a report that says it is made up. */
import { createHash } from "node:crypto";
import type { Piece } from "./act.ts";

/** How long looking into one topic takes when nobody says. */
export const RESEARCH_MS = 3_000;

/** The most children that one message starts. */
export const SPAWNS_MAX = 100;

/** Time between two signs of life while waiting, and the most of them. */
const PROGRESS_EVERY_MS = 500;
const PROGRESS_MARKS_MAX = 40;

const VERBS = String.raw`(?:research|look into|investigate|study)`;
export const RESEARCH_VERB = new RegExp(`^${VERBS}\\b`, "i");
const BETWEEN_TOPICS = new RegExp(String.raw`\s*(?:[,;&]|\band\b|\s\+\s)\s*(?:and\s+)?(?:then\s+)?(?:${VERBS}\s+)?`, "i");

/** `solar and research wind` → `solar`, `wind`; each topic once, in order. */
export function topicsOf(text: string): readonly string[] {
  const topics = text.split(BETWEEN_TOPICS).map((topic) => topic.trim().replace(/[.!?]+$/, ""));
  return [...new Set(topics.filter((topic) => topic !== ""))].slice(0, SPAWNS_MAX);
}

export function research(topic: string, ms: number): readonly Piece[] {
  const marks = Math.min(PROGRESS_MARKS_MAX, Math.max(1, Math.round(ms / PROGRESS_EVERY_MS)));
  const waiting = Array.from({ length: marks }, (): Piece[] => [{ pauseMs: ms / marks }, { say: " ." }]);
  return [{ say: `Looking into ${topic}` }, ...waiting.flat(), { say: `\n\n${notesOn(topic)}` }];
}

const OPENINGS = [
  "Three sources agree on the outline and differ in the figures.",
  "The subject is older than it looks, and most of what is new is about cost.",
  "There are two schools, and both are right about the other's weak point.",
  "The easy part is well understood; the hard part has hardly been measured.",
] as const;
const MIDDLES = [
  "Prices have fallen for some years and now fall more slowly.",
  "What holds it back is less the technique than permits and habits.",
  "Small trials did well; of the large ones only half kept their promise.",
  "Those who began early now mostly pay for upkeep.",
] as const;
const ENDS = [
  "The next step would be a small trial with a clear end.",
  "A decision can wait for a quarter without harm.",
  "Whoever starts now should plan for twice the time.",
  "It pays to ask someone who has given it up.",
] as const;

/** The same topic always gets the same sentences. */
export function notesOn(topic: string): string {
  const hash = createHash("sha256").update(topic.toLowerCase()).digest();
  const sentences = [OPENINGS, MIDDLES, ENDS].map((choices, index) => choices[hash[index]! % choices.length]);
  return `Rehearsal notes on ${topic}: ${sentences.join(" ")} (This is sample text, not research.)`;
}
