import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "./clock.ts";
import { systemRandom } from "./ids.ts";
import { silentLog } from "./log.ts";
import { MARK_VARIABLE } from "./process-table.ts";
import { makeProcessTree, type OwnedTree, type ProcessIdentity } from "./process-tree.ts";

const ENV = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
const ON_LINUX = process.platform === "linux" ? {} : { skip: "needs /proc" };

function setup(t: TestContext, options: { procDir?: string } = {}) {
  const recorded: ProcessIdentity[] = [];
  const forgotten: string[] = [];
  const trees = makeProcessTree({ clock: systemClock, log: silentLog, record: (p) => void recorded.push(p), forget: (mark) => void forgotten.push(mark), ...options });
  t.after(() => trees.endAll());
  const installation = `test${Buffer.from(systemRandom(6)).toString("hex")}`;
  const shell = (script: string, mark = `${installation}.turn.a`): Promise<OwnedTree> =>
    trees.start({ mark, argv: ["/bin/sh", "-c", script], cwd: "/", env: ENV, stdin: "ignore" });
  return { trees, installation, shell, recorded, forgotten };
}

/** The first `count` lines that a process prints. */
async function lines(stream: Readable, count: number): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const line of createInterface({ input: stream })) {
    found.push(line);
    if (found.length === count) break;
  }
  return found;
}

function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

function runningWithMark(mark: string): readonly number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${MARK_VARIABLE}=${mark}`) && isRunning(pid);
    } catch {
      return false;
    }
  });
}

/** Ignores SIGTERM, and so do a child, a grandchild in a session of its own, and one without the mark. */
const STUBBORN = `
  trap "" TERM
  sh -c 'echo $$; while :; do sleep 1; done' &
  setsid sh -c 'trap "" TERM; echo $$; setsid sh -c "echo \\$\\$; while :; do sleep 1; done" & while :; do sleep 1; done' &
  env -i PATH="$PATH" setsid sh -c 'echo $$; while :; do sleep 1; done' &
  while :; do sleep 1; done
