/**
 * The files of an agent's workspace that go into every prompt, as they are on disk at that moment.
 *
 * A file is read again when its identity, size or time of change differ; otherwise its text is
 * remembered. What is not there is simply not part of the prompt.
 */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** In this order; prompt caches depend on it. */
const FILES = ["AGENTS.md", "SOUL.md", "USER.md", "TOOLS.md", "MEMORY.md"] as const;
/** Children get what they need to work, not who the person is. */
const CHILD_FILES = ["AGENTS.md", "TOOLS.md"] as const;

/** The most of one file that goes into a prompt, bytes; the end of a longer one is left out. */
const FILE_BYTES_MAX = 20_000;
const SKILLS_MAX = 100;
const SKILL_LINE_MAX_CHARS = 300;
/** Texts remembered at most; the rest is read again. */
const REMEMBERED_MAX = 2_000;

interface Remembered {
  readonly identity: string;
  readonly text: string;
}

export class WorkspaceFiles {
  readonly #remembered = new Map<string, Remembered>();

  /** The section of a prompt that holds the workspace's files and the list of its skills; empty when there are none. */
  section(workspace: string, forChild: boolean): string {
    const parts: string[] = [];
    for (const name of forChild ? CHILD_FILES : FILES) {
      const text = this.#read(join(workspace, name)).trim();
      if (text !== "") parts.push(`## ${name}\n${text}`);
    }
    const skills = this.#skills(join(workspace, "skills"));
    if (skills.length > 0) parts.push(`## Skills (read the file before you use one)\n${skills.join("\n")}`);
    return parts.join("\n\n");
  }

  /** One file's text; empty when it is not there. */
  text(workspace: string, name: (typeof FILES)[number]): string {
    return this.#read(join(workspace, name));
  }

  #skills(folder: string): string[] {
    // Asking first is cheaper than the error of a folder that is not there, which is the usual case.
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
    const lines: string[] = [];
    for (const name of readdirSync(folder).sort().slice(0, SKILLS_MAX)) {
      const text = this.#read(join(folder, name, "SKILL.md"));
      if (text === "") continue;
      const description = /^description:\s*(.+)$/m.exec(text)?.[1] ?? text.split("\n").find((line) => line.trim() !== "" && !/^[#-]/.test(line)) ?? "";
      lines.push(`- ${name}: ${description.trim().replace(/^["']|["']$/g, "").slice(0, SKILL_LINE_MAX_CHARS)} (skills/${name}/SKILL.md)`);
    }
    return lines;
  }

  #read(path: string): string {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile()) return "";
    const identity = `${stat.dev}.${stat.ino}.${stat.size}.${stat.mtimeNs}.${stat.ctimeNs}`;
    const known = this.#remembered.get(path);
    if (known?.identity === identity) return known.text;
    let text: string;
    try {
      const bytes = readFileSync(path);
      text = bytes.subarray(0, FILE_BYTES_MAX).toString("utf8");
      if (bytes.length > FILE_BYTES_MAX) text += `\n[${bytes.length - FILE_BYTES_MAX} more bytes in the file]`;
    } catch {
      return "";
    }
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(path, { identity, text });
    return text;
  }
}
