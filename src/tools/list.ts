/** `list`: the names in a folder of the workspace. Links are shown, not followed. */
import type { RandomBytes } from "../base/ids.ts";
import type { Tool } from "../model/tool.ts";
import { Workspace } from "./confine.ts";
import { inputShape, optional, text, wholeNumber } from "./input.ts";
import { walk, type Entry } from "./walk.ts";

const LIST_DEPTH_MAX = 8;
/** How many names one call gives. */
const LIST_SHOWN_MAX = 1000;

const INPUT = inputShape({ path: optional(text({ max: 4096 })), depth: optional(wholeNumber({ min: 1, max: LIST_DEPTH_MAX })) });

const MARKS: Readonly<Record<Entry["kind"], string>> = { file: "", folder: "/", link: "@", other: "?" };

export function makeListTool({ random }: { random: RandomBytes }): Tool {
  return {
    name: "list",
    description: "Lists a folder of the workspace: name/ is a folder, name@ a link.",
    inputSchema: INPUT.schema,
    effect: "pure",
    parallel: true,
    async run(input, context) {
      const { path = ".", depth = 1 } = INPUT.parse("list", input);
      const workspace = await Workspace.open(context.workspace, random);
      const folder = await workspace.openFolder(path);
      const lines: string[] = [];
      let isCut = false;
      try {
        for await (const entry of walk(folder, { depth, showSkipped: true, signal: context.signal, onCut: () => (isCut = true) })) {
          if (lines.length === LIST_SHOWN_MAX) {
            isCut = true;
            break;
          }
          lines.push(entry.path + MARKS[entry.kind]);
        }
      } finally {
        await folder.close();
      }
      if (lines.length === 0) return { text: "[the folder is empty]" };
      return { text: lines.join("\n") + (isCut ? `\n[more than ${lines.length}; list a folder below, or use glob]` : "") };
    },
  };
}
