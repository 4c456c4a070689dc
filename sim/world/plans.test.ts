/** What worlds with plans found, each as a short story of its own, with the seed that met it first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkspaceId } from "../../src/base/ids.ts";
import { Fault } from "../../src/model/faults.ts";
import { PlanBench } from "./plan-bench.test-support.ts";

async function setup(): Promise<PlanBench> {
  const bench = new PlanBench();
  await bench.start();
  return bench;
}

const owning = (id: string, more: object = {}): object => ({ id, owns: [`p0/${id}/**`], size: "45m", ...more });

test("a task is done when its work has landed, and its worktree is gone", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a"), owning("b", { after: ["a"] })] });
  const [first] = await bench.agents();
  assert.deepEqual(bench.landed, []);
  await bench.does(first!, { "p0/a/work.txt": "good\n" });
  const [second] = await bench.agents();
  assert.equal(bench.git.filesIn(second!.sessionInfo.cwd!).get("p0/a/work.txt"), "good\n");
  await bench.does(second!, { "p0/b/work.txt": "good\n" });
  assert.deepEqual(bench.landed, ["a", "b"]);
  assert.equal((await bench.plans.get(planId)).state, "done");
  assert.deepEqual([...bench.git.worktrees.keys()], []);
});

test("a workspace whose agent could not be started goes when its plan is cancelled, although its task does not know of it (seed 4)", async () => {
  const bench = await setup();
  bench.refuseSpawn = () => {
    throw new Fault("SPAWN_TOO_DEEP", { depth: 1, depthMax: 0 });
  };
  const { planId } = await bench.run({ tasks: [owning("a")] });
  await bench.settle();
  assert.equal((await bench.task(planId, "a")).state, "stuck");
  assert.equal(bench.git.worktrees.size, 1);
  await bench.settle(bench.plans.cancel(planId, "ann"));
  await bench.settle();
  assert.equal(bench.git.worktrees.size, 0);
});

test("what a crash kept a cancelled plan from taking away is taken away by the next start, its agents with it", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  // It dies right after its row.
  bench.beforeVerb = (verb) => {
    if (verb === "task" || verb === "cancelTask") throw new Fault("STORE_FAILED", { problem: "killed" });
  };
  await bench.settle(bench.plans.cancel(planId, "ann").catch(() => {}));
  bench.beforeVerb = () => {};
  assert.equal((await bench.plans.get(planId)).state, "cancelled");
  await bench.crash();
  await bench.settle();
  assert.equal(bench.git.worktrees.size, 0);
  assert.equal((await bench.bench.store.task(agent!.sessionInfo.taskId!))!.state, "cancelled");
});

test("tasks that are resumed together in a plan that goes one by one are worked on one by one (seed 261)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a"), owning("b"), owning("c")], agents: 1 });
  for (let n = 0; n < 3; n++) {
    const [agent] = await bench.agents();
    await bench.bench.store.cancelTask({ task: agent!.sessionInfo.taskId!, by: "ann" });
    await bench.settle();
  }
  assert.equal((await bench.plans.get(planId)).state, "stuck");
  await bench.settle(bench.plans.resume(planId, { task: null, note: null, by: "ann" }));
  for (const id of ["a", "b", "c"]) {
    const agents = await bench.agents();
    assert.equal(agents.length, 1);
    await bench.does(agents[0]!, { [`p0/${id}/work.txt`]: "good\n" });
  }
  assert.equal((await bench.plans.get(planId)).state, "done");
});

test("what stands in line for a plan does not land after its cancel (seed 423)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tests: "test p0", tasks: [owning("a")] });
  for (let attempt = 1; attempt <= 2; attempt++) {
    const [agent] = await bench.agents();
    await bench.does(agent!, { "p0/a/work.txt": `bad ${attempt}\n` });
  }
  const { state, merge, workspace } = await bench.task(planId, "a");
  assert.equal(state, "stuck");
  bench.git.filesIn(`/sim/workspaces/${workspace}`).set("p0/a/work.txt", "good\n");
  await bench.settle(bench.merges.retry(merge!));
  await bench.settle(bench.plans.cancel(planId, "ann"));
  await bench.settle();
  assert.deepEqual(bench.landed, []);
  assert.equal((await bench.merges.get(merge!))!.state, "cancelled");
});

test("what stands in line does not land after the cancel of its plan either when the task has moved to another workspace, where its work is done anew (seed 107663)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tests: "test p0", tasks: [owning("a")] });
  for (let attempt = 1; attempt <= 2; attempt++) {
    const [agent] = await bench.agents();
    await bench.does(agent!, { "p0/a/work.txt": `bad ${attempt}\n` });
  }
  const { merge, workspace } = await bench.task(planId, "a");
  bench.git.filesIn(`/sim/workspaces/${workspace}`).set("p0/a/work.txt", "good\n");
  await bench.settle(bench.merges.retry(merge!));
  await bench.settle(bench.bench.store.movePlanTask({ plan: planId, task: "a", from: "stuck", to: "stuck", change: { workspace: "ws_another" as WorkspaceId } }));
  await bench.settle(bench.plans.cancel(planId, "ann"));
  await bench.settle();
  assert.deepEqual(bench.landed, []);
  assert.equal((await bench.merges.get(merge!))!.state, "cancelled");
});

test("a merge of an earlier holder that a person put in line does not keep a resumed task from its agent (seed 73304)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tests: "test p0", tasks: [owning("a")] });
  for (let attempt = 1; attempt <= 2; attempt++) {
    const [agent] = await bench.agents();
    await bench.does(agent!, { "p0/a/work.txt": `bad ${attempt}\n` });
  }
  const { merge, workspace, epoch } = await bench.task(planId, "a");
  await bench.settle(bench.bench.store.moveWorkspace({ id: workspace!, from: ["ready"], patch: { epoch: epoch! + 1 } }));
  await bench.settle(bench.merges.retry(merge!));
  await bench.settle(bench.plans.resume(planId, { task: null, note: null, by: "ann" }));
  assert.equal((await bench.agents()).length, 1);
});

test("work that a resumed plan offers again is not taken in when the plan is cancelled just then (seed 187690)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  bench.git.dirtyUntilMs = bench.timeline.nowMs + 120_000;
  await bench.does(agent!, { "p0/a/work.txt": "good\n" });
  assert.deepEqual([(await bench.task(planId, "a")).state, (await bench.plans.get(planId)).state], ["stuck", "stuck"]);
  let cancelling: Promise<unknown> | null = null;
  bench.beforeVerb = (verb, moves: readonly { readonly patch: { readonly state?: string } }[]) => {
    if (verb === "moveMerges" && moves[0]!.patch.state === "queued") cancelling ??= bench.bench.store.movePlan({ plan: planId, from: "stuck", to: "cancelled", event: { type: "plan.ended", data: {} } });
  };
  await assert.rejects(bench.settle(bench.plans.resume(planId, { task: null, note: null, by: "ann" })), (error: unknown) => error instanceof Fault && error.code === "PLAN_NOT_WAITING");
  await bench.settle();
  assert.notEqual(cancelling, null);
  assert.deepEqual(bench.landed, []);
});

test("a plan that goes on at the moment of its cancel is cancelled all the same (seed 271005)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  await bench.bench.done(agent!, "STUCK: a key is missing");
  await bench.settle();
  assert.equal((await bench.plans.get(planId)).state, "stuck");
  let goesOn: Promise<unknown> | null = null;
  bench.beforeVerb = (verb, input: { readonly to?: string }) => {
    if (verb === "movePlan" && input.to === "cancelled") goesOn ??= bench.bench.store.movePlan({ plan: planId, from: "stuck", to: "running" });
  };
  const after = await bench.settle(bench.plans.cancel(planId, "ann"));
  assert.notEqual(goesOn, null);
  assert.equal(after.state, "cancelled");
  assert.deepEqual([...bench.git.worktrees.keys()], []);
});

test("what a cancelled plan leaves is taken away when the disk kept its cancel from doing so, not at the next start (seed 372022)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a"), owning("b")] }, "parallel");
  await bench.agents();
  let isOver = false;
  let failures = 1;
  bench.beforeVerb = (verb, input: { readonly to?: string }) => {
    if (verb === "movePlan" && input.to === "cancelled") isOver = true;
    if (isOver && verb === "cancelTask" && failures-- > 0) throw new Fault("STORE_FAILED", { problem: "busy" });
  };
  await assert.rejects(bench.settle(bench.plans.cancel(planId, "ann")), (error: unknown) => error instanceof Fault && error.code === "STORE_FAILED");
  await bench.settle();
  assert.equal((await bench.plans.get(planId)).state, "cancelled");
  assert.deepEqual([...bench.git.worktrees.keys()], []);
});

test("a plan is cancelled while its work is merged: nothing of it lands, and nothing is left (seed 423)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tests: "test p0", tasks: [owning("a")] });
  const [agent] = await bench.agents();
  bench.git.filesIn(agent!.sessionInfo.cwd!).set("p0/a/work.txt", "good\n");
  await bench.bench.done(agent!);
  while ((await bench.task(planId, "a")).merge === null || (await bench.merges.list({ limit: 1 }))[0]?.state !== "running") {
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(bench.timeline.step(Infinity));
  }
  await bench.settle(bench.plans.cancel(planId, "ann"));
  await bench.settle();
  assert.deepEqual(bench.landed, []);
  assert.equal(bench.git.worktrees.size, 0);
});

test("a task that comes after one and begins on a commit of another holds the work of both (seed 128)", async () => {
  const bench = await setup();
  await bench.run({ tasks: [owning("a"), owning("b"), owning("c", { after: ["a"], when: { task: "b", commit: "feat: begin" } })] }, "parallel");
  const [a, b] = await bench.agents();
  await bench.does(a!, { "p0/a/work.txt": "good\n" });
  assert.deepEqual(bench.landed, ["a"]);
  bench.git.filesIn(b!.sessionInfo.cwd!).set("p0/b/work.txt", "good\n");
  bench.git.commitIn(b!.sessionInfo.cwd!, "feat: begin", "an agent");
  const [c] = await bench.agents();
  assert.deepEqual([...bench.git.filesIn(c!.sessionInfo.cwd!).keys()].filter((path) => path.startsWith("p0/")), ["p0/a/work.txt", "p0/b/work.txt"]);
});

test("a task that begins on a commit of another gets its agent also when that other lands, and its workspace goes, just then (seed 130277)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a"), owning("b", { when: { task: "a", commit: "feat: begin" } })] }, "parallel");
  const [a] = await bench.agents();
  const { workspace } = await bench.task(planId, "a");
  let isPreparing = false;
  let isLanded = false;
  bench.beforeVerb = (verb, input: { readonly task?: string; readonly to?: string }) => {
    if (verb === "movePlanTask" && input.task === "b" && input.to === "preparing") isPreparing = true;
    if (verb !== "workspace" || !isPreparing || isLanded) return;
    isLanded = true;
    for (const [from, to] of [["working", "checking"], ["checking", "merging"], ["merging", "done"]] as const) void bench.bench.store.movePlanTask({ plan: planId, task: "a", from, to });
    void bench.bench.store.moveWorkspace({ id: workspace!, from: ["ready"], patch: { state: "removing" } });
  };
  bench.git.filesIn(a!.sessionInfo.cwd!).set("p0/a/work.txt", "good\n");
  bench.git.commitIn(a!.sessionInfo.cwd!, "feat: begin", "an agent");
  const agents = await bench.agents();
  assert.equal(isLanded, true);
  assert.deepEqual([agents.length, (await bench.task(planId, "b")).state], [1, "working"]);
});

test("a workspace that a full disk kept from being made is taken back when there is room, not at the next start (seed 190)", async () => {
  const bench = await setup();
  let isFull = true;
  bench.beforeVerb = (verb) => {
    if (verb === "moveWorkspace" && isFull) throw new Fault("STORE_FAILED", { problem: "database or disk is full" });
  };
  const { planId } = await bench.run({ tasks: [owning("a")] });
  await bench.settle();
  isFull = false;
  await bench.settle();
  await bench.settle(bench.plans.cancel(planId, "ann"));
  await bench.settle();
  assert.equal(bench.git.worktrees.size, 0);
  assert.deepEqual((await bench.bench.store.workspaces({ states: ["making"], limit: 10 })), []);
});

test("a hand-over that was cut off before its task's row was moved is gone on with, and nobody is fenced out by it (seed 2284)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  let failures = 1;
  bench.beforeVerb = (verb, input: { to?: string; from?: string }) => {
    if (verb === "movePlanTask" && input.from === "checking" && input.to === "preparing" && failures-- > 0) throw new Fault("STORE_FAILED", { problem: "busy" });
  };
  // Nothing was changed, so another agent is to try again.
  await bench.does(agent!, {});
  const [next] = await bench.agents();
  assert.equal((await bench.task(planId, "a")).state, "working");
  await bench.does(next!, { "p0/a/work.txt": "good\n" });
  assert.deepEqual(bench.landed, ["a"]);
});

test("work that landed although its row could not be written is not offered again (seed 6974)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  let failures = 1;
  bench.beforeVerb = (verb, moves: readonly { patch: { state?: string } }[]) => {
    if (verb === "moveMerges" && moves[0]!.patch.state === "landed" && failures-- > 0) throw new Fault("STORE_FAILED", { problem: "busy" });
  };
  await bench.does(agent!, { "p0/a/work.txt": "good\n" });
  await bench.settle();
  assert.deepEqual(bench.landed, ["a"]);
  assert.equal((await bench.task(planId, "a")).state, "done");
  assert.deepEqual(await bench.agents(), []);
});

test("a line of merges whose rows could not be written goes on when they can be, not at the next start", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  let failures = 2;
  bench.beforeVerb = (verb) => {
    if (verb === "moveMerges" && failures-- > 0) throw new Fault("STORE_FAILED", { problem: "busy" });
  };
  await bench.does(agent!, { "p0/a/work.txt": "good\n" });
  await bench.settle();
  assert.equal((await bench.task(planId, "a")).state, "done");
});

test("no agent is started for a plan that was cancelled while its workspace was made (seed 7885)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  while ((await bench.bench.store.workspaces({ states: ["making"], limit: 1 })).length === 0) {
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(bench.timeline.step(Infinity));
  }
  await bench.settle(bench.plans.cancel(planId, "ann"));
  assert.deepEqual(await bench.agents(), []);
  assert.equal(bench.bench.events.filter(({ type }) => type === "task.accepted").length, 0);
  assert.equal(bench.git.worktrees.size, 0);
});

test("work that was on its way to the line when its plan was cancelled is not taken in (seed 4966)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a")] });
  const [agent] = await bench.agents();
  bench.git.filesIn(agent!.sessionInfo.cwd!).set("p0/a/work.txt", "good\n");
  let cancelling: Promise<unknown> | null = null;
  bench.beforeVerb = (verb) => {
    if (verb === "addMerge") cancelling ??= bench.bench.store.movePlan({ plan: planId, from: "running", to: "cancelled", event: { type: "plan.ended", data: {} } });
  };
  await bench.bench.done(agent!);
  await bench.settle();
  assert.notEqual(cancelling, null);
  assert.deepEqual(bench.landed, []);
});

test("work that began on another's commit lands, although that other's work was done again elsewhere (seed 6974)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tasks: [owning("a"), owning("b", { when: { task: "a", commit: "feat: begin" } })] }, "parallel");
  const [a] = await bench.agents();
  const dir = a!.sessionInfo.cwd!;
  bench.git.filesIn(dir).set("p0/a/work.txt", "good\n");
  bench.git.commitIn(dir, "feat: begin", "an agent");
  const [b] = await bench.agents();
  // The same comes to the branch by another way, without the commit that b began on.
  bench.git.commitOnMain((files) => files.set("p0/a/work.txt", "good\n"), "done again elsewhere");
  bench.git.filesIn(b!.sessionInfo.cwd!).set("p0/b/work.txt", "good\n");
  const { workspace, epoch } = await bench.task(planId, "b");
  const merge = await bench.settle(bench.merges.enqueue({ workspace: workspace!, epoch, onto: "main", message: "the work of b" }));
  await bench.settle();
  assert.equal((await bench.merges.get(merge.id))!.state, "landed");
});

test("a plan is cancelled at once, although the set-up of its workspace takes long (seed 39952)", async () => {
  const bench = await setup();
  bench.git.testsTakeMs = 500_000;
  const { planId } = await bench.run({ setup: "set up", tasks: [owning("a")] });
  await bench.settle();
  const askedMs = bench.timeline.nowMs;
  await bench.settle(bench.plans.cancel(planId, "ann"));
  assert.ok(bench.timeline.nowMs - askedMs < 10_000, `${bench.timeline.nowMs - askedMs} ms`);
  assert.equal(bench.git.worktrees.size, 0);
});

test("the checkout that a merge was tested in goes at the next start, although no workspace of its repository is left (seed 61146)", async () => {
  const bench = await setup();
  const { planId } = await bench.run({ tests: "test p0", tasks: [owning("a")] });
  const [agent] = await bench.agents();
  bench.git.testsTakeMs = 500_000;
  await bench.does(agent!, { "p0/a/work.txt": "good\n" });
  assert.ok([...bench.git.worktrees.keys()].some((name) => name.startsWith("merge_")));
  await bench.settle(bench.plans.cancel(planId, "ann"));
  await bench.crash();
  assert.deepEqual([...bench.git.worktrees.keys()], []);
});
