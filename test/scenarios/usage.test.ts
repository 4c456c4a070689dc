/** Usage: whatever reaches a provider is written down, once, whoever made the call. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TokenMade, UsageAnswer } from "../../src/api/wire.ts";
import { startGateway, standinConfig } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

test("turns, children, summaries, questions about a message, probes of a model and calls of other programs: the ledger has exactly what the provider counted", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "messages.parallel.judge": "model", "messages.queue.mode": "parallel", "agents.defaults.subagents.gatherMs": 0 }) });
  await gateway.ask('! call sessions_spawn {"task":"! say from the child","label":"c"} then call sessions_yield {} then say all in');
  // While the first is under way, whether the second leans on it is asked of the model.
  const slow = await gateway.send("! wait 2s then say slow");
  await gateway.waitEvent(({ type, data }) => type === "turn.started" && (data["messageIds"] as string[]).includes(slow.messageId));
  await gateway.ask("! say quick");
  await gateway.waitReply(slow.messageId);
  await gateway.send("/compact");
  await gateway.waitEvent(({ type }) => type === "session.compacted");
  await gateway.api("POST", "/api/models/rate", { model: "standin/m" });
  const { secret } = await gateway.api<TokenMade>("POST", "/api/tokens", { scope: "proxy" });
  const passed = await fetch(`${gateway.url}/proxy/openai/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${secret}` }, body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "! say passed on" }] }) });
  await passed.text();

  const log = await model.log();
  const counted = log.reduce((sum, { usage }) => ({ calls: sum.calls + 1, input: sum.input + usage!.input, output: sum.output + usage!.output }), { calls: 0, input: 0, output: 0 });
  const about = (words: RegExp): number => log.filter(({ userTexts }) => userTexts.some((text) => words.test(text))).length;
  assert.ok(about(/Can it be answered on its own/) === 1 && about(/Summarise this part/) === 1, "the test met what it means to meet");
  let total = { calls: 0, input: 0, output: 0 };
  // What a passing answer told is written down right after it has passed.
  for (let looks = 0; looks < 100 && total.calls < counted.calls; looks++) {
    if (looks > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    ({ total } = await gateway.api<UsageAnswer>("GET", "/api/usage"));
  }
  assert.deepEqual({ calls: total.calls, input: total.input, output: total.output }, counted);
  const sums = await Promise.all((["model", "session", "person", "day"] as const).map(async (by) => (await gateway.api<UsageAnswer>("GET", `/api/usage?by=${by}`)).rows.reduce((sum, { usage }) => sum + usage.calls, 0)));
  assert.deepEqual(sums, [counted.calls, counted.calls, counted.calls, counted.calls], "in every grouping");
});
