import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { systemRandom } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { readWhole, Workspace } from "./confine.ts";
import { makeBench } from "./tool-bench.test-support.ts";

async function setup(t: TestContext, options: { openat?: boolean } = {}) {
  const bench = makeBench(t, { files: { "a.txt": "A", "dir/inner/b.txt": "B" } });
  const open = await Workspace.open(bench.workspace, systemRandom, options);
  const read = async (path: string): Promise<string> => {
    const file = await open.openFile(path);
    return readWhole(file, 1000).then(String).finally(() => file.handle.close());
  };
  const write = (path: string, text: string): Promise<boolean> => open.replaceFile(path, Buffer.from(text));
  return { ...bench, open, read, write, at: (path: string) => join(bench.workspace, path) };
}

const refusedWith = (problem: RegExp) => (error: unknown) => error instanceof Fault && error.code === "PATH_REFUSED" && problem.test(error.message);

for (const openat of [true, false]) {
  const how = openat ? "with openat" : "without openat";

  test(`paths inside lead to their file, however they are written (${how})`, async (t) => {
    const { read, at } = await setup(t, { openat });
    for (const path of ["a.txt", "./a.txt", "dir/../a.txt", "dir/inner/../../a.txt", at("a.txt"), at("dir/../a.txt"), "//./a.txt".slice(2)]) {
      assert.equal(await read(path), "A", path);
    }
  });

  test(`paths that lead out are refused for reading and writing alike (${how})`, async (t) => {
    const { read, write, workspace, outside } = await setup(t, { openat });
    const hostile = ["../outside/secret.txt", "../../etc/passwd", "dir/../../outside/secret.txt", "/etc/passwd", join(outside, "secret.txt"), `${workspace}/../outside/secret.txt`, `${workspace}x/a.txt`, "..", "~/x", "~", "\\\\server\\share", "a.txt\0.png", "x".repeat(5000)];
    for (const path of hostile) {
      await assert.rejects(read(path), refusedWith(/./), path);
      await assert.rejects(write(path, "HOSTILE"), refusedWith(/./), path);
    }
    assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "OUTSIDE");
    assert.deepEqual(readdirSync(outside), ["secret.txt"]);
  });

  test(`a link is followed inside the workspace and refused when it leads out (${how})`, async (t) => {
    const { read, write, at, outside } = await setup(t, { openat });
    symlinkSync("dir", at("relative"));
    symlinkSync(at("dir"), at("absolute"));
    symlinkSync("../../a.txt", at("dir/inner/up"));
    symlinkSync(outside, at("out"));
    symlinkSync("../outside", at("out-relative"));
    symlinkSync("../outside/secret.txt", at("out-file"));
    symlinkSync("../outside/new.txt", at("out-dangling"));
    symlinkSync("loop-b", at("loop-a"));
    symlinkSync("loop-a", at("loop-b"));
    symlinkSync("/proc/self/cwd", at("out-magic"));

    assert.equal(await read("relative/inner/b.txt"), "B");
    assert.equal(await read("absolute/inner/b.txt"), "B");
    assert.equal(await read("dir/inner/up"), "A");
    await write("dir/inner/up", "changed through a link");
    assert.equal(readFileSync(at("a.txt"), "utf8"), "changed through a link");
    for (const path of ["out/secret.txt", "out-relative/secret.txt", "out-file", "out-magic/package.json"]) {
      await assert.rejects(read(path), refusedWith(/out of the workspace/), path);
      await assert.rejects(write(path, "HOSTILE"), refusedWith(/out of the workspace/), path);
    }
    await assert.rejects(write("out-dangling", "HOSTILE"), refusedWith(/out of the workspace/));
    await assert.rejects(read("loop-a"), refusedWith(/too many/));
    assert.deepEqual(readdirSync(outside), ["secret.txt"]);
    assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "OUTSIDE");
  });

  test(`writing makes folders, keeps the mode and leaves no temporary file (${how})`, async (t) => {
    const { write, at } = await setup(t, { openat });
    assert.equal(await write("new/deep/file.sh", "one"), false);
    execFileSync("chmod", ["750", at("new/deep/file.sh")]);
    assert.equal(await write("new/deep/file.sh", "two"), true);

    assert.equal(readFileSync(at("new/deep/file.sh"), "utf8"), "two");
    assert.equal(statSync(at("new/deep/file.sh")).mode & 0o777, 0o750);
    assert.deepEqual(readdirSync(at("new/deep")), ["file.sh"]);
  });
}

