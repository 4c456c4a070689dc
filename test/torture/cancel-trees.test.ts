/** The short form of cancel-trees.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cancelTree } from "./cancel-trees.ts";

const noProc = process.platform === "linux" ? false : "needs /proc";

for (const kill of [false, true]) {
  test(`a tree of three levels whose commands ignore SIGTERM and fork is gone ten seconds after its cancel${kill ? ", also when the gateway is killed right after" : ""}, and says truly what had succeeded`, { skip: noProc }, async () => {
    const { children, broken } = await cancelTree({ width: 2, depth: 3, kill });
    assert.deepEqual({ children, broken }, { children: 14, broken: [] });
  });
}
