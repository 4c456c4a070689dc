/** People who make jobs, run them by hand, and pause them at the end. */
import type { Kernel } from "../../src/store/sqlite/kernel.ts";
import { VERBS } from "../../src/store/sqlite/verbs.ts";
import { ASK_AGAIN_MS, type Askers } from "./askers.ts";
import { overdueJobs, type PlannedJob } from "./jobs.ts";
import type { Timeline } from "./timeline.ts";

const READ_MAX = 1_000_000;
const WHAT = "a question about a job";

export interface JobPeopleDeps {
  readonly timeline: Timeline;
  readonly observer: Kernel;
  readonly askers: Askers;
  readonly spawn: (child: NonNullable<PlannedJob["child"]>) => void;
  readonly report: (violation: string) => void;
}

export class JobPeople {
  readonly #deps: JobPeopleDeps;
  /** By name: what the clock showed when the request that made a job came in. */
  readonly askedAt = new Map<string, number>();

  constructor(deps: JobPeopleDeps) {
    this.#deps = deps;
  }

  make({ job, child, runAfterMs }: PlannedJob): void {
    const { timeline, observer, askers } = this.#deps;
    if (child !== null) this.#deps.spawn(child);
    askers.untilDone(WHAT, (gateway) => {
      if (observer.get("SELECT 1 FROM job WHERE name = ?", job.name) === undefined) this.askedAt.set(job.name, timeline.wallMs);
      return gateway.timekeeper.add(job);
    });
    for (const ms of runAfterMs) timeline.after(ms, () => askers.once(WHAT, (gateway) => gateway.timekeeper.run(job.name)));
  }

  /** All was in order for a while: every job has come in time. Now they are paused, so that the world can come to its end. */
  end(): void {
    const { timeline, report } = this.#deps;
    for (const problem of overdueJobs(this.#active(), timeline.wallMs)) report(problem);
    this.#pause();
  }

  #pause(): void {
    const jobs = this.#active();
    if (jobs.length === 0) return;
    for (const { id } of jobs) this.#deps.askers.once(WHAT, (gateway) => gateway.timekeeper.change(id, { enabled: false }));
    this.#deps.timeline.after(ASK_AGAIN_MS, () => this.#pause());
  }

  #active() {
    return VERBS.jobs(this.#deps.observer, { states: ["active"], limit: READ_MAX }).jobs;
  }
}
