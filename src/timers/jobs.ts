/** Jobs as others see them: the API, commands and agents all go through these. */
import type { JobId } from "../base/ids.ts";
import type { Job, JobState, Run } from "../model/job.ts";

export interface CalendarLine {
  readonly jobId: JobId;
  readonly name: string;
  readonly at: number;
}

export interface Jobs {
  /** @throws {Fault} BAD_REQUEST, JOB_NAME_TAKEN, JOBS_FULL, AGENT_NOT_FOUND. */
  add(job: unknown, options?: { readonly agent?: string }): Promise<Job>;
  /** Changes what is given and leaves the rest. @throws {Fault} JOB_NOT_FOUND, JOB_FROM_CONFIG, and as `add`. */
  change(idOrName: string, change: unknown): Promise<Job>;
  /** @throws {Fault} JOB_NOT_FOUND, JOB_FROM_CONFIG. */
  remove(idOrName: string): Promise<Job>;
  /** Runs it now, besides its schedule. @throws {Fault} JOB_NOT_FOUND. */
  run(idOrName: string): Promise<Run>;
  /** @throws {Fault} JOB_NOT_FOUND. */
  get(idOrName: string): Promise<Job>;
  list(query: { states?: readonly JobState[]; after?: string; limit: number }): Promise<{ readonly jobs: readonly Job[]; readonly next: string | null }>;
  /** What ran, the newest first. @throws {Fault} JOB_NOT_FOUND. */
  runs(idOrName: string, query: { after?: number; limit: number }): Promise<{ readonly runs: readonly Run[]; readonly next: number | null }>;
  /** What comes up, the soonest first. */
  calendar(query: { hours: number; limit: number }): Promise<readonly CalendarLine[]>;
}
