import assert from "node:assert/strict";
import test from "node:test";
import { AgentNews } from "./agent-news.ts";

const DIR = "/state/workspaces/ws_1";

test("what was read is known by its path from the top, however it was named, and nothing outside is", () => {
  const news = new AgentNews();
  for (const path of ["src/a.ts", `${DIR}/src/b.ts`, "./src/../src/a.ts", "../ws_2/c.ts", "/etc/passwd", DIR]) news.read(DIR, path);
  assert.deepEqual([...news.reads(DIR)], ["src/b.ts", "src/a.ts"]);
  news.read("/home/ann/shop", "a.ts");
  assert.deepEqual([...news.reads("/home/ann/shop")], [], "a folder that is no workspace is not followed");
});

test("a notice is told once, and no more of them are kept than an agent would read", () => {
  const news = new AgentNews();
  for (let n = 0; n < 30; n++) news.tell(DIR, `notice ${n % 12}`);
  const told = news.take(DIR);
  assert.equal(told.length, 10);
  assert.equal(told.at(-1), "notice 5");
  assert.deepEqual(news.take(DIR), []);
  assert.deepEqual(news.take("/nowhere"), []);
});

test("reads of a thousand workspaces stay bounded, and the oldest go first", () => {
  const news = new AgentNews();
  for (let n = 0; n < 1_001; n++) news.read(`/state/workspaces/ws_${n}`, "a.ts");
  assert.deepEqual([[...news.reads("/state/workspaces/ws_0")], [...news.reads("/state/workspaces/ws_1000")]], [[], ["a.ts"]]);
  for (let n = 0; n < 2_001; n++) news.read(DIR, `${n}.ts`);
  assert.deepEqual([[...news.reads(DIR)].length, [...news.reads(DIR)][0]], [2_000, "1.ts"]);
});
