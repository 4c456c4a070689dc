/**
 * One tool server: kept connected for as long as it is set up.
 *
 *     connecting ──greeted──▶ ready ──connection lost──▶ broken ──pause over──▶ connecting
 *          └──────failed────────────────────────────────▶ broken
 *     any ──end──▶ ended
 *
 * The pause doubles with each failure in a row and is back at its shortest after a while of good work.
 * While a server is broken its tools are still offered, as they were last listed: a call waits a
 * moment for it to come back and then says truthfully that it is not there.
 */
import { mkdir } from "node:fs/promises";
import { sleep } from "../../base/clock.ts";
import type { RandomBytes } from "../../base/ids.ts";
import type { JsonObject } from "../../base/json.ts";
import type { Log } from "../../base/log.ts";
import { makeRedactor } from "../../base/redact.ts";
import type { Tool, ToolContext, ToolOutcome } from "../../model/tool.ts";
import type { ServerView } from "../../model/tool-server.ts";
import { findProgram } from "./find-program.ts";
import type { CallEnd, Link, LinkDeps, Start } from "./link.ts";
import { readListing, type ListedTool, type Listing } from "./listing.ts";
import { outcomeOf } from "./result-text.ts";
import type { ServerSetup } from "./settings.ts";

const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 60_000;
/** A connection that held this long was a good one. */
const GOOD_AFTER_MS = 60_000;
/** How long a call waits for a broken server to come back. */
const COMEBACK_MAX_MS = 5_000;
/** Calls under way at once; more are refused, not queued: a model can ask again. */
const CALLS_MAX = 32;
/** The list is read again at most this often. */
const RELIST_PAUSE_MS = 500;
const PROBLEM_CHARACTERS_MAX = 1_000;

export interface ServerDeps extends LinkDeps {
  readonly random: RandomBytes;
  readonly log: Log;
  /** The first part of every process's mark. */
  readonly installation: string;
  /** Where a server without a `cwd` runs: a folder of its own below this one. */
  readonly folder: string;
}

type State =
  | { readonly at: "connecting"; readonly since: number }
  | { readonly at: "ready"; readonly since: number; readonly link: Link }
  | { readonly at: "broken"; readonly since: number; readonly problem: string; readonly retryAt: number }
  | { readonly at: "ended"; readonly since: number };

export class ToolServer {
  readonly setup: ServerSetup;
  /** Resolves when the first attempt to connect has ended, well or not. */
  readonly tried: Promise<void>;
  readonly #deps: ServerDeps;
  readonly #clean: (text: string) => string;
  readonly #ending = new AbortController();
  readonly #done: Promise<void>;
  readonly #waiters = new Set<() => void>();
  #state: State;
  #listing: Listing = { tools: [], leftOut: [] };
  #tools: readonly Tool[] = [];
  #calls = 0;
  #starts = 0;
  #relisting = false;

  constructor(setup: ServerSetup, deps: ServerDeps) {
    this.setup = setup;
    this.#deps = deps;
    this.#clean = makeRedactor(Object.values(setup.reach.via === "stdio" ? setup.reach.env : setup.reach.headers));
    this.#state = { at: "connecting", since: deps.clock.now() };
    const tried = Promise.withResolvers<void>();
    this.tried = tried.promise;
    this.#done = this.#keep(tried.resolve);
  }

  /** As agents are offered them; the same objects until the list changes. */
  get tools(): readonly Tool[] {
    return this.#tools;
  }

