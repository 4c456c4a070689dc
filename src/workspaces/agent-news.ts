/**
 * Which files the agents of workspaces have read, and what they should be told of meanwhile.
 *
 * A notice waits until the agent next hears from the gateway: with the result of its next tool call, or
 * as words to a harness. Kept in memory: after a restart an agent is told of what it reads from then on.
 *
 * Always true: bounded in workspaces, paths and notices; the oldest go first. A workspace is known by
 * its folder, whose name is its id; other folders are not written down.
 */
import { basename, relative, resolve } from "node:path";

const WORKSPACES_MAX = 1_000;
const READS_MAX = 2_000;
const NOTICES_MAX = 10;

interface Page {
  /** From the top of the workspace; the latest last. */
  readonly reads: Set<string>;
  notices: string[];
}

export class AgentNews {
  readonly #pages = new Map<string, Page>();

  /** @param path  absolute, or from the top of the workspace. */
  read(dir: string, path: string): void {
    const way = relative(dir, resolve(dir, path));
    if (!isWorkspace(dir) || way === "" || way.startsWith("..")) return;
    const { reads } = this.#page(dir);
    reads.delete(way);
    reads.add(way);
    if (reads.size > READS_MAX) reads.delete(reads.values().next().value!);
  }

  reads(dir: string): Iterable<string> {
    return this.#pages.get(basename(dir))?.reads ?? [];
  }

  tell(dir: string, notice: string): void {
    if (!isWorkspace(dir)) return;
    const page = this.#page(dir);
    page.notices = [...page.notices.filter((one) => one !== notice), notice].slice(-NOTICES_MAX);
  }

  /** What waits for the agent there; told once. */
  take(dir: string): readonly string[] {
    const page = this.#pages.get(basename(dir));
    if (page === undefined || page.notices.length === 0) return [];
    const { notices } = page;
    page.notices = [];
    return notices;
  }

  #page(dir: string): Page {
    const name = basename(dir);
    const page = this.#pages.get(name) ?? { reads: new Set<string>(), notices: [] };
    this.#pages.delete(name);
    this.#pages.set(name, page);
    if (this.#pages.size > WORKSPACES_MAX) this.#pages.delete(this.#pages.keys().next().value!);
    return page;
  }
}

function isWorkspace(dir: string): boolean {
  return basename(dir).startsWith("ws_");
}
