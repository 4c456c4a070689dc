/**
 * The tool servers that the settings name: started, ended and changed as the settings change.
 *
 * Nothing is loaded or started while there are none. A turn waits for servers that were just set up,
 * once and for a bounded time; a broken one holds up no turn after that.
 */
import type { Settings } from "../../base/setting.ts";
import type { ServerView } from "../../model/tool-server.ts";
import type { Tool } from "../../model/tool.ts";
import { ToolServer, type ServerDeps } from "./server.ts";
import { mcpServers, mcpWaitMs, type ServerSetup } from "./settings.ts";

export interface ToolServersDeps extends ServerDeps {
  readonly settings: Settings;
}

interface Kept {
  readonly server: ToolServer;
  /** What it was set up as; another text means another server. */
  readonly setup: string;
  /** Until when turns wait for its first greeting, on the monotonic clock. */
  readonly waitUntilMs: number;
  isNew: boolean;
}

export class ToolServers {
  readonly #deps: ToolServersDeps;
  readonly #servers = new Map<string, Kept>();
  readonly #endings = new Set<Promise<void>>();
  #stopListening: (() => void) | null = null;

  constructor(deps: ToolServersDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#stopListening = this.#deps.settings.onChange(() => this.#follow());
    this.#follow();
  }

  /** Resolves when no server and no process of one is left. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    for (const id of [...this.#servers.keys()]) this.#end(id);
    await Promise.all(this.#endings);
  }

  /** The tools of all servers, in a stable order. At once, but for servers that were just set up. */
  tools(): readonly Tool[] | Promise<readonly Tool[]> {
    for (const { isNew } of this.#servers.values()) if (isNew) return this.#settled().then(() => this.#tools());
    return this.#tools();
  }

  views(): readonly ServerView[] {
    return this.#sorted().map(({ server }) => server.view());
  }

  #tools(): readonly Tool[] {
    return this.#sorted().flatMap(({ server }) => server.tools);
  }

  #sorted(): readonly Kept[] {
    return [...this.#servers.values()].sort((a, b) => (a.server.setup.id < b.server.setup.id ? -1 : 1));
  }

  async #settled(): Promise<void> {
    const { clock } = this.#deps;
    const fresh = [...this.#servers.values()].filter(({ isNew }) => isNew);
    const waitMs = Math.max(...fresh.map(({ waitUntilMs }) => waitUntilMs)) - clock.monotonic();
    const late = Promise.withResolvers<void>();
    const disarm = clock.after(Math.max(0, waitMs), late.resolve);
    await Promise.race([Promise.all(fresh.map(({ server }) => server.tried)), late.promise]);
    disarm();
    for (const kept of fresh) kept.isNew = false;
  }

  #follow(): void {
    const wanted = this.#deps.settings.get(mcpServers);
    for (const [id, { setup }] of this.#servers) if (wanted[id] === undefined || JSON.stringify(wanted[id]) !== setup) this.#end(id);
    for (const setup of Object.values(wanted)) if (!this.#servers.has(setup.id)) this.#begin(setup);
  }

  #begin(setup: ServerSetup): void {
    const { clock, settings } = this.#deps;
    const server = new ToolServer(setup, this.#deps);
    const kept: Kept = { server, setup: JSON.stringify(setup), waitUntilMs: clock.monotonic() + settings.get(mcpWaitMs), isNew: true };
    void server.tried.then(() => (kept.isNew = false));
    this.#servers.set(setup.id, kept);
  }

  #end(id: string): void {
    const { server } = this.#servers.get(id)!;
    this.#servers.delete(id);
    const ending = server.end().finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
  }
}
