import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../model/faults.ts";
import { FakeYard } from "./fake-yard.test-support.ts";

test("a simulation is asked for with its options as they are, and its faults reach the caller", async (t) => {
  const asked: unknown[] = [];
  const client = await new FakeYard().start({
    simulate: async (options, signal) => {
      assert.equal(signal.aborted, false);
      asked.push(options);
      if (options["customers"] === 0) throw new Fault("BAD_REQUEST", { where: "customers", problem: "must be more" });
      return { columns: [] };
    },
  });
  t.after(() => client.close());
  assert.deepEqual((await client.ask("POST", "/api/simulate", { customers: 7, compare: ["rpm=15"] })).body, { columns: [] });
  assert.deepEqual((await client.ask("POST", "/api/simulate", {})).status, 200);
  const refused = await client.ask("POST", "/api/simulate", { customers: 0 });
  assert.deepEqual([refused.status, refused.body.details.where], [400, "customers"]);
  assert.deepEqual(asked, [{ customers: 7, compare: ["rpm=15"] }, {}, { customers: 0 }]);
});

test("where nobody hands in a simulation there is no route for it", async (t) => {
  const client = await new FakeYard().start();
  t.after(() => client.close());
  assert.equal((await client.ask("POST", "/api/simulate", {})).body.code, "ROUTE_NOT_FOUND");
});
