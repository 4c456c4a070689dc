/**
 * Real repositories and the real rooms that work on them, without a gateway around: for tests of
 * workspaces and merges. Everything lies below one folder, which is gone when the test is over.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { systemRandom } from "../../src/base/ids.ts";
import { makeLog } from "../../src/base/log.ts";
import { makeProcessTree } from "../../src/base/process-tree.ts";
import type { Setting, Settings } from "../../src/base/setting.ts";
import { MergeQueue, type MergeQueueDeps } from "../../src/merges/queue.ts";
import { openStoreInProcess } from "../../src/store/sqlite/open-in-process.ts";
import type { Store } from "../../src/store/store.ts";
import { makeRunLine } from "../../src/tools/run-line.ts";
import { Git } from "../../src/workspaces/git.ts";
import { Repository } from "../../src/workspaces/repository.ts";
import { Worktrees } from "../../src/workspaces/worktrees.ts";

const PATH = "/usr/local/bin:/usr/bin:/bin";

/** What a person's own git does, without the machine's configuration. */
export function git(dir: string, ...words: string[]): string {
  const env = { PATH, HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1", GIT_AUTHOR_NAME: "Ann", GIT_AUTHOR_EMAIL: "ann@example.org", GIT_COMMITTER_NAME: "Ann", GIT_COMMITTER_EMAIL: "ann@example.org" };
  return execFileSync("git", ["-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false", ...words], { cwd: dir, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trimEnd();
}

export function write(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

export function makeRepository(dir: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(dir, { recursive: true });
  git(dir, "init", "-q");
  write(dir, files);
  git(dir, "add", "-A");
  git(dir, "commit", "-qm", "chore: project setup");
  return dir;
}

export interface Yard {
  readonly dir: string;
  readonly repository: string;
  readonly store: Store;
  readonly worktrees: Worktrees;
  readonly merges: MergeQueue;
  /** Lets go, and opens the same rows again, as a new gateway does. */
  reopen(): Promise<void>;
  close(): Promise<void>;
}

export interface YardOptions {
  /** An existing folder; it is then not removed. */
  readonly dir?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly help?: MergeQueueDeps["help"];
  readonly reads?: MergeQueueDeps["reads"];
  readonly news?: MergeQueueDeps["news"];
}

/** A yard over one repository, `repository`, of one commit on `main`. */
export async function openYard(t: Pick<TestContext, "after"> | null, options: YardOptions = {}): Promise<Yard> {
  const dir = options.dir ?? realpathSync(mkdtempSync(join(tmpdir(), "yard-git-")));
  const repository = join(dir, "repository");
  if (options.dir === undefined) makeRepository(repository, options.files ?? { "readme.md": "hello\n" });
  const clock = systemClock;
  const random = systemRandom;
  const log = makeLog(clock, "error", (line) => process.stderr.write(line));
  const settings: Settings = { get: <T>(setting: Setting<T>) => (options.settings?.[setting.key] as T | undefined) ?? (setting.key === "workspaces.freeBytesMin" ? (0 as T) : setting.fallback), isSet: () => false, onChange: () => () => {} };

  const open = async () => {
    const { store } = openStoreInProcess({ file: join(dir, "yard.sqlite"), clock, random });
    const processes = makeProcessTree({ clock, log, record: () => {}, forget: () => {} });
    const installation = `test${process.pid}${dir.slice(-6)}`;
    const git = new Git({ clock, random, processes, installation, path: PATH });
    const runLine = makeRunLine({ clock, random, processes, installation, environment: { PATH, HOME: dir } });
    const worktrees = new Worktrees({ store, git, repositoryAt: (commonDir) => new Repository(git, commonDir), settings, clock, random, log, runLine, root: join(dir, "workspaces") });
    const merges = new MergeQueue({ store, worktrees, settings, clock, random, log, help: options.help ?? (() => null), reads: options.reads ?? (() => []), news: options.news ?? (() => {}) });
    await worktrees.start();
    await merges.start();
    const close = async (): Promise<void> => {
      await merges.stop();
      await worktrees.stop();
      await processes.endAll();
      await store.close();
    };
    return { store, worktrees, merges, close };
  };
  let rooms = await open();
  const yard: Yard = {
    dir,
    repository,
    get store() { return rooms.store; },
    get worktrees() { return rooms.worktrees; },
    get merges() { return rooms.merges; },
    async reopen() {
      await rooms.close();
      rooms = await open();
    },
    close: () => rooms.close(),
  };
  t?.after(async () => {
    await yard.close();
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
  });
  return yard;
}