test("only regular files are opened, so a FIFO cannot make the gateway wait and a device is left alone", { timeout: 5000 }, async (t) => {
  const { read, write, at } = await setup(t);
  execFileSync("mkfifo", [at("fifo")]);
  await assert.rejects(read("fifo"), refusedWith(/is a FIFO/));
  await assert.rejects(write("fifo", "x"), refusedWith(/is a FIFO/));
  await assert.rejects(read("dir"), refusedWith(/is a folder/));
  await assert.rejects(write("dir", "x"), refusedWith(/is a folder/));
  await assert.rejects(read("a.txt/b"), refusedWith(/not a folder/));
  await assert.rejects(read("none"), refusedWith(/no such file/));
  await assert.rejects(read("none/b"), refusedWith(/no such folder none/));
  if (process.getuid?.() !== 0) return;
  execFileSync("mknod", [at("zero"), "c", "1", "5"]);
  await assert.rejects(read("zero"), refusedWith(/is a device/));
});

test("a file is replaced, not written through: the other end of a hard link keeps its content", async (t) => {
  const { write, at, outside } = await setup(t);
  linkSync(join(outside, "secret.txt"), at("hard"));
  await write("hard", "mine");
  assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "OUTSIDE");
});

test("a folder that was carried out of the workspace meanwhile is not written to", async (t) => {
  const { open, at, outside } = await setup(t);
  const folder = await open.openFolder("dir");
  t.after(() => folder.close());
  renameSync(at("dir"), join(outside, "dir"));
  await assert.rejects(folder.realPath(), refusedWith(/was moved/));
  await assert.rejects(folder.openFile("inner"), refusedWith(/./));
});

test("a replacement is refused when somebody else changed the file since it was read", async (t) => {
  const { open, at } = await setup(t);
  const file = await open.openFile("a.txt");
  await file.handle.close();
  writeFileSync(at("a.txt"), "somebody else's longer text");
  await assert.rejects(open.replaceFile("a.txt", Buffer.from("mine"), { unchangedSince: file.stats }), refusedWith(/changed by somebody else/));
  assert.deepEqual(readdirSync(at(".")).sort(), ["a.txt", "dir"]);
});

test("a workspace that is not there is refused with its path", async (t) => {
  const { workspace } = makeBench(t);
  await assert.rejects(Workspace.open(`${workspace}/gone`, systemRandom), refusedWith(/gone: no such/));
});

// ── the race: somebody swaps a folder or a file for a link outwards while we walk ───────────────

const RACE_MS = 500;

/** Swaps `name` with `<name>.link` as fast as it can, in another thread, until it is told to stop. */
function startSwapping(path: string): { swaps(): number; stop(): Promise<number> } {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(
    `const { renameSync, rmSync } = require("node:fs");
     const { workerData: { path, shared } } = require("node:worker_threads");
     function move(from, to) {
       for (;;) {
         // A write may have made a folder where one was missing for a moment.
         try { return renameSync(from, to); } catch {}
         try { rmSync(to, { recursive: true, force: true }); } catch {}
       }
     }
     while (Atomics.load(shared, 0) === 0) {
       move(path, path + ".real"); move(path + ".link", path);
       move(path, path + ".link"); move(path + ".real", path);
       Atomics.add(shared, 1, 1);
     }`,
    { eval: true, workerData: { path, shared } },
  );
  return {
    swaps: () => Atomics.load(shared, 1),
    async stop() {
      Atomics.store(shared, 0, 1);
      await new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));
      return Atomics.load(shared, 1);
    },
  };
}