  view(): ServerView {
    const { id, reach, timeoutSeconds, resultBytesMax } = this.setup;
    const state = this.#state;
    return {
      id,
      reach: reach.via === "stdio" ? { via: "stdio", command: [reach.command, ...reach.args].map(this.#clean) } : { via: "http", url: this.#clean(reach.url) },
      state: state.at,
      since: state.since,
      problem: state.at === "broken" ? state.problem : null,
      retryAt: state.at === "broken" ? state.retryAt : null,
      server: state.at === "ready" ? state.link.server : null,
      pid: state.at === "ready" ? state.link.pid : null,
      starts: this.#starts,
      timeoutSeconds,
      resultBytesMax,
      tools: this.#listing.tools.map(({ name, own, effect }) => ({ name, own, effect })),
      leftOut: this.#listing.leftOut,
    };
  }

  /** Ends the connection and its process; resolves when nothing of it is left. */
  async end(): Promise<void> {
    this.#ending.abort(new Error("the server was taken out of the settings, or the gateway stops"));
    await this.#done;
  }

  async #keep(tried: () => void): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#ending;
    let failures = 0;
    while (!signal.aborted) {
      this.#become({ at: "connecting", since: clock.now() });
      const startedMs = clock.monotonic();
      const problem = await this.#once(tried);
      if (signal.aborted) break;
      failures = clock.monotonic() - startedMs > GOOD_AFTER_MS ? 1 : failures + 1;
      const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** (failures - 1), PAUSE_MAX_MS);
      this.#become({ at: "broken", since: clock.now(), problem, retryAt: clock.now() + pauseMs });
      tried();
      log.warn("mcp.broken", { server: this.setup.id, problem, pauseMs });
      await sleep(clock, pauseMs, signal).catch(() => {}); // ended: the loop ends
    }
    this.#become({ at: "ended", since: clock.now() });
    tried();
  }

