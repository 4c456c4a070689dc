/** The short form of budget-trees.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runBudgetTrees } from "./budget-trees.ts";

const TREES = 30;
const TOKENS = 100_000;

test(`${TREES} random trees with a budget of ${TOKENS} tokens each never cost more by the provider's own count, also when the gateway is killed in between`, async () => {
  const { overspent, undercounted, notEnded, exhausted, children, kills } = await runBudgetTrees({ trees: TREES, seed: 7, tokens: TOKENS, kills: 2 });
  assert.deepEqual({ overspent, undercounted, notEnded, kills }, { overspent: [], undercounted: [], notEnded: [], kills: 2 });
  assert.ok(exhausted > 0 && children > TREES, `${exhausted} came to the end of their budget, ${children} children`);
});

test("without budgets the same trees cost more, so the test above can see it", async () => {
  const { overspent } = await runBudgetTrees({ trees: 6, seed: 7, tokens: TOKENS, unlimited: true });
  assert.ok(overspent.length > 0);
});
