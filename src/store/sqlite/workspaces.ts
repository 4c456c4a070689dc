/** Rows of workspaces and merges. A move names the states that it may begin in, so that whoever comes second changes nothing. */
import type { MergeId, SessionKey, WorkspaceId } from "../../base/ids.ts";
import { Fault } from "../../model/faults.ts";
import type { Merge } from "../../model/merge.ts";
import type { Workspace, WorkspaceState } from "../../model/workspace.ts";
import type { MergeMove, MergeQuery, WorkspaceQuery } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";
import { mustGoOn } from "./plan-goes-on.ts";

const LIVE = "state IN ('making','ready','removing')";

export function addWorkspace(k: Kernel, { workspace: made, ...room }: { workspace: Omit<Workspace, "portFirst">; liveMax: number; portBase: number }): Workspace {
  const portFirst = freePorts(k, made.portCount, room);
  const row: Workspace = { ...made, portFirst };
  k.run("INSERT INTO workspace (id, state, common_dir, session, epoch, port_first, data) VALUES (?,?,?,?,?,?,?)", row.id, row.state, row.commonDir, row.session, row.epoch, portFirst, JSON.stringify(row));
  tellWorkspace(k, row);
  return row;
}

function freePorts(k: Kernel, count: number, { liveMax, portBase }: { liveMax: number; portBase: number }): number {
  const taken = k.all(`SELECT port_first, json_extract(data, '$.portCount') AS ports FROM workspace WHERE ${LIVE} ORDER BY port_first`);
  if (taken.length >= liveMax) throw new Fault("WORKSPACE_LIMIT", { count: taken.length, max: liveMax });
  let first = portBase;
  for (const { port_first: from, ports } of taken) {
    if (first + count <= from) break;
    first = Math.max(first, from + ports);
  }
  return first;
}

export function moveWorkspace(k: Kernel, { id, from, patch, liveMax, portBase }: { id: WorkspaceId; from: readonly WorkspaceState[]; patch: Partial<Workspace>; liveMax?: number; portBase?: number }): Workspace | null {
  const before = workspace(k, id);
  if (before === null || !from.includes(before.state)) return null;
  const comesBack = (before.state === "removed" || before.state === "failed") && patch.state === "making";
  const portFirst = comesBack ? freePorts(k, before.portCount, { liveMax: liveMax!, portBase: portBase! }) : before.portFirst;
  const after: Workspace = { ...before, ...patch, portFirst };
  k.run("UPDATE workspace SET state = ?, session = ?, epoch = ?, port_first = ?, data = ? WHERE id = ?", after.state, after.session, after.epoch, portFirst, JSON.stringify(after), id);
  if (after.state !== before.state) tellWorkspace(k, after);
  return after;
}

export function workspace(k: Kernel, id: WorkspaceId): Workspace | null {
  const row = k.get("SELECT data FROM workspace WHERE id = ?", id);
  return row === undefined ? null : JSON.parse(row["data"]);
}

/** Newest first. */
export function workspaces(k: Kernel, { commonDir, states, session, limit }: WorkspaceQuery): Workspace[] {
  const { where, values } = conditions({ common_dir: commonDir, session }, states);
  return k.all(`SELECT data FROM workspace ${where} ORDER BY n DESC LIMIT ?`, ...values, limit).map((row) => JSON.parse(row["data"]));
}