  /** One connection, from start to end. @returns why it is over. */
  async #once(tried: () => void): Promise<string> {
    const { clock, log } = this.#deps;
    const { signal } = this.#ending;
    let link: Link;
    try {
      this.#starts++;
      const { openLink } = await import("./link.ts");
      link = await openLink(this.setup, await this.#start(), this.#deps, () => void this.#relist(), signal);
    } catch (cause) {
      return this.#shown(cause instanceof Error ? cause.message : String(cause));
    }
    this.#list(link.tools);
    this.#become({ at: "ready", since: clock.now(), link });
    tried();
    log.info("mcp.ready", { server: this.setup.id, tools: this.#tools.length });
    const ended = Promise.withResolvers<string>();
    const onEnd = (): void => ended.resolve("");
    signal.addEventListener("abort", onEnd, { once: true });
    if (signal.aborted) onEnd();
    const why = await Promise.race([link.broken, ended.promise]);
    signal.removeEventListener("abort", onEnd);
    // Its process may take a while to end; whoever calls meanwhile waits for the next one.
    if (!signal.aborted) this.#become({ at: "connecting", since: clock.now() });
    await link.close();
    const said = link.takeStderr();
    return this.#shown(said === "" ? why : `${why}; it said: ${said}`);
  }

  async #start(): Promise<Start | null> {
    const { reach, id } = this.setup;
    if (reach.via === "http") return null;
    const { environment, folder, installation, random } = this.#deps;
    const cwd = reach.cwd ?? `${folder}/${id}`;
    if (reach.cwd === null) await mkdir(cwd, { recursive: true, mode: 0o700 });
    const program = await findProgram(reach.command, reach.env["PATH"] ?? environment["PATH"] ?? "", cwd);
    return { mark: `${installation}.mcp-${id}.${Buffer.from(random(8)).toString("hex")}`, argv: [program, ...reach.args], cwd };
  }

  #become(state: State): void {
    this.#state = state;
    for (const wake of [...this.#waiters]) wake();
  }

  #list(raw: readonly unknown[]): void {
    this.#listing = readListing(this.setup, raw);
    this.#tools = this.#listing.tools.map((tool) => this.#asTool(tool));
  }

  /** Takes up a changed list; many changes in a row are one. */
  async #relist(): Promise<void> {
    if (this.#relisting) return;
    this.#relisting = true;
    try {
      await sleep(this.#deps.clock, RELIST_PAUSE_MS, this.#ending.signal);
      this.#relisting = false;
      if (this.#state.at !== "ready") return;
      this.#list(await this.#state.link.listTools());
      this.#deps.log.info("mcp.tools-changed", { server: this.setup.id, tools: this.#tools.length });
    } catch (cause) {
      if (!this.#ending.signal.aborted) this.#deps.log.warn("mcp.not-listed", { server: this.setup.id, problem: this.#shown(String(cause)) });
    } finally {
      this.#relisting = false;
    }
  }

  #asTool({ name, own, description, inputSchema, effect }: ListedTool): Tool {
    return { name, description, inputSchema, effect, parallel: effect === "pure", isRare: true, run: (input, context) => this.#call(own, input, context) };
  }

  async #call(own: string, input: JsonObject, context: ToolContext): Promise<ToolOutcome> {
    if (this.#calls >= CALLS_MAX) return failed(`${this.setup.id} has ${CALLS_MAX} calls under way; call again when some have ended`);
    this.#calls++;
    try {
      const first = await this.#callOnce(own, input, context);
      // A call that never reached the server may be made again, whatever it does.
      const last = first !== null && first.outcome === "broken" && !first.wasSent ? await this.#callOnce(own, input, context) : first;
      return last === null ? failed(this.#absence()) : this.#outcome(last);
    } finally {
      this.#calls--;
    }
  }

  /** Null: the server is not there. */
  async #callOnce(own: string, input: JsonObject, context: ToolContext): Promise<CallEnd | null> {
    const link = await this.#present(context.signal);
    if (link === null) return null;
    const end = await link.call(own, input, { timeoutMs: this.setup.timeoutSeconds * 1000, signal: context.signal, onProgress: () => context.progress() });
    if (end.outcome === "timed-out") void link.checkAlive();
    return end;
  }

  #outcome(end: CallEnd): ToolOutcome {
    const { id, timeoutSeconds, resultBytesMax } = this.setup;
    if (end.outcome === "answered") return outcomeOf(end.result, resultBytesMax);
    if (end.outcome === "refused") return failed(`${id} refused the call: ${this.#shown(end.problem)}`);
    if (end.outcome === "timed-out") return failed(`${id} did not answer within ${timeoutSeconds} s; whether it carried the call out is not known`);
    return failed(`the connection to ${id} broke during the call${end.wasSent ? "; whether it was carried out is not known" : ", which never reached it"}`);
  }

  /** The connection; waits a moment for one that is coming. */
  async #present(signal: AbortSignal): Promise<Link | null> {
    const { clock } = this.#deps;
    const until = clock.monotonic() + COMEBACK_MAX_MS;
    for (;;) {
      const state = this.#state;
      if (state.at === "ready") return state.link;
      const leftMs = until - clock.monotonic();
      if (leftMs <= 0 || state.at === "ended" || (state.at === "broken" && state.retryAt - clock.now() > leftMs)) return null;
      await this.#change(leftMs, signal);
    }
  }

  #change(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const done = (settle: () => void): void => {
        disarm();
        this.#waiters.delete(onChange);
        signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onChange = (): void => done(resolve);
      const onAbort = (): void => done(() => reject(signal.reason));
      const disarm = this.#deps.clock.after(waitMs, onChange);
      this.#waiters.add(onChange);
      signal.addEventListener("abort", onAbort);
    });
  }

  #absence(): string {
    const { id } = this.setup;
    const state = this.#state;
    if (state.at !== "broken") return `the tool server ${id} is not there${state.at === "connecting" ? " yet" : " any more"}; the call was not made`;
    const seconds = Math.max(1, Math.ceil((state.retryAt - this.#deps.clock.now()) / 1000));
    return `the tool server ${id} is not there (${state.problem}); the call was not made; the server is tried again in ${seconds} s`;
  }

  #shown(text: string): string {
    const clean = this.#clean(text);
    return clean.length > PROBLEM_CHARACTERS_MAX ? `${clean.slice(0, PROBLEM_CHARACTERS_MAX)}…` : clean;
  }
}

function failed(text: string): ToolOutcome {
  return { text, isError: true };
}
