/**
 * The sandbox: a harness in it reads no credentials of the person and nothing of the gateway, writes only where
 * it works, and reaches only the hosts that it needs.
 *
 *     untried ──first need──▶ trying ──canary stayed inside──▶ works
 *                               └──anything got out, or nothing runs──▶ broken, with the reason
 *
 * It is `@anthropic-ai/sandbox-runtime` (bubblewrap on Linux, Seatbelt on macOS) in a process of its own around
 * each harness, so that nothing of it lives in this one. It is believed only after a canary was tried in it.
 *
 * In it, the ports of this machine that the harness needs (the session tools, a local model) are forwarded; no other is there.
 */
import { createServer } from "node:net";
import { existsSync, readFileSync } from "node:fs";
import { lstat, mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../base/clock.ts";
import { IdMaker, type RandomBytes } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { ProcessTree } from "../../base/process-tree.ts";
import type { HarnessSpec, SandboxState } from "../../model/harness.ts";

const RUNTIME = "@anthropic-ai/sandbox-runtime";
/** The longest that trying it may take, milliseconds. */
const TRY_MAX_MS = 20_000;
const GRACE_MS = 500;
const OUTPUT_MAX_CHARS = 2_000;
/** Where its HTTP proxy is, inside. */
const PROXY_PORT = 3128;
/** Below the home folder: what holds credentials. */
const SECRET_PLACES = [".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".password-store"];

/** Names in the folder that it works in which the sandbox closes although they are not there; it makes an empty one to close. */
const LEFT_BEHIND = [".gitconfig", ".gitmodules", ".bashrc", ".bash_profile", ".zshrc", ".zprofile", ".profile", ".ripgreprc", ".mcp.json", ".vscode", ".idea", ".claude/commands", ".claude/agents", ".claude"];

export interface SandboxPlace {
  readonly spec: HarnessSpec;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The session's own folder, which it may read and write. */
  readonly folder: string;
  /** How its files beside the folder begin: the folder, and for a second process of the session more. */
  readonly name: string;
  /** Of this machine, e.g. the gateway's own. */
  readonly ports: readonly number[];
}

export interface Sandbox {
  /** What is known so far. */
  readonly state: SandboxState;
  /** Tries it, the first time that it is asked; the answer holds as long as this gateway lives. Never rejects. */
  tried(): Promise<SandboxState>;
  /** Removes the empty files that it leaves in a folder where it closed a name that was not there. Never rejects. */
  clean(place: Pick<SandboxPlace, "name" | "cwd">): Promise<void>;
  /** The command line that runs `argv` inside. Only after {@link tried} said that it works. */
  around(argv: readonly [string, ...string[]], place: SandboxPlace): Promise<[string, ...string[]]>;
}

export interface SandboxDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: RandomBytes;
  readonly processes: ProcessTree;
  readonly installation: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The state directory, closed to everything inside. */
  readonly stateDir: string;
}

export function makeSandbox(deps: SandboxDeps): Sandbox {
  const { log, stateDir, environment } = deps;
  const home = environment["HOME"] ?? "/";
  let state: SandboxState = { at: "untried" };
  let trying: Promise<SandboxState> | null = null;
  return {
    get state() {
      return state;
    },
    tried() {
      trying ??= tryIt().then((found) => {
        log.info("sandbox.tried", { state: found.at, ...(found.at === "broken" ? { why: found.why } : {}) });
        return (state = found);
      });
      return trying;
    },
    around: (argv, place) => wrapped(argv, place),
    async clean({ name: beside, cwd }) {
      const names = await readFile(`${beside}.sandbox.made`, "utf8").catch(() => "");
      for (const name of names.split("\n").filter((one) => LEFT_BEHIND.includes(one))) {
        const path = join(cwd, name);
        const found = await lstat(path).catch(() => null);
        if (found?.isFile() === true && found.size === 0) await rm(path, { force: true }).catch(() => {});
        else if (found?.isDirectory() === true) await rmdir(path).catch(() => {});
      }
      await rm(`${beside}.sandbox.made`, { force: true }).catch(() => {});
    },
  };

  async function tryIt(): Promise<SandboxState> {
    const name = `sandbox-${new IdMaker(deps.random).bare()}`;
    const folder = join(stateDir, name);
    const outside = join(tmpdir(), `yard-${name}`);
    const server = createServer((socket) => socket.destroy()).on("error", () => {});
    try {
      runtime();
      await mkdir(join(folder, "inside"), { recursive: true, mode: 0o700 });
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      const { port } = server.address() as { port: number };
      const [secret, inside] = [join(folder, "secret"), join(folder, "inside", "file")];
      await writeFile(secret, "canary", { mode: 0o600 });
      const place = { folder: join(folder, "inside"), name: join(folder, "inside"), cwd: join(folder, "inside"), env: {}, ports: [], spec: { hosts: [], writes: [] } };
      const said = await run(await wrapped([process.execPath, "-e", CANARY, secret, outside, inside, String(port)], place), folder);
      // Looked at from here: what is closed is shown inside as an empty folder, where writing goes nowhere.
      if (existsSync(outside)) return { at: "broken", why: "it does not hold: in it a program could write outside of its folder" };
      if (said === "inside") return { at: "works" };
      return { at: "broken", why: said.startsWith("out") ? `it does not hold: in it a program could ${said.replace("out ", "")}` : `nothing runs in it: ${said === "" ? "no answer" : said}` };
    } catch (cause) {
      return { at: "broken", why: (cause as Error).message };
    } finally {
      server.close();
      for (const path of [folder, outside]) await rm(path, { recursive: true, force: true });
    }
  }

  async function run(argv: [string, ...string[]], cwd: string): Promise<string> {
    const mark = `${deps.installation}.sandbox.${new IdMaker(deps.random).bare()}`;
    const tree = await deps.processes.start({ mark, argv, cwd, env: environment, stdin: "ignore" });
    let said = "";
    let complaint = "";
    tree.child.stdout.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(0, OUTPUT_MAX_CHARS))).on("error", () => {});
    tree.child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint = (complaint + text).slice(-OUTPUT_MAX_CHARS))).on("error", () => {});
    const disarm = deps.clock.after(TRY_MAX_MS, () => void deps.processes.endMarked(mark, { graceMs: GRACE_MS }));
    await tree.ended;
    disarm();
    return said.trim() || complaint.trim().split("\n").at(-1)!;
  }

  async function wrapped(argv: readonly [string, ...string[]], { spec, cwd, env, folder, name, ports }: Omit<SandboxPlace, "spec"> & { readonly spec: Pick<HarnessSpec, "hosts" | "writes"> }): Promise<[string, ...string[]]> {
    const named = addressesIn(env);
    const open = [...new Set([...ports, ...named.ports])];
    const temporary = join(folder, "tmp");
    await mkdir(temporary, { recursive: true, mode: 0o700 });
    const own = env["HOME"] ?? home;
    for (const name of spec.writes) await mkdir(join(own, name), { recursive: true, mode: 0o700 });
    const repository = repositoryOf(cwd);
    const secret = [...new Set([...SECRET_PLACES.flatMap((name) => [join(home, name), join(own, name)]), stateDir])];
    const rules = {
      network: { allowedDomains: [...new Set([...spec.hosts, ...named.hosts, ...open.map((port) => `127.0.0.1:${port}`)])], deniedDomains: [] },
      filesystem: {
        denyRead: secret.filter((path) => existsSync(path)),
        allowRead: [cwd, folder],
        allowWrite: [cwd, folder, temporary, ...spec.writes.map((name) => join(own, name)), ...(repository === null ? [] : [repository])].filter((path) => existsSync(path)),
        denyWrite: repository === null ? [] : [join(repository, "hooks"), join(repository, "config")].filter((path) => existsSync(path)),
      },
    };
    // Beside the folder and not in it: what runs inside cannot change it for the next time.
    const file = `${name}.sandbox.json`;
    await writeFile(file, JSON.stringify(rules), { mode: 0o600 });
    await writeFile(`${name}.sandbox.made`, LEFT_BEHIND.filter((name) => !existsSync(join(cwd, name))).join("\n"), { mode: 0o600 });
    const script = [...(process.platform === "linux" ? open.map(forward) : []), 'TMPDIR="$1" NODE_USE_ENV_PROXY=1; export TMPDIR NODE_USE_ENV_PROXY; shift; exec "$@"'].join("\n");
    return [process.execPath, runtime(), "--settings", file, "--", "/bin/sh", "-c", script, "sh", temporary, ...argv];
  }
}

