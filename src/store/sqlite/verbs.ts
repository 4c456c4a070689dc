/** All verbs of the store over one SQLite connection, each as a plain function of the kernel. */
import { accessToken, accessTokens, addAccessToken, chargeAccessToken, revokeAccessToken } from "./access-tokens.ts";
import type { MessageId, SessionKey } from "../../base/ids.ts";
import type { JsonObject } from "../../base/json.ts";
import type { OwnedProcess, StoreVerbs } from "../store.ts";
import { attempts } from "./attempts.ts";
import { answerApproval, approval, approvals, askApproval, endApproval, forgetStanding, standingApprovals } from "./approvals.ts";
import { bind, boundTo, noticeToBound, openHarnessSession, unbind, unbindTarget } from "./bindings.ts";
import { openBarrier } from "./barriers.ts";
import { reserveCall, reserveCallBeside, settleCall } from "./budgets.ts";
import { adjustAllowance, allowances, takeAllowance } from "./allowances.ts";
import { claimTurns, promoteTurn } from "./claim.ts";
import { claimDeliveries, deliveries, recoverDeliveries, retryDelivery, returnDeliveries, settleDelivery } from "./deliveries.ts";
import { takeResults } from "./digests.ts";
import { appendEntry, summariseSession } from "./entries.ts";
import { harnessSession, harnessSessions, saveHarnessSession } from "./harness-sessions.ts";
import { board, countDenial, health, markSeen, missed, report } from "./health.ts";
import { checkIntegrity } from "./integrity.ts";
import { fireJob, forgetRuns, jobRuns, launchRun, openRuns, setFingerprint, settleRuns } from "./job-runs.ts";
import { configJobs, dueJobs, job, jobs, jobsOfKind, jobsOfTasks, patchJob, putJob, removeJob, unstallJobs } from "./jobs.ts";
import type { Kernel } from "./kernel.ts";
import { flows, sessions, tasks } from "./listings.ts";
import { acceptMessage, messagePlace, steerSession, takeSteering, unansweredTexts } from "./messages.ts";
import { openSession } from "./open-session.ts";
import { parkTurn, unparkTurn } from "./parked.ts";
import { beginPlan, movePlan, movePlanTask, planRun, plans, planTaskOfSession, planUsage } from "./plans.ts";
import { context, events, flow, forgottenEvents, history, lanes, lastCursor, runningTurns, task, taskOfSession, totals } from "./reads.ts";
import { sweep } from "./retention.ts";
import { setRules } from "./rules.ts";
import { archiveIdle, deleteSession, patchSession, removeSpent, resetSession, session } from "./sessions.ts";
import { admitSpawn, admitSpawns, cancelFlow, cancelSession, cancelTask, cancelTurn, judgeQuiet, retryTask } from "./tasks.ts";
import { noteStart, noteStop } from "./starts.ts";
import { endTurn, journal, recover } from "./turns.ts";
import { tracedTask, tracedTurn } from "./traces.ts";
import { noteUpkeep, upkeepRuns } from "./upkeep.ts";
import { recordCall, usage } from "./usage.ts";
import { addMerge, addWorkspace, merge, merges, moveMerges, moveWorkspace, workspace, workspaces } from "./workspaces.ts";

type Verb = keyof StoreVerbs;
type KernelVerbs = { readonly [V in Verb]: (k: Kernel, ...args: Parameters<StoreVerbs[V]>) => ReturnType<StoreVerbs[V]> };

export const VERBS: KernelVerbs = {
  acceptMessage,
  claimTurns,
  judgeQuiet,
  journal,
  endTurn,
  reserveCall,
  reserveCallBeside,
  settleCall,
  takeSteering,
  steerSession,
  promoteTurn,
  noteStart,
  noteStop,
  recover,
  parkTurn,
  unparkTurn,
  takeAllowance,
  adjustAllowance,
  allowances: (k) => allowances(k),
  runningTurns,
  unansweredTexts,
  messagePlace,
  setRules,
  lanes,
  session,
  sessions,
  openSession: (k, key) => {
    openSession(k, key);
    return session(k, key)!;
  },
  patchSession,
  resetSession,
  deleteSession,
  archiveIdle,
  removeSpent,
  context,
  history,
  events,
  forgottenEvents,
  lastCursor,
  admitSpawn,
  admitSpawns,
  takeResults,
  openBarrier,
  task,
  taskOfSession,
  tasks,
  flow,
  flows,
  retryTask,
  attempts,
  cancelSession,
  cancelTurn,
  cancelTask,
  cancelFlow,
  claimDeliveries,
  settleDelivery,
  recoverDeliveries,
  returnDeliveries,
  retryDelivery,
  deliveries,
  board,
  report,
  health,
  countDenial,
  markSeen,
  missed,
  askApproval,
  answerApproval,
  endApproval,
  approval,
  approvals,
  standingApprovals,
  forgetStanding,
  openHarnessSession,
  bind,
  unbind,
  unbindTarget,
  boundTo,
  notice,
  beginPlan,
  planRun,
  plans,
  planTaskOfSession,
  planUsage,
  movePlan,
  movePlanTask,
  addAccessToken,
  accessToken,
  accessTokens,
  revokeAccessToken,
  chargeAccessToken,
  summariseSession,
  noteUpkeep,
  upkeepRuns,
  putJob,
  patchJob,
  removeJob,
  job,
  jobs,
  jobsOfKind,
  jobsOfTasks,
  configJobs,
  dueJobs,
  unstallJobs,
  setFingerprint,
  fireJob,
  launchRun,
  settleRuns,
  openRuns,
  jobRuns,
  forgetRuns,
  addWorkspace,
  moveWorkspace,
  workspace,
  workspaces,
  addMerge,
  moveMerges,
  merge,
  merges,
  recordProcess: (k, { marker, pid, startTicks, bootId }: OwnedProcess) => {
    k.run("INSERT OR REPLACE INTO process VALUES (?,?,?,?)", marker, pid, startTicks, bootId);
  },
  forgetProcess: (k, marker) => {
    k.run("DELETE FROM process WHERE marker = ?", marker);
  },
  ownedProcesses: (k) => k.all("SELECT * FROM process").map((row) => ({ marker: row["marker"], pid: row["pid"], startTicks: row["start_ticks"], bootId: row["boot_id"] })),
  sweep,
  answerCommand,
  harnessSession,
  harnessSessions,
  saveHarnessSession,
  totals,
  usage,
  recordCall: (k, { session, model, usage: used }) => recordCall(k, session, model, used),
  tracedTurn,
  tracedTask,
  checkIntegrity,
};

export const VERB_NAMES = Object.keys(VERBS) as readonly (keyof typeof VERBS)[];

function answerCommand(k: Kernel, { session, text }: { session: SessionKey; text: string }): MessageId {
  openSession(k, session);
  const messageId = k.ids.message();
  k.emit(session, { type: "reply", data: { text, replyTo: [messageId], code: "COMMAND" } });
  return messageId;
}

function notice(k: Kernel, input: { session: SessionKey; text: string; level: "info" | "warn" | "error"; code: string | null; entry: boolean; data?: JsonObject }): void {
  if (k.get("SELECT 1 FROM session WHERE key = ?", input.session) === undefined) return;
  if (input.entry) appendEntry(k, input.session, { turnId: null, content: { role: "notice", text: input.text }, messageIds: [], provenance: "system" });
  const event = { type: "notice", data: { ...input.data, text: input.text, level: input.level, code: input.code } } as const;
  k.emit(input.session, event);
  if (input.code !== "COMMAND") noticeToBound(k, input.session, event);
}
