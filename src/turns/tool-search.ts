/**
 * `tool_search`: stands for tools that are rarely used, so that not every prompt pays for them.
 *
 * An agent with few tools is shown all. One with many is shown the usual ones and this; what it finds
 * is listed from its next step on, for as long as the finding stands in its conversation. Hidden is
 * not forbidden: a call by name works at any time.
 */
import { TOOL_SEARCH, type Tool } from "../model/tool.ts";
import { inputShape, text } from "../tools/input.ts";

/** Tools that one search shows. */
const FOUND_MAX = 10;
/** Names that its description holds. */
const NAMED_MAX = 20;
/** Shorter words stand in every description. */
const WORD_LENGTH_MIN = 3;

const INPUT = inputShape({ query: text({ max: 200 }) });

export function makeToolSearch(hidden: readonly Tool[]): Tool {
  const names = hidden.slice(0, NAMED_MAX).map(({ name }) => name);
  const more = hidden.length > NAMED_MAX ? `, and ${hidden.length - NAMED_MAX} more` : "";
  return {
    name: TOOL_SEARCH,
    description: `Shows more tools, by words of name or use: ${names.join(", ")}${more}.`,
    inputSchema: INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(input) {
      const { query } = INPUT.parse(TOOL_SEARCH, input);
      const found = findTools(hidden, query);
      if (found.length === 0) return { text: `no tool fits ${JSON.stringify(query)}; there are: ${hidden.map(({ name }) => name).join(", ")}`, isError: true };
      return { text: JSON.stringify({ tools: found.map(({ name, description }) => ({ name, description })) }) };
    },
  };
}

/** Those with the most words in common, in their own order where they have as many. */
function findTools(tools: readonly Tool[], query: string): readonly Tool[] {
  const words = query.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter((word) => word.length >= WORD_LENGTH_MIN);
  const scored = tools.map((tool) => {
    const name = tool.name.toLowerCase();
    const uses = tool.description.toLowerCase();
    return { tool, score: words.reduce((sum, word) => sum + (name.includes(word) ? 2 : uses.includes(word) ? 1 : 0), 0) };
  });
  const fitting = words.length === 0 ? scored : scored.filter(({ score }) => score > 0);
  return fitting.sort((a, b) => b.score - a.score).slice(0, FOUND_MAX).map(({ tool }) => tool);
}
