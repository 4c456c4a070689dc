/** Jobs: when each comes next and what became of it, the day ahead, run now, pause. Looked at anew every few seconds. */
import type { VNode } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import type { ApiJob, ApiJobRun, JobCalendar } from "../src/api/wire.ts";
import { api, problemOf } from "./api.ts";
import { useNow } from "./clock.ts";
import { duration, oneLine } from "./format.ts";
import "./jobs.css";

const LOOK_EVERY_MS = 4_000;
const ABOUT_LENGTH_MAX = 160;

interface Seen {
  readonly jobs: readonly ApiJob[];
  readonly upcoming: JobCalendar["upcoming"];
  readonly hasMore: boolean;
}

export function JobsPage({ back, onOpenSession }: { back: string; onOpenSession(session: string): void }): VNode {
  const [seen, setSeen] = useState<Seen | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [runs, setRuns] = useState<readonly ApiJobRun[]>([]);
  const now = useNow(LOOK_EVERY_MS);

  const look = useCallback(
    async (signal?: AbortSignal): Promise<void> => {
      try {
        const [listed, ahead, history] = await Promise.all([api.jobs(signal), api.jobCalendar(signal), chosen === null ? null : api.jobRuns(chosen, signal)]);
        setSeen({ jobs: listed.jobs, upcoming: ahead.upcoming, hasMore: listed.next !== undefined });
        setRuns(history?.runs ?? []);
        setProblem(null);
      } catch (thrown) {
        if (signal?.aborted !== true) setProblem(problemOf(thrown));
      }
    },
    [chosen],
  );
  useEffect(() => {
    const gone = new AbortController();
    void look(gone.signal);
    return () => gone.abort();
  }, [look, now]);

  const act = (work: Promise<unknown>): void => void work.then(() => look(), (thrown: unknown) => setProblem(problemOf(thrown)));

  return (
    <div class="jobs" data-testid="jobs">
      <header>
        <h1>Jobs</h1>
        <a class="quiet" href={back}>
          Back
        </a>
      </header>
      {problem !== null && <p class="problem" role="alert">{problem}</p>}
      {seen === null && problem === null && <p class="empty">Loading…</p>}
      {seen?.jobs.every(({ origin }) => origin === "builtin") && (
        <p class="empty">
          No jobs yet. Make one with <code>yard jobs add --name brief --every 1d --message "..."</code>
        </p>
      )}
      {seen !== null && seen.jobs.length > 0 && (
        <>
          <table>
            <thead>
              <tr>
                <th>Job</th>
                <th>State</th>
                <th>Next</th>
                <th>When</th>
                <th />
              </tr>
            </thead>
            <tbody>
              {seen.jobs.map((job) => (
                <tr key={job.jobId} data-testid="job" data-state={job.state} aria-current={job.jobId === chosen ? "true" : undefined}>
                  <td>
                    <button type="button" class="quiet" aria-expanded={job.jobId === chosen} onClick={() => setChosen(job.jobId === chosen ? null : job.jobId)}>
                      {job.name}
                    </button>
                  </td>
                  <td title={job.why ?? job.lastResult ?? undefined}>{job.state}</td>
                  <td title={job.nextAt === null ? undefined : new Date(job.nextAt).toLocaleString()}>{job.nextAt === null ? "–" : job.nextAt <= now ? "now" : `in ${duration(job.nextAt - now)}`}</td>
                  <td>{whenOf(job)}</td>
                  <td class="acts">
                    <button type="button" class="quiet" onClick={() => act(api.runJob(job.jobId))}>
                      Run now
                    </button>
                    {job.origin !== "builtin" && (
                      <button type="button" class="quiet" onClick={() => act(api.enableJob(job.jobId, job.state !== "active"))}>
                        {job.state === "active" ? "Pause" : "Resume"}
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {seen.hasMore && <p class="empty">There are more; <code>yard jobs list</code> shows all.</p>}
          {chosen !== null && <Runs runs={runs} onOpenSession={onOpenSession} />}
          {chosen === null && <Ahead upcoming={seen.upcoming} />}
        </>
      )}
    </div>
  );
}

function Runs({ runs, onOpenSession }: { runs: readonly ApiJobRun[]; onOpenSession(session: string): void }): VNode {
  return (
    <section aria-label="History">
      <h2>History</h2>
      {runs.length === 0 && <p class="empty">It has not come yet.</p>}
      <ol data-testid="job-runs">
        {runs.map((run) => (
          <li key={run.runId} data-state={run.state}>
            <time>{new Date(run.scheduledFor).toLocaleString()}</time>
            <b>{run.state}</b>
            {run.durationMs !== null && <span>{duration(run.durationMs)}</span>}
            {run.spawned > 0 && <span>{`${run.shipped} of ${run.spawned} shipped`}</span>}
            <span class="about">{oneLine(run.reason ?? run.result ?? "", ABOUT_LENGTH_MAX)}</span>
            {run.session !== null && (
              <button type="button" class="quiet" onClick={() => onOpenSession(run.session!)}>
                Open
              </button>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Ahead({ upcoming }: Pick<Seen, "upcoming">): VNode {
  return (
    <section aria-label="The day ahead">
      <h2>The day ahead</h2>
      {upcoming.length === 0 && <p class="empty">Nothing comes up within a day.</p>}
      <ol>
        {upcoming.map((line) => (
          <li key={`${line.jobId} ${line.at}`}>
            <time>{new Date(line.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}</time>
            <span>{line.name}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function whenOf({ schedule }: ApiJob): string {
  switch (schedule.kind) {
    case "at":
      return new Date(schedule.at!).toLocaleString();
    case "every":
      if (schedule.everyMs === 0) return "by hand";
      return `every ${duration(schedule.everyMs!)}`;
    case "cron":
      return `${schedule.expr} (${schedule.tz})`;
    case "task":
      return `after ${schedule.label ?? "any task"}`;
    case "file":
      return `when ${schedule.ref ?? schedule.path} changes`;
  }
}
