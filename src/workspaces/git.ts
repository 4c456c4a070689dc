/**
 * Every call of git, hardened: nothing that a repository names is run.
 *
 *     Place { commonDir, gitDir, workTree }   found once, then pinned by the environment of each call,
 *                                             so a `.git` file or `core.worktree` that changes later leads nowhere
 *
 * Always true:
 *   - no hook, filter, merge or diff driver, monitor, pager, editor, credential helper, signer or transport
 *     runs: settings that name one are overridden for every call, and those whose names the repository
 *     chooses are read first and overridden one by one
 *   - system and global configuration, attributes files and replace refs are not read
 *   - no call goes into a submodule, or asks anybody anything
 *   - a call ends within its time limit and keeps a bounded amount of output
 *
 * Refuses: a shell. Each call is a list of words.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { IdMaker, type RandomBytes } from "../base/ids.ts";
import { MARK_VARIABLE } from "../base/process-table.ts";
import type { ProcessTree } from "../base/process-tree.ts";
import { Fault } from "../model/faults.ts";
import { GATEWAY_AUTHOR } from "../model/workspace.ts";

/** How long a call may take when it names no limit, milliseconds. */
const TIMEOUT_MS = 60_000;
/** From SIGTERM, at which git takes its lock files away, to SIGKILL, milliseconds. */
const GRACE_MS = 2000;
/** How much output a call may give, bytes; a call that gives more fails. */
const OUTPUT_MAX_BYTES = 64_000_000;
const ERROR_MAX_CHARS = 2000;
/** How long git itself waits for a lock of refs that an agent's own git holds, milliseconds. */
const REF_LOCK_WAIT_MS = "5000";

/** What is used came in 2.38 (`merge-tree --write-tree`); what is older lacks mends of holes besides. */
const GIT_MIN = [2, 39] as const;

export interface Place {
  /** Where refs and objects are, absolute. */
  readonly commonDir: string;
  /** Where HEAD and index are: the common directory itself, or that of a worktree. */
  readonly gitDir: string;
  /** Null = calls that touch no files. */
  readonly workTree: string | null;
}

export interface GitCall {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Exit codes besides 0 that are answers. */
  readonly answers?: readonly number[];
}

export interface GitAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly bytes: Buffer;
}

const FIXED: readonly (readonly [string, string])[] = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.untrackedCache", "false"],
  ["core.attributesFile", "/dev/null"],
  ["core.excludesFile", "/dev/null"],
  ["core.sshCommand", "false"],
  ["core.gitProxy", ""],
  ["core.askPass", ""],
  ["core.pager", "cat"],
  ["core.editor", "false"],
  ["core.alternateRefsCommand", ""],
  ["core.bare", "false"],
  ["core.filesRefLockTimeout", REF_LOCK_WAIT_MS],
  ["core.packedRefsTimeout", REF_LOCK_WAIT_MS],
  ["core.quotePath", "false"],
  ["protocol.allow", "never"],
  ["protocol.file.allow", "never"],
  ["protocol.ext.allow", "never"],
  ["diff.external", ""],
  ["diff.ignoreSubmodules", "all"],
  ["diff.orderFile", "/dev/null"],
  ["diff.renames", "false"],
  ["credential.helper", ""],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
  ["submodule.recurse", "false"],
  ["commit.gpgSign", "false"],
  ["tag.gpgSign", "false"],
  ["gpg.program", "false"],
  ["log.showSignature", "false"],
  ["merge.renames", "true"],
  ["i18n.commitEncoding", "UTF-8"],
  ["i18n.logOutputEncoding", "UTF-8"],
];

const ENVIRONMENT: Readonly<Record<string, string>> = {
  HOME: "/nonexistent",
  XDG_CONFIG_HOME: "/nonexistent",
  LC_ALL: "C",
  TZ: "UTC",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "false",
  GIT_SSH_COMMAND: "false",
  GIT_EDITOR: "false",
  GIT_PAGER: "cat",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_NO_LAZY_FETCH: "1",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_LITERAL_PATHSPECS: "1",
  GIT_AUTHOR_NAME: GATEWAY_AUTHOR,
  GIT_AUTHOR_EMAIL: "yard@localhost",
  GIT_COMMITTER_NAME: GATEWAY_AUTHOR,
  GIT_COMMITTER_EMAIL: "yard@localhost",
};

