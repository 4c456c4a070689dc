/** Whole text files inside one folder, for programs that read and write through the gateway instead of by themselves. */
import type { RandomBytes } from "../base/ids.ts";
import { Fault } from "../model/faults.ts";
import { readWhole, Workspace } from "./confine.ts";

/** The largest file that is read or written, bytes. */
const FILE_MAX_BYTES = 4 * 1024 * 1024;

export class TextFiles {
  readonly #random: RandomBytes;

  constructor(random: RandomBytes) {
    this.#random = random;
  }

  /** Whether a path leads to a file or folder that is there and lies in `folder`, links followed. */
  async isInside(folder: string, path: string): Promise<boolean> {
    try {
      const kind = await (await Workspace.open(folder, this.#random)).kind(path);
      return kind === "file" || kind === "folder";
    } catch (cause) {
      if (cause instanceof Fault) return false;
      throw cause;
    }
  }

  /** Null: there is no such file. @throws {Fault} PATH_REFUSED */
  async readText(folder: string, path: string): Promise<string | null> {
    const workspace = await Workspace.open(folder, this.#random);
    if ((await workspace.kind(path)) === null) return null;
    const file = await workspace.openFile(path);
    try {
      const bytes = await readWhole(file, FILE_MAX_BYTES);
      if (bytes === null) throw new Fault("PATH_REFUSED", { path, problem: `is over ${FILE_MAX_BYTES} bytes` });
      return bytes.toString("utf8");
    } finally {
      await file.handle.close();
    }
  }

  /** @throws {Fault} PATH_REFUSED */
  async writeText(folder: string, path: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    if (bytes.length > FILE_MAX_BYTES) throw new Fault("PATH_REFUSED", { path, problem: `would be over ${FILE_MAX_BYTES} bytes` });
    await (await Workspace.open(folder, this.#random)).replaceFile(path, bytes);
  }
}
