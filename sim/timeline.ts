/**
 * The first run of each column as a picture: a row for each lane, children indented below their
 * parent. Waiting is light, running dark, a side track hatched, and waiting for the provider dotted.
 */
import { seconds, type Column, type Report } from "./report.ts";
import type { LaneTrace, Span, SpanKind } from "./recorder.ts";

/** Lanes drawn of one column. */
const ROWS_MAX = 300;
const WIDTH = 1000;
const ROW = 18;
const BAR = 12;
const NAMES = 150;
const INDENT = 10;
/** Lines of text above a column's legend. */
const LINE = 14;
const LINE_LENGTH_MAX = 165;
const FOOT = 14;
/** Lines across, at most. */
const TICKS_MAX = 10;
const NAME_LENGTH_MAX = 20;

const FILL: Readonly<Record<SpanKind, string>> = { waiting: "#d5dbe3", running: "#2f6690", side: "url(#side)", provider: "url(#provider)" };
const LEGEND: readonly (readonly [SpanKind, string])[] = [["waiting", "waits"], ["running", "runs"], ["side", "runs on a side track"], ["provider", "waits for the provider"]];

/** @returns an SVG document, in UTF-8, that needs nothing from outside. */
export function timelineSvg({ columns }: Report): string {
  const endMs = Math.max(1, ...columns.map(({ summary }) => summary.makespanMs), ...columns.flatMap(({ lanes }) => lanes.flatMap(({ spans }) => spans.map(({ toMs }) => toMs))));
  let top = 0;
  const parts = columns.map((column) => {
    const drawn = drawColumn(column, endMs);
    const part = `<g transform="translate(0 ${top})">${drawn.svg}</g>`;
    top += drawn.height;
    return part;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="system-ui, sans-serif" font-size="11" fill="#1d2733">
<defs>
<pattern id="side" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#9fc0d8"/><rect width="3" height="6" fill="#2f6690"/></pattern>
<pattern id="provider" width="4" height="4" patternUnits="userSpaceOnUse"><rect width="4" height="4" fill="#f3e3c3"/><circle cx="2" cy="2" r="1" fill="#b7791f"/></pattern>
</defs>
<rect width="${WIDTH}" height="${top}" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
}

function drawColumn({ name, answer, lanes }: Column, endMs: number): { svg: string; height: number } {
  const rows = lanes.slice(0, ROWS_MAX);
  const left = lanes.length - rows.length;
  const x = (ms: number): number => round(NAMES + (ms / endMs) * (WIDTH - NAMES - INDENT));
  const words = linesOf(answer);
  const legendTop = LINE * (words.length + 1) + 6;
  const top = legendTop + 30;
  const bottom = top + rows.length * ROW;
  const title = [`<text x="8" y="${LINE}" font-weight="600">${escaped(name)}</text>`, ...words.map((line, n) => `<text x="8" y="${LINE * (n + 2)}">${escaped(line)}</text>`)];
  const legend = LEGEND.map(([kind, text], n) => `<rect x="${NAMES + n * 165}" y="${legendTop}" width="12" height="12" fill="${FILL[kind]}"/><text x="${NAMES + n * 165 + 17}" y="${legendTop + 10}">${text}</text>`);
  const ticks = tickTimes(endMs).map((ms) => `<line x1="${x(ms)}" y1="${top - 4}" x2="${x(ms)}" y2="${bottom}" stroke="#e6eaef"/><text x="${x(ms)}" y="${top - 7}" text-anchor="middle" fill="#5b6776">${seconds(ms)} s</text>`);
  const more = left === 0 ? "" : `<text x="8" y="${bottom + 11}">… and ${left} more lanes</text>`;
  return { svg: [...title, ...legend, ...ticks, ...rows.map((lane, n) => drawLane(lane, top + n * ROW, x)), more].join("\n"), height: bottom + FOOT + (left === 0 ? 0 : ROW) };
}

/** Broken between words. */
function linesOf(text: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= LINE_LENGTH_MAX) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

function drawLane({ label, depth, spans }: LaneTrace, top: number, x: (ms: number) => number): string {
  const shown = label.length > NAME_LENGTH_MAX ? `${label.slice(0, NAME_LENGTH_MAX - 1)}…` : label;
  const name = `<text x="${8 + depth * INDENT}" y="${top + 11}">${escaped(depth === 0 ? shown : `child ${shown}`)}</text>`;
  return name + spans.toSorted((a, b) => ORDER[a.kind] - ORDER[b.kind]).map((span) => bar(span, label, depth, top, x)).join("");
}

/** What is drawn later lies on top: a message that waits behind a running turn must not hide it. */
const ORDER: Readonly<Record<SpanKind, number>> = { waiting: 0, running: 1, provider: 2, side: 3 };

function bar({ kind, fromMs, toMs }: Span, label: string, depth: number, top: number, x: (ms: number) => number): string {
  const full = depth === 0 ? BAR : BAR - 4;
  // The lower half, so that what runs in the lane meanwhile is seen above it.
  const height = kind === "side" ? full / 2 : full;
  const text = `${label}: ${LEGEND.find(([one]) => one === kind)![1]} ${seconds(fromMs)} to ${seconds(toMs)} s`;
  return `<rect x="${x(fromMs)}" y="${top + (ROW + full) / 2 - height}" width="${round(Math.max(0.5, x(toMs) - x(fromMs)))}" height="${height}" fill="${FILL[kind]}"><title>${escaped(text)}</title></rect>`;
}

/** Round times across, e.g. every 5 s. */
function tickTimes(endMs: number): readonly number[] {
  const rough = endMs / TICKS_MAX;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(10, [1, 2, 5, 10].find((factor) => factor * power >= rough)! * power);
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, n) => n * step);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
