/** `bin/yard.mjs` as a process, under this Node and, where the machine has one, under an older one. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../../bin/yard.mjs", import.meta.url));

function olderNode(): string | null {
  const found = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => {
    const major = Number(/^v(\d+)/.exec(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout ?? "")?.[1]);
    return major >= 18 && major < 24;
  });
  return found ?? null;
}

const nodes = [process.execPath, olderNode()].filter((path) => path !== null);

function home(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "yard-launcher-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "logs"));
  writeFileSync(join(folder, "logs", "gateway.log"), "a line\n");
  return folder;
}

for (const node of nodes) {
  const which = node === process.execPath ? "its own Node" : "an older Node";

  test(`under ${which}: output, exit codes and warnings are those of the program`, (t) => {
    const run = (...words: string[]) => spawnSync(node, [LAUNCHER, ...words], { encoding: "utf8", env: { ...process.env, YARD_HOME: home(t) } });
    const version = run("version");
    assert.deepEqual([version.status, version.stderr], [0, ""]);
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal(run("nope").status, 2);
    assert.equal(run("lanes").status, 3);
  });

  test(`under ${which}: a signal that ends the program ends the launcher in the same way`, async (t) => {
    const child = spawn(node, [LAUNCHER, "logs", "--follow"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, YARD_HOME: home(t) } });
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [null, "SIGTERM"]);
  });

  test(`under ${which}: when the launcher is killed no program stays behind`, async (t) => {
    const child = spawn(node, [LAUNCHER, "logs", "--follow"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, YARD_HOME: home(t) } });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    // The pipe closes when the last process that holds it is gone.
    await once(child.stdout, "close");
  });
}