/** @throws {Error} it is not installed. @returns its command line program. */
function runtime(): string {
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(RUNTIME))), "cli.js");
  } catch {
    throw new Error(`the package ${RUNTIME} is not installed; install the gateway again`);
  }
}

/** Tries to get out in each way, and says what it could; "inside" when only what is allowed went. */
const CANARY = `
const fs = require("node:fs"), net = require("node:net");
const [secret, outside, inside, port] = process.argv.slice(1);
const out = [];
const attempt = (what, work) => { try { work(); out.push(what); } catch {} };
attempt("read a file that is closed to it", () => fs.readFileSync(secret));
try { fs.writeFileSync(outside, "x"); } catch {}
fs.writeFileSync(inside, "x");
const end = () => { process.stdout.write(out.length === 0 ? "inside" : "out " + out.join(" and ")); process.exit(0); };
net.connect({ host: "127.0.0.1", port: Number(port) }).on("connect", () => { out.push("reach the machine's network"); end(); }).on("error", end);
setTimeout(end, 3000);
`;

/** A port of this machine, at the same number inside, by way of the sandbox's own proxy. */
function forward(port: number): string {
  const credentials = String.raw`$(printf %s "\${HTTP_PROXY#http://}" | sed 's/@[^@]*$//; s/%3D/=/g; s/%2B/+/g; s/%2F/\//g')`.replaceAll("\\$", "$");
  return `socat TCP4-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr "PROXY:localhost:127.0.0.1:${port},proxyport=${PROXY_PORT},proxyauth=${credentials}" >/dev/null 2>&1 </dev/null &`;
}

/** Where the harness is told to go by its own settings. */
function addressesIn(env: Readonly<Record<string, string>>): { hosts: readonly string[]; ports: readonly number[] } {
  const found = Object.values(env).flatMap((value) => [...value.matchAll(/https?:\/\/([A-Za-z0-9.-]+)(?::(\d{1,5}))?/g)]);
  const isHere = (host: string): boolean => host === "localhost" || host === "127.0.0.1";
  return {
    hosts: found.flatMap(([, host = ""]) => (isHere(host) ? [] : [host])),
    ports: found.flatMap(([, host = "", port]) => (isHere(host) && port !== undefined ? [Number(port)] : [])),
  };
}

/** The git folder that a worktree shares with its repository; null where everything is in the folder itself. */
function repositoryOf(cwd: string): string | null {
  try {
    const at = /^gitdir: (.+)$/m.exec(readFileSync(join(cwd, ".git"), "utf8"))?.[1];
    const common = at === undefined ? null : resolve(cwd, at, "..", "..");
    return common !== null && existsSync(join(common, "objects")) ? common : null;
  } catch {
    return null;
  }
}
