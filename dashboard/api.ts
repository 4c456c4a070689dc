/**
 * The gateway as the page sees it: JSON requests, and the stream of events.
 *
 * Same origin only, with the session cookie that the login sets. No address and no token is ever
 * read from the page's own address. Every request has a deadline.
 */
import type { Board, ApiEvent, ApiFault, ApiSession, CancelResult, ConfigAnswer, History, JobCalendar, JobList, JobRunList, LanesAnswer, MessageAccepted, PatchSession, SendMessage, SessionList, SimulationReport, StatusAnswer, TaskList } from "../src/api/wire.ts";
import { eventsIn, type ServerEvent } from "./event-stream.ts";

const REQUEST_TIMEOUT_MS = 20_000;
/** A stream that is silent for longer is taken for dead; the gateway sends a comment well before. */
const STREAM_SILENCE_MAX_MS = 90_000;
/** Stored events of one session arrive at once; what takes longer is given up. */
const TAIL_TIMEOUT_MS = 10_000;
const SESSIONS_PAGE_COUNT = 200;
const HISTORY_PAGE_COUNT = 100;
const TASKS_PAGE_COUNT = 100;
const JOBS_COUNT = 200;
const JOB_RUNS_COUNT = 100;

/** The gateway's answer was a refusal. `status` is the HTTP status; `fault.message` says what to do. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly fault: ApiFault;
  constructor(status: number, fault: ApiFault) {
    super(fault.message);
    this.status = status;
    this.fault = fault;
  }
}

/** Anything that was thrown by this file, as a person should read it. */
export function problemOf(thrown: unknown): string {
  return thrown instanceof Refusal ? thrown.fault.message : "the gateway cannot be reached; is it running?";
}

async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const deadline = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const response = await fetch(path, {
    method,
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    // The extra header cannot be sent by another site's page without the gateway's leave.
    headers: method === "GET" ? {} : { "content-type": "application/json", "X-Yard": "1" },
    body: method === "GET" ? null : JSON.stringify(body ?? {}),
    signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
  });
  if (!response.ok) throw await refusalOf(response);
  return (response.status === 204 ? {} : await response.json()) as T;
}

async function refusalOf(response: Response): Promise<Refusal> {
  const fault = (await response.json().catch(() => ({}))) as Partial<ApiFault>;
  return new Refusal(response.status, {
    code: fault.code ?? `HTTP_${response.status}`,
    message: fault.message ?? `the gateway answered ${response.status}; see its log`,
    details: fault.details ?? {},
    retryable: fault.retryable ?? false,
    ...(fault.retryAfterMs === undefined ? {} : { retryAfterMs: fault.retryAfterMs }),
  });
}

const of = encodeURIComponent;

export const api = {
  login: (token: string) => request<unknown>("POST", "/api/login", { token }),
  status: (signal?: AbortSignal) => request<StatusAnswer>("GET", "/api/status", undefined, signal),
  sessions: (after: string | null, signal?: AbortSignal) =>
    request<SessionList>("GET", `/api/sessions?limit=${SESSIONS_PAGE_COUNT}${after === null ? "" : `&after=${of(after)}`}`, undefined, signal),
  session: (key: string, signal?: AbortSignal) => request<ApiSession>("GET", `/api/sessions/${of(key)}`, undefined, signal),
  history: (key: string, before: string | null, signal?: AbortSignal) =>
    request<History>("GET", `/api/sessions/${of(key)}/history?limit=${HISTORY_PAGE_COUNT}${before === null ? "" : `&before=${of(before)}`}`, undefined, signal),
  tasks: (parent: string, signal?: AbortSignal) => request<TaskList>("GET", `/api/tasks?parent=${of(parent)}&limit=${TASKS_PAGE_COUNT}`, undefined, signal),
  board: (search: string, signal?: AbortSignal) => request<Board>("GET", `/api/board${search === "" ? "" : `?q=${of(search)}`}`, undefined, signal),
  lanes: (signal?: AbortSignal) => request<LanesAnswer>("GET", "/api/lanes", undefined, signal),
  send: (message: SendMessage, signal?: AbortSignal) => request<MessageAccepted>("POST", "/api/messages", message, signal),
  /** Stops all that runs in a session, its children too. */
  cancelSession: (key: string) => request<CancelResult>("POST", `/api/sessions/${of(key)}/cancel`),
  /** Stops the turn with this handle, e.g. `T7`. */
  cancelTurn: (key: string, handle: string) => request<CancelResult>("POST", `/api/sessions/${of(key)}/turns/${of(handle)}/cancel`),
  label: (key: string, label: string) => request<unknown>("PATCH", `/api/sessions/${of(key)}`, { label } satisfies PatchSession),
  promote: (key: string) => request<unknown>("POST", `/api/sessions/${of(key)}/promote`),
  cancelTask: (taskId: string) => request<CancelResult>("POST", `/api/tasks/${of(taskId)}/cancel`),
  steerTask: (taskId: string, text: string) => request<unknown>("POST", `/api/tasks/${of(taskId)}/steer`, { text }),
  cancelFlow: (flowId: string) => request<CancelResult>("POST", `/api/flows/${of(flowId)}/cancel`),
  jobs: (signal?: AbortSignal) => request<JobList>("GET", `/api/jobs?limit=${JOBS_COUNT}`, undefined, signal),
  jobRuns: (jobId: string, signal?: AbortSignal) => request<JobRunList>("GET", `/api/jobs/${of(jobId)}/runs?limit=${JOB_RUNS_COUNT}`, undefined, signal),
  jobCalendar: (signal?: AbortSignal) => request<JobCalendar>("GET", `/api/jobs/calendar?hours=24&limit=${JOB_RUNS_COUNT}`, undefined, signal),
  runJob: (jobId: string) => request<unknown>("POST", `/api/jobs/${of(jobId)}/run`),
  enableJob: (jobId: string, enabled: boolean) => request<unknown>("PATCH", `/api/jobs/${of(jobId)}`, { enabled }),
  config: (signal?: AbortSignal) => request<ConfigAnswer>("GET", "/api/config", undefined, signal),
  simulate: (asked: Readonly<Record<string, unknown>>, signal?: AbortSignal) => request<SimulationReport>("POST", "/api/simulate", asked, signal),
};

