/** Paths that a model wrote, in a tree with links to everywhere, held against what the system itself makes of them. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { systemRandom } from "../../src/base/ids.ts";
import { readWhole, Workspace } from "../../src/tools/confine.ts";
import { nastyText } from "./hostile.ts";
import { expectFault, target } from "./target.ts";

const NAMES = ["a", "b", "sub", "deep", "f.txt", "in", "out", "abs-in", "abs-out", "loop", "up", "chain", "dangling", "self", "..", "..", ".", "", "new", "outside", "secret.txt", "root"];
const path = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.constantFrom(...NAMES), { maxLength: 8 }).map((names) => names.join("/")) },
  { weight: 2, arbitrary: fc.array(fc.oneof(fc.constantFrom(...NAMES), nastyText), { maxLength: 4 }).map((names) => names.join("/")) },
  { weight: 1, arbitrary: fc.array(fc.constantFrom(...NAMES), { maxLength: 5 }).map((names) => ["$ROOT", ...names].join("/")) },
  { weight: 1, arbitrary: fc.constantFrom("a/".repeat(3000), "../".repeat(500), "loop/".repeat(300), "x".repeat(300), "/etc/passwd", "/proc/self/root/etc/passwd") },
);

function makeTree() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "yard-fuzz-paths-")));
  const root = join(folder, "root");
  const outside = join(folder, "outside");
  const build = (): void => {
    rmSync(root, { recursive: true, force: true });
    rmSync(outside, { recursive: true, force: true });
    mkdirSync(join(root, "a/sub/deep"), { recursive: true });
    mkdirSync(join(root, "b"));
    mkdirSync(outside);
    writeFileSync(join(outside, "secret.txt"), "OUTSIDE");
    for (const place of ["f.txt", "a/f.txt", "a/sub/deep/f.txt", "b/f.txt"]) writeFileSync(join(root, place), place);
    const link = (to: string, at: string): void => symlinkSync(to, join(root, at));
    link("a/sub", "in");
    link("../outside", "out");
    link(join(root, "b"), "abs-in");
    link(outside, "abs-out");
    link("loop", "loop");
    link("..", "a/up");
    link("../in/deep", "b/chain");
    link("nowhere", "dangling");
    link(".", "self");
    link("../../outside/secret.txt", "a/out");
  };
  build();
  return { folder, root, outside, build };
}

const reading = target({
  name: "paths-read",
  fact: "a path reaches just what the system says it means, if that and the way to it lie in the workspace",
  share: 2,
  async open() {
    const tree = makeTree();
    const spaces = [await Workspace.open(tree.root, systemRandom), await Workspace.open(tree.root, systemRandom, { openat: false })];
    return {
      close: () => rmSync(tree.folder, { recursive: true, force: true }),
      inputs: fc.record({ path, openat: fc.boolean() }),
      async check({ path: written, openat }) {
        const given = written.replace("$ROOT", tree.root);
        const workspace = spaces[openat ? 0 : 1]!;
        const real = realOf(tree.root, given);
        let found: string | null = null;
        try {
          const file = await workspace.openFile(given);
          try {
            found = (await readWhole(file, 1000))!.toString();
            assert.ok(real !== null && (real === tree.root || real.startsWith(`${tree.root}/`)), `${given} is ${real}`);
            assert.equal(file.stats.ino, statSync(real!).ino);
            assert.notEqual(found, "OUTSIDE");
          } finally {
            await file.handle.close();
          }
        } catch (thrown) {
          expectFault(thrown);
          assert.equal(thrown.code, "PATH_REFUSED");
        }
        const mayBeRead = real !== null && real.startsWith(`${tree.root}/`) && statSync(real).isFile() && staysInside(tree.root, given);
        if (mayBeRead) assert.equal(found, readFileSync(real, "utf8"), `${given} may be read`);
      },
    };
  },
});

const writing = target({
  name: "paths-write",
  fact: "a file is written in the workspace and nowhere else",
  share: 0.5,
  async open() {
    const tree = makeTree();
    const workspace = await Workspace.open(tree.root, systemRandom);
    let runs = 0;
    return {
      close: () => rmSync(tree.folder, { recursive: true, force: true }),
      inputs: path,
      async check(written) {
        if (++runs % 50 === 0) tree.build();
        const given = written.replace("$ROOT", tree.root);
        try {
          await workspace.replaceFile(given, Buffer.from("written"));
          const real = realOf(tree.root, given.replace(/[/.]*$/, "")) ?? realOf(tree.root, given);
          if (real !== null) {
            assert.ok(real.startsWith(`${tree.root}/`), `${given} was written to ${real}`);
            assert.equal(readFileSync(real, "utf8"), "written");
          }
        } catch (thrown) {
          expectFault(thrown);
          assert.equal(thrown.code, "PATH_REFUSED");
        }
        assert.deepEqual(readdirSync(tree.outside), ["secret.txt"]);
        assert.equal(readFileSync(join(tree.outside, "secret.txt"), "utf8"), "OUTSIDE");
        assert.deepEqual(readdirSync(tree.folder).sort(), ["outside", "root"]);
      },
    };
  },
});

/** What the system itself makes of a path; null when it is nothing. A slash at the end of a file's name is forgiven. */
function realOf(root: string, given: string): string | null {
  try {
    return realpathSync.native((given.startsWith("/") ? given : `${root}/${given}`).replace(/(?:\/\.?)+$/, ""));
  } catch {
    return null;
  }
}

/** False when the way to a path leads out of the workspace, also when it comes back, or the path is one that is refused by its looks. */
function staysInside(root: string, given: string): boolean {
  if (given.length > 4096 || given.startsWith("~") || given.startsWith("\\\\")) return false;
  const inside = given.startsWith("/") ? (given.startsWith(`${root}/`) ? given.slice(root.length + 1) : null) : given;
  if (inside === null) return false;
  const names = inside.split("/").filter((name) => name !== "" && name !== ".");
  if (names.length > 30) return false;
  return names.every((_name, index) => {
    const real = realOf(root, names.slice(0, index + 1).join("/"));
    return real !== null && (real === root || real.startsWith(`${root}/`));
  });
}

export const PATH_TARGETS = [reading, writing];
