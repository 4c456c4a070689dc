/** The store's file as a whole: looked through, copied, put back. None of it holds up the verbs. */

export interface Backup {
  /** File name in the folder of backups. */
  readonly name: string;
  /** Wall time of the moment that it holds, milliseconds. */
  readonly at: number;
  readonly bytes: number;
}

/** What a look through the whole file found. */
export interface Checkup {
  readonly file: string;
  /** Empty = the file is sound and every invariant holds. */
  readonly problems: readonly string[];
  readonly fileBytes: number;
  /** Of the log beside it. */
  readonly logBytes: number;
  readonly tookMs: number;
}

export interface StoreFiles {
  /** Reads the whole file, checks its structure, its references and every invariant, over one moment of it. @throws {Fault} STORE_CORRUPT, STORE_IO */
  check(): Promise<Checkup>;
  /** The newest first. */
  backups(): Promise<readonly Backup[]>;
  /**
   * Writes one, checks it, and then removes those beyond `keep`. One at a time: a second call gets the first one's.
   * @throws {Fault} BACKUP_FAILED  nothing was removed.
   */
  backup(options: { keep: number }): Promise<Backup>;
  /** Ends what is under way. */
  stop(): Promise<void>;
}
