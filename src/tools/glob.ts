/** `glob`: the files of the workspace whose path matches a pattern. */
import type { RandomBytes } from "../base/ids.ts";
import type { Tool } from "../model/tool.ts";
import { Workspace } from "./confine.ts";
import { makeGlob } from "./glob-match.ts";
import { inputShape, optional, text } from "./input.ts";
import { prefixFor, walk } from "./walk.ts";

/** How many paths one call gives. */
const GLOB_SHOWN_MAX = 500;

const INPUT = inputShape({ pattern: text({ min: 1, max: 500 }), path: optional(text({ max: 4096 })) });

export function makeGlobTool({ random }: { random: RandomBytes }): Tool {
  return {
    name: "glob",
    description: "Finds files by path pattern, e.g. src/**/*.{ts,js}, but not in .git or node_modules.",
    inputSchema: INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(input, context) {
      const { pattern, path = "." } = INPUT.parse("glob", input);
      const isMatch = makeGlob("glob", pattern);
      const workspace = await Workspace.open(context.workspace, random);
      const folder = await workspace.openFolder(path);
      const prefix = prefixFor(path);
      const found: string[] = [];
      let isCut = false;
      try {
        for await (const entry of walk(folder, { signal: context.signal, onCut: () => (isCut = true) })) {
          if (entry.kind !== "file" || !isMatch(entry.path)) continue;
          if (found.length === GLOB_SHOWN_MAX) {
            isCut = true;
            break;
          }
          found.push(prefix + entry.path);
        }
      } finally {
        await folder.close();
      }
      const note = isCut ? "[there is more than was looked at; narrow the pattern or the path]" : found.length === 0 ? "[no file matches]" : null;
      return { text: note === null ? found.join("\n") : [...found, note].join("\n") };
    },
  };
}