`;

test("a tree whose members ignore SIGTERM, left the group or wiped the mark is ended whole", ON_LINUX, async (t) => {
  const { trees, shell, forgotten, installation } = setup(t);
  const tree = await shell(STUBBORN);
  const pids = (await lines(tree.child.stdout, 4)).map(Number);
  assert.deepEqual(pids.map(isRunning), [true, true, true, true]);

  const survivors = await trees.endMarked(tree.mark, { graceMs: 50 });

  assert.deepEqual(survivors, []);
  assert.deepEqual(pids.map(isRunning), [false, false, false, false]);
  assert.deepEqual(runningWithMark(tree.mark), []);
  assert.deepEqual(await tree.ended, { code: null, signal: "SIGKILL", leftBehind: 0, survivors: [] });
  assert.deepEqual(forgotten, [`${installation}.turn.a`]);
});

test("a process that obeys SIGTERM gets to clean up before it goes, because SIGKILL comes later", async (t) => {
  const { trees, shell } = setup(t);
  const tree = await shell(`trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.02; done`);
  const output = lines(tree.child.stdout, 2);
  await once(tree.child.stdout, "data");

  await trees.endMarked(tree.mark, { graceMs: 5000 });

  assert.deepEqual(await output, ["ready", "cleaned"]);
  assert.equal((await tree.ended).code, 7);
});

test("what a leader leaves behind is ended with it, so nothing outlives its owner", ON_LINUX, async (t) => {
  const { shell } = setup(t);
  const tree = await shell(`setsid sleep 300 >/dev/null 2>&1 & sleep 300 >/dev/null 2>&1 & exit 3`);

  assert.deepEqual(await tree.ended, { code: 3, signal: null, leftBehind: 2, survivors: [] });
  assert.deepEqual(runningWithMark(tree.mark), []);
});

test("what ends by itself right after its leader is not ended by us", async (t) => {
  const { shell } = setup(t);
  // It ends as soon as it finds its leader gone.
  const tree = await shell(`(while kill -0 $$ 2>/dev/null; do :; done; echo late) & exit 0`);
  const output = lines(tree.child.stdout, 1);

  assert.equal((await tree.ended).leftBehind, 0);
  assert.deepEqual(await output, ["late"]);
});

test("a sweep ends the trees of its own installation only, by mark, after their gateway died", ON_LINUX, async (t) => {
  const { trees, installation, shell } = setup(t);
  const { trees: other, shell: otherShell, installation: otherInstallation } = setup(t);
  const orphan = spawn("/bin/sh", ["-c", `setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & sleep 300`], {
    detached: true,
    env: { ...ENV, [MARK_VARIABLE]: `${installation}.turn.lost` },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const gone = once(orphan, "exit");
  await lines(orphan.stdout, 1);
  const kept = await otherShell(`echo up; sleep 300`, `${otherInstallation}.turn.kept`);
  const keptLonger = await shell(`echo up; sleep 300`, `${installation}x.turn.kept`);
  await Promise.all([lines(kept.child.stdout, 1), lines(keptLonger.child.stdout, 1)]);

  const swept = await trees.sweep(installation);
  await gone;

  assert.ok(swept.ended >= 3, `ended ${swept.ended}`);
  assert.deepEqual(swept.survivors, []);
  assert.deepEqual(runningWithMark(`${installation}.`), []);
  assert.equal(kept.child.exitCode, null);
  assert.equal(keptLonger.child.exitCode, null);
  await other.endAll();
});

test("a sweep spares what was started here meanwhile, because it runs beside the first turns", ON_LINUX, async (t) => {
  const { trees, shell, installation } = setup(t);
  const tree = await shell(`setsid sleep 300 & sleep 300 & echo up; wait`);
  await lines(tree.child.stdout, 1);

  assert.deepEqual(await trees.sweep(installation), { ended: 0, survivors: [] });

  assert.equal(runningWithMark(tree.mark).length, 3);
});

test("a sweep spares this process and its ancestors, also when an agent's command started the gateway", ON_LINUX, async (t) => {
  const { installation } = setup(t);
  const script = `
    const { makeProcessTree } = await import(${JSON.stringify(new URL("./process-tree.ts", import.meta.url).href)});
    const { systemClock } = await import(${JSON.stringify(new URL("./clock.ts", import.meta.url).href)});
    const { silentLog } = await import(${JSON.stringify(new URL("./log.ts", import.meta.url).href)});
    const trees = makeProcessTree({ clock: systemClock, log: silentLog, record() {}, forget() {} });
    console.log(JSON.stringify(await trees.sweep(${JSON.stringify(installation)})));
  `;
  const gateway = spawn("/bin/sh", ["-c", `"$0" --input-type=module -e "$1"; echo "shell lives"`, process.execPath, script], {
    detached: true,
    env: { ...ENV, [MARK_VARIABLE]: `${installation}.turn.parent` },
    stdio: ["ignore", "pipe", "inherit"],
  });
  assert.deepEqual(await lines(gateway.stdout, 2), ['{"ended":0,"survivors":[]}', "shell lives"]);
});

test("a process number that was given to another process between look and signal is not signalled", ON_LINUX, async (t) => {
  const bystander = spawn("sleep", ["300"], { stdio: "ignore" });
  const folder = mkdtempSync(join(tmpdir(), "proc-"));
  t.after(() => {
    bystander.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  });
  const stat = (startTicks: number): string => `${bystander.pid} (a) b) S 1 ${bystander.pid} ${bystander.pid} ${"0 ".repeat(15)}${startTicks} 0`;
  const own = join(folder, String(bystander.pid));
  mkdirSync(join(folder, "self"));
  mkdirSync(own);
  writeFileSync(join(folder, "self/stat"), "");
  writeFileSync(join(own, "stat"), stat(1000));
  // The look reads the start time, then waits here for the environment: time enough for another process to take the number.
  await promisify(execFile)("mkfifo", [join(own, "environ")]);
  const { trees } = setup(t, { procDir: folder });

  const ending = trees.endMarked("x.y.z", { graceMs: 0 });
  const environ = await open(join(own, "environ"), "w");
  rmSync(join(own, "environ"));
  writeFileSync(join(own, "stat"), stat(2000));
  await environ.writeFile(`${MARK_VARIABLE}=x.y.z`);
  await environ.close();

  assert.deepEqual(await ending, []);
  assert.ok(isRunning(bystander.pid!));
});

test("each started process is recorded with number, start time and boot, because a number alone proves nothing", ON_LINUX, async (t) => {
  const { shell, recorded, installation } = setup(t);
  const tree = await shell(`exit 0`);
  await tree.ended;

  const [identity] = recorded;
  assert.equal(identity?.pid, tree.child.pid);
  assert.equal(identity?.marker, `${installation}.turn.a`);
  assert.match(identity?.startTicks ?? "", /^\d+$/);
  assert.equal(identity?.bootId, readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
});

test("a program that does not exist is refused with its code, and leaves nothing to end", async (t) => {
  const { trees, recorded } = setup(t);
  const starting = trees.start({ mark: "x.y.z", argv: ["/no/such/program"], cwd: "/", env: ENV, stdin: "ignore" });
  await assert.rejects(starting, { code: "ENOENT" });
  assert.deepEqual(recorded, []);
  assert.deepEqual(await trees.endAll(), []);
});

test("a child sees only the environment it was given and its mark", async (t) => {
  const { trees, installation } = setup(t);
  const tree = await trees.start({ mark: `${installation}.t.e`, argv: ["/usr/bin/env"], cwd: "/", env: { A: "1" }, stdin: "ignore" });
  assert.deepEqual(await lines(tree.child.stdout, 3), ["A=1", `${MARK_VARIABLE}=${installation}.t.e`]);
});

test("parents are told before their children, so a shell does not go on with its next command", ON_LINUX, async (t) => {
  const { trees, shell } = setup(t);
  const tree = await shell(`sh -c 'echo $$; sleep 300; :'; echo went on`);
  const [child] = (await lines(tree.child.stdout, 1)).map(Number);
  const told: number[] = [];
  const kill = process.kill.bind(process);
  t.mock.method(process, "kill", (pid: number, signal: NodeJS.Signals) => told.push(pid) > 0 && kill(pid, signal));

  await trees.endMarked(tree.mark, { graceMs: 5000 });

  assert.deepEqual(told.slice(0, 2), [tree.child.pid, child]);
  assert.equal((await tree.ended).signal, "SIGTERM");
});

test("endAll ends every tree at once", async (t) => {
  const { trees, shell, installation } = setup(t);
  const all = await Promise.all(["a", "b", "c"].map((name) => shell(`echo up; sleep 300`, `${installation}.turn.${name}`)));
  await Promise.all(all.map((tree) => lines(tree.child.stdout, 1)));

  assert.deepEqual(await trees.endAll(), []);

  for (const tree of all) assert.equal((await tree.ended).signal, "SIGTERM");
});

test("without /proc the leader's group is still ended, also when the leader has gone", async (t) => {
  const { trees, shell } = setup(t, { procDir: "/nowhere" });
  const tree = await shell(`trap "" TERM; sh -c 'echo up; while :; do sleep 1; done' & while :; do sleep 1; done`);
  await lines(tree.child.stdout, 1);

  assert.deepEqual(await trees.endMarked(tree.mark, { graceMs: 20 }), []);

  assert.equal((await tree.ended).signal, "SIGKILL");
  assert.throws(() => process.kill(-tree.child.pid!, 0), { code: "ESRCH" });
});
