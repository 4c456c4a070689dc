/** Files as harnesses reach them through the gateway: inside one folder, whatever the path says. */
export interface HarnessFiles {
  /** Whether a path leads to a file or folder that is there and lies in `folder`, links followed. */
  isInside(folder: string, path: string): Promise<boolean>;
  /** Null: there is no such file. @throws {Fault} PATH_REFUSED */
  readText(folder: string, path: string): Promise<string | null>;
  /** @throws {Fault} PATH_REFUSED */
  writeText(folder: string, path: string, text: string): Promise<void>;
}
