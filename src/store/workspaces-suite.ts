/** What every store must do for workspaces and merges. Part of the contract, in a file of its own. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { MergeId, WorkspaceId } from "../base/ids.ts";
import type { Merge } from "../model/merge.ts";
import type { Workspace } from "../model/workspace.ts";
import { ANN, fault, StoreBench, type OpenedStore } from "./store-bench.test-support.ts";

const ROOM = { liveMax: 3, portBase: 20_000 };

function newWorkspace(id: string, more: Partial<Workspace> = {}): Omit<Workspace, "portFirst"> {
  return { id: id as WorkspaceId, state: "ready", repository: "/r", commonDir: "/r/.git", dir: `/w/${id}`, branch: `refs/heads/yard/${id}`, base: "b", claims: [], epoch: 1, portCount: 10, copy: [], setup: null, dangers: [], label: id, session: ANN, backupRef: null, problem: null, createdAt: 1, endedAt: null, ...more };
}

function newMerge(id: string, workspace: string, more: Partial<Merge> = {}): Omit<Merge, "n"> {
  return { id: id as MergeId, state: "queued", workspace: workspace as WorkspaceId, epoch: 1, commonDir: "/r/.git", onto: "refs/heads/main", commit: `c-${id}`, strategies: [], style: "squash", tests: [], message: id, trailers: [], allowFlagged: false, session: ANN, attempts: 0, from: null, to: null, undo: null, evidence: [], conflict: null, mendedBy: null, problem: null, createdAt: 1, endedAt: null, ...more };
}

export function workspacesContract(name: string, open: (t: TestContext) => Promise<OpenedStore>): void {
  function promise(text: string, story: (bench: StoreBench) => Promise<void>): void {
    test(`${name}: ${text}`, async (t) => {
      const bench = new StoreBench(await open(t));
      await bench.rules();
      await bench.store.openSession(ANN);
      await story(bench);
      assert.deepEqual(await bench.store.checkIntegrity(), []);
    });
  }

  promise("workspaces get the lowest free ports, no more than allowed, and give them back when they are gone", async ({ store }) => {
    const made = [];
    for (const id of ["ws_a", "ws_b", "ws_c"]) made.push((await store.addWorkspace({ workspace: newWorkspace(id), ...ROOM })).portFirst);
    assert.deepEqual(made, [20_000, 20_010, 20_020]);
    await assert.rejects(store.addWorkspace({ workspace: newWorkspace("ws_d"), ...ROOM }), fault("WORKSPACE_LIMIT"));
    await store.moveWorkspace({ id: "ws_b" as WorkspaceId, from: ["ready"], patch: { state: "removed" } });
    assert.equal((await store.addWorkspace({ workspace: newWorkspace("ws_d"), ...ROOM })).portFirst, 20_010);
    const back = await store.moveWorkspace({ id: "ws_b" as WorkspaceId, from: ["removed"], patch: { state: "making" }, liveMax: 4, portBase: 20_000 });
    assert.equal(back?.portFirst, 20_030);
  });

  promise("a move that comes second changes nothing, also after a crash", async (bench) => {
    await bench.store.addWorkspace({ workspace: newWorkspace("ws_a"), ...ROOM });
    const remove = () => bench.store.moveWorkspace({ id: "ws_a" as WorkspaceId, from: ["ready"], patch: { state: "removing" } });
    assert.equal((await remove())?.state, "removing");
    await bench.crash();
    assert.equal(await remove(), null);
    assert.deepEqual((await bench.store.workspaces({ commonDir: "/r/.git", states: ["removing"], limit: 9 })).map(({ id }) => id), ["ws_a"]);
    assert.deepEqual(bench.events.filter(({ type }) => type.startsWith("workspace.")).map(({ type }) => type), ["workspace.ready", "workspace.removing"]);
  });

  promise("a workspace is in line once, and a batch moves whole or not at all", async ({ store }) => {
    for (const id of ["ws_a", "ws_b"]) await store.addWorkspace({ workspace: newWorkspace(id), ...ROOM });
    const [one, two] = [await store.addMerge(newMerge("merge_1", "ws_a")), await store.addMerge(newMerge("merge_2", "ws_b"))];
    await assert.rejects(store.addMerge(newMerge("merge_3", "ws_a")), fault("MERGE_IN_LINE"));
    assert.deepEqual((await store.merges({ commonDir: "/r/.git", onto: "refs/heads/main", states: ["queued"], oldestFirst: true, limit: 9 })).map(({ n }) => n), [1, 2]);
    const run = (from: "queued" | "running") => store.moveMerges([{ id: one.id, from: ["queued"], patch: { state: "running" } }, { id: two.id, from: [from], patch: { state: "running" } }]);
    assert.equal(await run("running"), null);
    assert.equal((await store.merge(one.id))?.state, "queued");
    assert.equal((await run("queued"))?.length, 2);
  });

  promise("a merge of an old epoch may not advance, so what a zombie offered never moves the ref", async ({ store }) => {
    await store.addWorkspace({ workspace: newWorkspace("ws_a"), ...ROOM });
    const { id } = await store.addMerge(newMerge("merge_1", "ws_a", { state: "running" }));
    await store.moveWorkspace({ id: "ws_a" as WorkspaceId, from: ["ready"], patch: { epoch: 2 } });
    assert.equal(await store.moveMerges([{ id, from: ["running"], patch: { state: "advancing", from: "x", to: "y" } }]), null);
    assert.equal((await store.merge(id))?.state, "running");
  });

  promise("one commit lands once on a branch, until it was undone", async ({ store }) => {
    await store.addWorkspace({ workspace: newWorkspace("ws_a"), ...ROOM });
    const at = { state: "landed", from: "x", to: "y", commit: "c" } as const;
    const { id } = await store.addMerge(newMerge("merge_1", "ws_a", at));
    await assert.rejects(store.addMerge(newMerge("merge_2", "ws_a", at)));
    await store.moveMerges([{ id, from: ["landed"], patch: { state: "undone" } }]);
    assert.equal((await store.addMerge(newMerge("merge_3", "ws_a", at))).state, "landed");
  });
}
