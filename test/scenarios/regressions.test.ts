/** Failures of other programs that no other scenario tells; docs/regressions.md lists them all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { standinConfig, startGateway } from "../support/gateway.ts";
import { startModel } from "../support/model.ts";

test("a tool that asks the gateway it runs under is answered, also with a single slot, so they do not wait for each other", async (t) => {
  const model = await startModel(t);
  const gateway = await startGateway(t, { config: standinConfig(model.url, { "agents.defaults.maxConcurrent": 1 }) });
  const send = { method: "POST", headers: { authorization: `Bearer ${gateway.token}`, "content-type": "application/json" }, body: JSON.stringify({ text: "! say from the tool", session: "agent:main:api:direct:other" }) };
  const code = `fetch(${JSON.stringify(`${gateway.url}/api/messages`)}, ${JSON.stringify(send)}).then((answer) => console.log("answered", answer.status))`;
  const { messageId } = await gateway.send(`! call exec ${JSON.stringify({ command: [process.execPath, "-e", code] })} then echo`);
  assert.match(await gateway.waitReply(messageId), /answered 202/);
  await gateway.waitEvent((event) => event.type === "reply" && event.data["text"] === "from the tool");
});