/**
 * Opens the stream of all sessions' events and calls `onEvent` for each until it breaks.
 * @param cursor  where to go on, or null for what happens from now on.
 * @throws {Refusal} when the gateway refuses; anything else means that the line broke.
 */
export async function streamEvents(cursor: string | null, on: { open(): void; event(event: ApiEvent, cursor: string | null): void }, signal: AbortSignal): Promise<void> {
  const silence = new AbortController();
  let watch = setTimeout(() => silence.abort(), STREAM_SILENCE_MAX_MS);
  const onBytes = (): void => {
    clearTimeout(watch);
    watch = setTimeout(() => silence.abort(), STREAM_SILENCE_MAX_MS);
  };
  try {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (cursor !== null) headers["Last-Event-ID"] = cursor;
    const response = await openStream(`/api/events?after=${cursor === null ? "now" : of(cursor)}`, headers, AbortSignal.any([signal, silence.signal]));
    on.open();
    for await (const { id, data } of eventsIn(response.body!, onBytes)) {
      const event = eventOf({ id, data });
      if (event !== null) on.event(event, id ?? (event.cursor === undefined ? null : String(event.cursor)));
    }
  } finally {
    clearTimeout(watch);
  }
}

/** The stored events of one session after `after`, up to and with number `upTo`; fewer when they do not come in time. */
export async function readTail(session: string, after: number, upTo: number, signal: AbortSignal): Promise<ApiEvent[]> {
  const events: ApiEvent[] = [];
  const enough = new AbortController();
  const deadline = AbortSignal.timeout(TAIL_TIMEOUT_MS);
  try {
    const response = await openStream(`/api/events?session=${of(session)}&after=${after}`, { accept: "text/event-stream" }, AbortSignal.any([signal, enough.signal, deadline]));
    for await (const message of eventsIn(response.body!)) {
      const event = eventOf(message);
      if (event?.seq === undefined) continue;
      if (event.seq <= upTo) events.push(event);
      if (event.seq >= upTo) break;
    }
  } catch (thrown) {
    if (!deadline.aborted || signal.aborted) throw thrown;
  } finally {
    enough.abort();
  }
  return events;
}

async function openStream(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  const response = await fetch(path, { headers, credentials: "same-origin", cache: "no-store", redirect: "error", signal });
  if (!response.ok || response.body === null) throw await refusalOf(response);
  return response;
}

/** Null for what is no event: a line that cannot be read must not end the stream. */
function eventOf({ data }: ServerEvent): ApiEvent | null {
  try {
    const event = JSON.parse(data) as Partial<ApiEvent> | null;
    if (typeof event?.session !== "string" || typeof event.type !== "string") return null;
    return { ...event, session: event.session, type: event.type, at: event.at ?? 0, data: event.data ?? {} };
  } catch {
    return null;
  }
}
