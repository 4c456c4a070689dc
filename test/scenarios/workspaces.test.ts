/** Workspaces and merges through the real program: work is lent a worktree, lands with tests, and survives a kill. */
import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ApiFault, ApiMerge, ApiWorkspace, MergeList, WorkspaceDetail, WorkspaceList } from "../../src/api/wire.ts";
import { startGateway, type Gateway } from "../support/gateway.ts";
import { git, makeRepository, write } from "../support/workspaces.ts";

const MAIN = "agent:main:main";
const CONFIG = { "workspaces.freeBytesMin": 0, "merges.radarSeconds": 1 };

function repositoryFor(t: TestContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "yard-repository-")));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  return makeRepository(join(dir, "shop"), { "test.sh": "test ! -f broken.ts\n", "add.ts": "one\n" });
}

async function land(gateway: Gateway, workspace: string): Promise<ApiMerge> {
  const { mergeId } = await gateway.api<ApiMerge>("POST", "/api/merges", { workspace, onto: "main", message: "feat: sign in", tests: [{ command: "sh test.sh" }] });
  return atRest(gateway, mergeId);
}

async function atRest(gateway: Gateway, mergeId: string): Promise<ApiMerge> {
  await gateway.waitEvent(({ type, data }) => data["merge"] === mergeId && ["merge.landed", "merge.failed", "merge.refused", "merge.conflict"].includes(type));
  return gateway.api("GET", `/api/merges/${mergeId}`);
}

test("work in a workspace lands with the gateway's own tests as evidence, and can be undone", async (t) => {
  const repository = repositoryFor(t);
  const gateway = await startGateway(t, { config: CONFIG });
  await gateway.ask("hello");
  const one = await gateway.api<ApiWorkspace>("POST", "/api/workspaces", { repository, base: "main", label: "auth", claims: ["src/**"], session: MAIN });
  write(one.dir, { "src/auth.ts": "1\n" });
  assert.deepEqual((await gateway.api<WorkspaceDetail>("GET", `/api/workspaces/${one.workspaceId}`)).status?.uncommitted, ["src/auth.ts"]);

  const merge = await land(gateway, one.workspaceId);
  assert.deepEqual([merge.state, merge.evidence.map(({ exitCode }) => exitCode)], ["landed", [0]]);
  assert.equal(git(repository, "rev-parse", "main"), merge.to);
  assert.deepEqual((await gateway.api<MergeList>("GET", "/api/merges?state=landed")).merges.map(({ mergeId }) => mergeId), [merge.mergeId]);
  assert.equal((await gateway.api<ApiMerge>("POST", `/api/merges/${merge.mergeId}/undo`)).state, "undone");
  assert.equal(git(repository, "rev-parse", "main"), merge.from);

  write(one.dir, { "broken.ts": "1\n" });
  const refused = await land(gateway, one.workspaceId);
  assert.deepEqual([refused.state, refused.problem?.code], ["refused", "MERGE_OUTSIDE_CLAIM"]);
  assert.equal((await gateway.call<ApiFault>("GET", "/api/merges/merge_none")).status, 404);
});

test("after kill -9 workspaces and their work are there, and a removed one comes back", async (t) => {
  const repository = repositoryFor(t);
  const gateway = await startGateway(t, { config: CONFIG });
  const one = await gateway.api<ApiWorkspace>("POST", "/api/workspaces", { repository, label: "auth" });
  write(one.dir, { "auth.ts": "1\n" });
  await gateway.kill9();
  await gateway.start();
  const removed = await gateway.api<ApiWorkspace>("POST", `/api/workspaces/${one.workspaceId}/remove`);
  assert.equal(git(repository, "show", `${removed.backupRef}:auth.ts`), "1");
  await gateway.api("POST", `/api/workspaces/${one.workspaceId}/undo`);
  assert.deepEqual((await gateway.api<WorkspaceList>("GET", "/api/workspaces")).workspaces.map(({ state }) => state), ["ready"]);
  assert.deepEqual((await gateway.api<WorkspaceDetail>("GET", `/api/workspaces/${one.workspaceId}`)).status?.uncommitted, ["auth.ts"]);
});

test("two sessions whose unfinished work conflicts are warned while they work", async (t) => {
  const repository = repositoryFor(t);
  const gateway = await startGateway(t, { config: CONFIG });
  await gateway.ask("hello");
  for (const label of ["one", "two"]) {
    const { dir } = await gateway.api<ApiWorkspace>("POST", "/api/workspaces", { repository, label, session: MAIN });
    write(dir, { "add.ts": `changed by ${label}\n` });
  }
  const news = await gateway.waitEvent(({ type, data }) => type === "notice" && data["code"] === "MERGE_OVERLAP");
  assert.deepEqual(news.data["paths"], ["add.ts"]);
});
