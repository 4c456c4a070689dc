/** `write`: puts a whole file in the workspace. The old file is there until the new one is complete. */
import type { RandomBytes } from "../base/ids.ts";
import type { Tool } from "../model/tool.ts";
import { Workspace } from "./confine.ts";
import { checkFences } from "./fences.ts";
import { inputShape, text } from "./input.ts";

const WRITE_MAX_CHARS = 5_000_000;

const INPUT = inputShape({ path: text({ min: 1, max: 4096 }), content: text({ max: WRITE_MAX_CHARS }) });

export function makeWriteTool({ random }: { random: RandomBytes }): Tool {
  return {
    name: "write",
    description: "Writes a whole text file of the workspace, and makes its folders.",
    inputSchema: INPUT.schema,
    effect: "idempotent",
    parallel: false,
    async run(input, context) {
      const { path, content } = INPUT.parse("write", input);
      checkFences(context, path);
      const workspace = await Workspace.open(context.workspace, random);
      const bytes = Buffer.from(content);
      const existed = await workspace.replaceFile(path, bytes, { check: (real) => checkFences(context, real) });
      return { text: `${existed ? "replaced" : "created"} ${path} (${bytes.length} bytes)` };
    },
  };
}