export function addMerge(k: Kernel, merge: Omit<Merge, "n">): Merge {
  const open = k.get("SELECT id FROM merge WHERE workspace_id = ? AND state IN ('queued','running','resolving','advancing','undoing')", merge.workspace);
  if (open !== undefined) throw new Fault("MERGE_IN_LINE", { workspace: merge.workspace, merge: open["id"] });
  // One that was on its way when its plan was cancelled.
  const over = k.get("SELECT p.id FROM plan_task t JOIN plan p ON p.id = t.plan_id WHERE t.workspace = ? AND p.state = 'cancelled'", merge.workspace);
  if (over !== undefined) throw new Fault("PLAN_NOT_WAITING", { plan: over["id"], what: "more work", state: "cancelled" });
  const { n } = k.get("SELECT coalesce(max(n), 0) + 1 AS n FROM merge")! as { n: number };
  const row: Merge = { ...merge, n };
  k.run("INSERT INTO merge (n, id, state, workspace_id, common_dir, onto, commit_id, from_id, to_id, data) VALUES (?,?,?,?,?,?,?,?,?,?)", n, row.id, row.state, row.workspace, row.commonDir, row.onto, row.commit, row.from, row.to, JSON.stringify(row));
  tellMerge(k, row);
  return row;
}

/** All of them or none: a batch advances as one. Null: one was in no such state, or belonged to an older epoch. */
export function moveMerges(k: Kernel, moves: readonly MergeMove[]): Merge[] | null {
  for (const { plan } of moves) if (plan !== undefined) mustGoOn(k, plan, "more work");
  const before = moves.map(({ id }) => merge(k, id));
  if (!before.every((one, at) => one !== null && moves[at]!.from.includes(one.state))) return null;
  // The fence, in the transaction that gives the right to move the ref.
  const isFenced = (one: Merge): boolean => workspace(k, one.workspace)?.epoch !== one.epoch;
  if (before.some((one, at) => moves[at]!.patch.state === "advancing" && isFenced(one!))) return null;
  return before.map((one, at) => {
    const after: Merge = { ...one!, ...moves[at]!.patch };
    k.run("UPDATE merge SET state = ?, workspace_id = ?, commit_id = ?, from_id = ?, to_id = ?, data = ? WHERE id = ?", after.state, after.workspace, after.commit, after.from, after.to, JSON.stringify(after), after.id);
    if (after.state !== one!.state) tellMerge(k, after);
    return after;
  });
}

export function merge(k: Kernel, id: MergeId): Merge | null {
  const row = k.get("SELECT data FROM merge WHERE id = ?", id);
  return row === undefined ? null : JSON.parse(row["data"]);
}

/** Newest first; `line` gives those of one line, oldest first. */
export function merges(k: Kernel, { commonDir, onto, states, workspace: of, limit, oldestFirst }: MergeQuery): Merge[] {
  const { where, values } = conditions({ common_dir: commonDir, onto, workspace_id: of }, states);
  return k.all(`SELECT data FROM merge ${where} ORDER BY n ${oldestFirst ? "ASC" : "DESC"} LIMIT ?`, ...values, limit).map((row) => JSON.parse(row["data"]));
}

function conditions(equal: Readonly<Record<string, string | undefined>>, states: readonly string[] | undefined): { where: string; values: string[] } {
  const given = Object.entries(equal).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const parts = given.map(([column]) => `${column} = ?`);
  // Known words, written out: so the partial indexes are used.
  if (states !== undefined) parts.push(`state IN (${states.map((state) => `'${state}'`).join(",")})`);
  return { where: parts.length === 0 ? "" : `WHERE ${parts.join(" AND ")}`, values: given.map(([, value]) => value) };
}

function tellWorkspace(k: Kernel, { id, state, label, session, branch, backupRef, problem }: Workspace): void {
  if (session !== null) k.emit(session, { type: `workspace.${state}`, data: { workspace: id, label, branch, ...(backupRef === null ? {} : { backupRef }), ...(problem === null ? {} : { problem }) } });
}

function tellMerge(k: Kernel, { id, state, session, workspace: of, onto, from, to, problem, conflict, mendedBy }: Merge): void {
  if (session === null) return;
  const data: Row = { merge: id, workspace: of, onto };
  if (to !== null) Object.assign(data, { from, to });
  if (mendedBy !== null) data["mendedBy"] = mendedBy;
  if (problem !== null) data["problem"] = { ...problem };
  if (conflict !== null) data["files"] = conflict.files.map(({ path }) => path);
  k.emit(session as SessionKey, { type: `merge.${state}`, data });
}
