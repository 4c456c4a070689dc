/** The sessions of jobs, and the logs in which people and programs hear of them. */
import type { JobId, SessionKey } from "../../base/ids.ts";
import type { JobSpec } from "../../model/job.ts";
import { jobSession, mainSession } from "../../model/session.ts";
import { appendEntry } from "./entries.ts";
import type { Kernel } from "./kernel.ts";
import { insertSession, openSession } from "./open-session.ts";

export function ownSession(k: Kernel, key: SessionKey, spec: JobSpec, model: string | null): SessionKey {
  if (k.get("SELECT 1 FROM session WHERE key = ?", key) === undefined) insertSession(k, { key, kind: "job", agent: spec.agent, parent: null, taskId: null, depth: 0, label: spec.name, model, cwd: null, authority: null });
  else k.run("UPDATE session SET model = ? WHERE key = ? AND model IS NOT ?", model, key, model);
  return key;
}

/** A session that was made for a run or a job, and has no other purpose. */
export function isOwnSession(jobId: JobId, session: SessionKey): boolean {
  return session === jobSession(jobId) || isIsolated(jobId, session);
}

export function isIsolated(jobId: JobId, session: SessionKey): boolean {
  return session.startsWith(`${jobSession(jobId)}.`);
}

type JobEvent = Parameters<Kernel["emit"]>[1];

/** In the log of the agent's own session, where the person looks. */
export function tellOwner(k: Kernel, spec: JobSpec, event: JobEvent): void {
  const session = mainSession(spec.agent);
  openSession(k, session);
  k.emit(session, event);
}

/** In the job's own log, so that a busy job does not fill the person's. */
export function tellRun(k: Kernel, jobId: JobId, spec: JobSpec, event: JobEvent): void {
  ownSession(k, jobSession(jobId), spec, spec.payload.kind === "agentTurn" ? spec.payload.model : null);
  k.emit(jobSession(jobId), event);
}

export function warnOwner(k: Kernel, spec: JobSpec, jobId: JobId, text: string, code: string): void {
  const session = mainSession(spec.agent);
  openSession(k, session);
  appendEntry(k, session, { turnId: null, content: { role: "notice", text }, messageIds: [], provenance: "timer" });
  k.emit(session, { type: "notice", data: { text, level: "error", code, jobId } });
}