/** A machine that gives the other thread no time is given this long. */
const RACE_MS_MAX = 40_000;
/** Fewer swaps are no race. */
const SWAPS_MIN = 101;

/**
 * Calls `work` over and over until there was a real race: both outcomes, and enough swaps.
 * Everything but a Fault is an error.
 */
async function countOutcomes(swapping: { swaps(): number }, work: () => Promise<string>, isRefusal: (result: string) => boolean = () => false): Promise<{ results: Set<string>; done: number; refused: number }> {
  const results = new Set<string>();
  const startedAt = performance.now();
  let done = 0;
  let refused = 0;
  const isRace = (): boolean => performance.now() - startedAt >= RACE_MS && done > 0 && refused > 0 && swapping.swaps() >= SWAPS_MIN;
  while (!isRace() && performance.now() - startedAt < RACE_MS_MAX) {
    try {
      const result = await work();
      results.add(result);
      if (isRefusal(result)) refused++;
      else done++;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      refused++;
    }
  }
  return { results, done, refused };
}

const ON_LINUX = process.platform === "linux" ? {} : { skip: "needs openat" };

test("reading never gets out while a folder on the way is swapped for a link", ON_LINUX, async (t) => {
  const { read, at, outside } = await setup(t);
  mkdirSync(at("swap"));
  writeFileSync(at("swap/secret.txt"), "INSIDE");
  symlinkSync(outside, at("swap.link"));
  const swapping = startSwapping(at("swap"));
  const { results, done, refused } = await countOutcomes(swapping, () => read("swap/secret.txt"));
  const swaps = await swapping.stop();

  assert.deepEqual([...results], ["INSIDE"]);
  assert.ok(swaps > 100 && done > 0 && refused > 0, `a real race: ${swaps} swaps, ${done} read, ${refused} refused`);
});

test("reading never gets out while the file itself is swapped for a link", ON_LINUX, async (t) => {
  const { read, at, outside } = await setup(t);
  writeFileSync(at("swap"), "INSIDE");
  symlinkSync(join(outside, "secret.txt"), at("swap.link"));
  const swapping = startSwapping(at("swap"));
  const { results, done, refused } = await countOutcomes(swapping, () => read("swap"));
  await swapping.stop();

  assert.deepEqual([...results], ["INSIDE"]);
  assert.ok(done > 0 && refused > 0);
});

test("writing never gets out while a folder on the way is swapped for a link", ON_LINUX, async (t) => {
  const { write, at, outside } = await setup(t);
  mkdirSync(at("swap"));
  symlinkSync(outside, at("swap.link"));
  const swapping = startSwapping(at("swap"));
  const { done, refused } = await countOutcomes(swapping, async () => String(await write("swap/secret.txt", "HOSTILE")));
  await swapping.stop();

  assert.deepEqual(readdirSync(outside), ["secret.txt"]);
  assert.equal(readFileSync(join(outside, "secret.txt"), "utf8"), "OUTSIDE");
  assert.ok(done > 0 && refused > 0);
  assert.ok(existsSync(at("swap/secret.txt")));
});

test("a search never gets out while a folder is swapped for a link", ON_LINUX, async (t) => {
  const { call, at, outside } = await setup(t);
  mkdirSync(at("swap"));
  writeFileSync(at("swap/secret.txt"), "INSIDE");
  symlinkSync(outside, at("swap.link"));
  const swapping = startSwapping(at("swap"));
  const { results } = await countOutcomes(swapping, async () => (await call("grep", { pattern: "SIDE" })).text, (text) => !text.includes("SIDE"));
  await swapping.stop();

  assert.ok([...results].some((text) => text.includes("INSIDE")));
  assert.ok(![...results].some((text) => text.includes("OUTSIDE")));
});