/** Settings whose name the repository chooses and whose value is a command; what stands in for it. */
const NAMED: readonly (readonly [RegExp, string])[] = [
  // An empty filter is none. An empty merge driver would take one side in silence, so that one fails: a conflict.
  [/^filter\..*\.(clean|smudge|process)$/s, ""],
  [/^filter\..*\.required$/s, "false"],
  [/^merge\..*\.driver$/s, "false"],
  [/^diff\..*\.(command|textconv)$/s, ""],
];

interface Deps {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly processes: Pick<ProcessTree, "sweep">;
  /** The first part of every mark. */
  readonly installation: string;
  /** Where git is looked for. */
  readonly path: string;
}

export class Git {
  readonly #deps: Deps;
  readonly #ids: IdMaker;
  readonly #marks: string;
  readonly #scratch: string;
  readonly #running = new Set<ChildProcess>();
  /** By git directory: the overrides, while the files that they were read from are the same. */
  readonly #overrides = new Map<string, { readonly seen: string; readonly overrides: readonly (readonly [string, string])[] }>();
  #stopped = false;
  /** Resolves when git was found to be new enough. */
  #known: Promise<void> | null = null;

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#ids = new IdMaker(deps.random);
    this.#marks = `${deps.installation}-git`;
    this.#scratch = `yard-${deps.installation}-`;
  }

  /** A name for a passing file or folder beside a repository's own: in use nowhere, and known as this installation's by {@link isScratch}. */
  scratchName(): string {
    return `${this.#scratch}${this.#ids.bare()}`;
  }

  /** Whether it was made by this installation, also by an earlier gateway of it. */
  isScratch(name: string): boolean {
    return name.startsWith(this.#scratch);
  }

  /** Ends what a killed gateway left running, so that nothing works beside us. */
  async start(): Promise<void> {
    await this.#deps.processes.sweep(this.#marks);
  }

  /** Ends running calls; they fail. */
  stop(): void {
    this.#stopped = true;
    for (const child of this.#running) child.kill("SIGTERM");
  }

  /** The repository that a folder lies in. @throws {Fault} NOT_A_REPOSITORY, GIT_MISSING. */
  async find(folder: string): Promise<Place> {
    // The only call that lets git look for a repository itself; it reads configuration and runs nothing.
    await (this.#known ??= this.#checkVersion().catch((cause: unknown) => {
      this.#known = null;
      throw cause;
    }));
    const call = await this.#spawn(folder, ["rev-parse", "--path-format=absolute", "--git-common-dir", "--git-dir", "--show-toplevel"], FIXED, {}).catch(() => null);
    const [commonDir, gitDir, workTree] = call?.code === 0 ? call.stdout.split("\n") : [];
    if (!commonDir || !gitDir || !workTree) throw new Fault("NOT_A_REPOSITORY", { folder });
    return { commonDir, gitDir, workTree };
  }

  /** @throws {Fault} GIT_MISSING */
  async #checkVersion(): Promise<void> {
    const { stdout } = await this.#spawn("/", ["version"], FIXED, {}).catch(() => ({ stdout: "none" }));
    const [major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(stdout)?.slice(1).map(Number) ?? [];
    if (major < GIT_MIN[0] || (major === GIT_MIN[0] && minor < GIT_MIN[1])) throw new Fault("GIT_MISSING", { needed: GIT_MIN.join("."), found: stdout.trim() });
  }

  /** @throws {Fault} GIT_FAILED: another exit code than 0 and `answers`, over time, or too much output. */
  async run(place: Place, words: readonly string[], call: GitCall = {}): Promise<GitAnswer> {
    const env = { GIT_DIR: place.gitDir, GIT_COMMON_DIR: place.commonDir, ...(place.workTree === null ? {} : { GIT_WORK_TREE: place.workTree }), ...call.env };
    const overrides = await this.#overridesOf(place, env);
    const answer = await this.#spawn(place.workTree ?? place.commonDir, words, [...FIXED, ...overrides], { ...call, env });
    if (answer.code !== 0 && !call.answers?.includes(answer.code)) throw failed(words, answer.stderr || `it ended with ${answer.code}`);
    return answer;
  }

  /** Standard output without the last line break. */
  async text(place: Place, words: readonly string[], call?: GitCall): Promise<string> {
    return (await this.run(place, words, call)).stdout.replace(/\n$/, "");
  }

  /** Fields that end in NUL. */
  async fields(place: Place, words: readonly string[], call?: GitCall): Promise<string[]> {
    return (await this.run(place, words, call)).stdout.split("\0").slice(0, -1);
  }

  /** All settings of the repository itself, as `key\nvalue`, with those of included files. */
  async configuration(place: Place): Promise<readonly string[]> {
    const env = { GIT_DIR: place.gitDir, GIT_COMMON_DIR: place.commonDir };
    const answer = await this.#spawn(place.commonDir, ["config", "--includes", "--list", "-z"], [], { env });
    if (answer.code !== 0) throw failed(["config"], answer.stderr);
    return answer.stdout.split("\0").slice(0, -1);
  }

  async #overridesOf(place: Place, env: Readonly<Record<string, string>>): Promise<readonly (readonly [string, string])[]> {
    const files = [join(place.commonDir, "config"), join(env["GIT_DIR"]!, "config.worktree")];
    const seen = (await Promise.all(files.map((file) => stat(file, { bigint: true }).then(({ ino, size, mtimeNs, ctimeNs }) => `${ino} ${size} ${mtimeNs} ${ctimeNs}`, () => "none")))).join(", ");
    const known = this.#overrides.get(place.gitDir);
    if (known?.seen === seen) return known.overrides;
    const keys = (await this.configuration(place)).map((line) => line.split("\n", 1)[0]!);
    const overrides = keys.flatMap((key) => NAMED.filter(([pattern]) => pattern.test(key)).map(([, value]) => [key, value] as const));
    // What another file says can change without a trace in these two.
    if (keys.some((key) => /^include(if)?\./.test(key))) this.#overrides.delete(place.gitDir);
    else this.#overrides.set(place.gitDir, { seen, overrides });
    return overrides;
  }

  #spawn(cwd: string, words: readonly string[], settings: readonly (readonly [string, string])[], call: GitCall): Promise<GitAnswer & { readonly stderr: string }> {
    const { clock, path } = this.#deps;
    if (this.#stopped) throw failed(words, "the gateway is stopping");
    const env: Record<string, string> = { ...ENVIRONMENT, PATH: path, [MARK_VARIABLE]: `${this.#marks}.${this.#ids.bare()}`, ...call.env, GIT_CONFIG_COUNT: String(settings.length) };
    for (const [n, [key, value]] of settings.entries()) {
      env[`GIT_CONFIG_KEY_${n}`] = key;
      env[`GIT_CONFIG_VALUE_${n}`] = value;
    }
    return new Promise((resolve, reject) => {
      const child = spawn("git", ["--no-pager", ...words], { cwd, env, stdio: "pipe" });
      this.#running.add(child);
      const out: Buffer[] = [];
      let outBytes = 0;
      let stderr = "";
      let over: string | null = null;
      let disarm = clock.after(call.timeoutMs ?? TIMEOUT_MS, () => end(`it took longer than ${call.timeoutMs ?? TIMEOUT_MS} ms`));
      const end = (why: string): void => {
        over ??= why;
        child.kill("SIGTERM");
        disarm();
        disarm = clock.after(GRACE_MS, () => child.kill("SIGKILL"));
      };
      child.stdout.on("data", (chunk: Buffer) => {
        outBytes += chunk.length;
        if (outBytes > OUTPUT_MAX_BYTES) end(`it gave more than ${OUTPUT_MAX_BYTES} bytes`);
        else out.push(chunk);
      });
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr = (stderr + chunk).slice(-ERROR_MAX_CHARS)));
      // git may end without reading its input.
      child.stdin.on("error", () => {});
      child.stdin.end(call.input);
      child.once("error", (cause) => {
        disarm();
        this.#running.delete(child);
        reject(failed(words, cause.message));
      });
      child.once("close", (code) => {
        disarm();
        this.#running.delete(child);
        if (over !== null || code === null) return reject(failed(words, over ?? "it was ended"));
        const bytes = Buffer.concat(out);
        resolve({ code, bytes, stderr: stderr.trim(), get stdout() { return bytes.toString("utf8"); } });
      });
    });
  }
}

function failed(words: readonly string[], problem: string): Fault {
  return new Fault("GIT_FAILED", { command: words[0]!, problem });
}
