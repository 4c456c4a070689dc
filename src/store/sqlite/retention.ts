/**
 * Retention: what is old enough goes, a few rows at a time.
 *
 * A pass walks the tables by key and looks at `rowsMax` rows in each step, so that a step takes a
 * few milliseconds however large the tables are, and needs no index that the hot path would pay for.
 *
 * Always true:
 *   - events go from the front: a session's numbers start after `forgotten_seq`, without gaps
 *   - what is unfinished, undelivered or owed stays, however old
 *   - a session that was put away goes whole; its task and result stay until they are old themselves
 *
 * The file does not shrink: freed pages are used before it grows.
 */
import type { SessionKey } from "../../base/ids.ts";
import type { Keep, SweepPlace, Swept, SweepStep } from "../store.ts";
import type { Kernel, Row } from "./kernel.ts";

/** What one step removes at most, bytes of large columns. */
const STEP_BYTES_MAX = 128 * 1024;

type Part = SweepPlace["part"];
/** What a part did with its rows: how many it removed, and after which key it goes on; null = it is done. */
type Done = readonly [removed: number, after: string | null];

const PARTS: Readonly<Record<Part, (k: Kernel, keep: Keep, after: string, rowsMax: number) => Done>> = { events, transcripts, results, messages, journals };
const ORDER = Object.keys(PARTS) as Part[];

export function sweep(k: Kernel, { keep, place, rowsMax }: SweepStep): Swept {
  const { part, after } = place ?? { part: ORDER[0]!, after: "" };
  const [removed, goOn] = PARTS[part](k, keep, after, rowsMax);
  const following = ORDER[ORDER.indexOf(part) + 1];
  const next = goOn !== null ? { part, after: goOn } : following === undefined ? null : { part: following, after: "" };
  const pageBytes = k.count("PRAGMA page_size");
  const pages = k.count("PRAGMA page_count");
  return { removed, next, usedBytes: (pages - k.count("PRAGMA freelist_count")) * pageBytes, fileBytes: pages * pageBytes };
}

function events(k: Kernel, { eventsAfter }: Keep, after: string, rowsMax: number): Done {
  const oldest = k.all("SELECT cursor, session, seq, at, octet_length(data) AS bytes FROM event WHERE cursor > ? ORDER BY cursor LIMIT ?", Number(after), rowsMax);
  const young = oldest.findIndex((row) => row["at"] >= eventsAfter);
  const old = upToBytes(young === -1 ? oldest : oldest.slice(0, young));
  if (old.length === 0) return [0, null];
  const last = old.at(-1)!["cursor"];
  forget(k, old);
  k.run("DELETE FROM event WHERE cursor <= ?", last);
  k.run("UPDATE meta SET value = ? WHERE name = 'forgotten_cursor'", last);
  return [old.length, young === -1 || old.length < young ? String(last) : null];
}

/** The first of the rows, as many as go in a few milliseconds; one at least. */
function upToBytes(rows: readonly Row[]): readonly Row[] {
  let bytes = 0;
  const end = rows.findIndex((row) => (bytes += row["bytes"]) > STEP_BYTES_MAX);
  return end === -1 ? rows : rows.slice(0, Math.max(1, end));
}

/** Notes up to which number the events of each session are gone. */
function forget(k: Kernel, rows: readonly Row[]): void {
  const upTo = new Map(rows.map((row) => [row["session"], row["seq"]]));
  for (const [session, seq] of upTo) k.run("UPDATE lane SET forgotten_seq = ? WHERE session = ?", seq, session);
}

function transcripts(k: Kernel, { archivedAfter }: Keep, after: string, rowsMax: number): Done {
  const [at, key] = pairOf(after);
  const row = k.get("SELECT key, archived_at FROM session WHERE archived_at < ?1 AND (archived_at, key) > (?2, ?3) ORDER BY archived_at, key LIMIT 1", archivedAfter, at, key);
  if (row === undefined) return [0, null];
  const session = row["key"] as SessionKey;
  const passed = `${row["archived_at"]} ${session}`;
  if (!isOver(k, session)) return [0, passed];
  let left = rowsMax;
  for (const remove of [removeEvents, removeEntries]) {
    const { removed, isCut } = remove(k, session, left);
    if (isCut) return [removed, after];
    left -= removed;
  }
  left -= removeTurns(k, session, left);
  // What children announced goes with the session itself, so that none looks as if it had not been announced.
  if (left > 0) left -= k.run("DELETE FROM message WHERE session = ?1 AND n IN (SELECT n FROM message WHERE session = ?1 AND child_task IS NULL ORDER BY n LIMIT ?2)", session, left);
  if (left <= 0) return [rowsMax, after];
  k.run("DELETE FROM session WHERE key = ?", session);
  k.forget(); // bindings went with it
  return [rowsMax - left + 1, passed];
}

/** Nothing of it runs, waits, or is still to be delivered. */
function isOver(k: Kernel, session: SessionKey): boolean {
  const open = k.get(
    `SELECT 1 FROM lane WHERE session = ?1 AND state <> 'idle'
     UNION ALL SELECT 1 FROM turn WHERE session = ?1 AND state = 'running'
     UNION ALL SELECT 1 FROM task WHERE session = ?1 AND ended_at IS NULL
     UNION ALL SELECT 1 FROM task WHERE parent_session = ?1 AND ended_at IS NULL
     UNION ALL SELECT 1 FROM task t JOIN message m ON m.child_task = t.id WHERE t.session = ?1 AND m.state IN ('waiting','held','taken')
     LIMIT 1`,
    session,
  );
  return open === undefined;
}

interface Removed {
  readonly removed: number;
  /** More may be left. */
  readonly isCut: boolean;
}

function removeEvents(k: Kernel, session: SessionKey, rowsMax: number): Removed {
  const found = k.all("SELECT cursor, session, seq, octet_length(data) AS bytes FROM event WHERE session = ? ORDER BY seq LIMIT ?", session, rowsMax);
  const rows = upToBytes(found);
  if (rows.length === 0) return { removed: 0, isCut: false };
  forget(k, rows);
  return { removed: k.run("DELETE FROM event WHERE session = ? AND seq <= ?", session, rows.at(-1)!["seq"]), isCut: rows.length < found.length || found.length === rowsMax };
}

function removeEntries(k: Kernel, session: SessionKey, rowsMax: number): Removed {
  const found = k.all("SELECT seq, octet_length(content) AS bytes FROM entry WHERE session = ? ORDER BY seq LIMIT ?", session, rowsMax);
  const rows = upToBytes(found);
  if (rows.length === 0) return { removed: 0, isCut: false };
  return { removed: k.run("DELETE FROM entry WHERE session = ? AND seq <= ?", session, rows.at(-1)!["seq"]), isCut: rows.length < found.length || found.length === rowsMax };
}

function removeTurns(k: Kernel, session: SessionKey, rowsMax: number): number {
  let removed = 0;
  for (const turn of rowsMax > 0 ? k.all("SELECT id FROM turn WHERE session = ? ORDER BY handle LIMIT ?", session, rowsMax) : []) {
    removed += removeSteps(k, turn["id"], rowsMax - removed);
    if (removed >= rowsMax) break;
    removed += k.run("DELETE FROM turn WHERE id = ?", turn["id"]);
  }
  return removed;
}

function removeSteps(k: Kernel, turn: string, rowsMax: number): number {
  return k.run("DELETE FROM step WHERE turn_id = ?1 AND n IN (SELECT n FROM step WHERE turn_id = ?1 ORDER BY n LIMIT ?2)", turn, Math.max(0, rowsMax));
}

function results(k: Kernel, { resultsAfter }: Keep, after: string, rowsMax: number): Done {
  const [at, id] = pairOf(after);
  const rows = k.all("SELECT id, ended_at, flow_id, session FROM task WHERE ended_at < ?1 AND (ended_at, id) > (?2, ?3) ORDER BY ended_at, id LIMIT ?4", resultsAfter, at, id, rowsMax);
  let removed = 0;
  for (const task of rows) {
    const kept = k.get(
      `SELECT 1 FROM session WHERE key = ?2
       UNION ALL SELECT 1 FROM message WHERE child_task = ?1 AND state IN ('waiting','held','taken')
       UNION ALL SELECT 1 FROM barrier_task t JOIN barrier b ON b.id = t.barrier_id WHERE t.task_id = ?1 AND b.state = 'open'
       UNION ALL SELECT 1 FROM task WHERE flow_id = ?3 AND ended_at IS NULL
       LIMIT 1`,
      task["id"], task["session"], task["flow_id"],
    );
    if (kept !== undefined) continue;
    removed += k.run("DELETE FROM task WHERE id = ?", task["id"]);
    k.run("DELETE FROM flow WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM task WHERE flow_id = ?1)", task["flow_id"]);
  }
  const last = rows.at(-1);
  return [removed, last === undefined || rows.length < rowsMax ? null : `${last["ended_at"]} ${last["id"]}`];
}

function messages(k: Kernel, { messagesAfter }: Keep, after: string, rowsMax: number): Done {
  const rows = k.all("SELECT id, state, accepted_at, child_task FROM message WHERE id > ? ORDER BY id LIMIT ?", after, rowsMax);
  let removed = 0;
  for (const { id, state, accepted_at: at, child_task: child } of rows) {
    const isOld = at < messagesAfter && (state === "answered" || state === "failed" || state === "cancelled");
    if (!isOld || (child !== null && k.get("SELECT 1 FROM task WHERE id = ?", child) !== undefined)) continue;
    removed += k.run("DELETE FROM message WHERE id = ?", id);
  }
  return [removed, rows.length < rowsMax ? null : rows.at(-1)!["id"]];
}

function journals(k: Kernel, { eventsAfter }: Keep, after: string, rowsMax: number): Done {
  const rows = k.all("SELECT id, ended_at FROM turn WHERE id > ? ORDER BY id LIMIT ?", after, rowsMax);
  let removed = 0;
  let passed = after;
  for (const { id, ended_at: endedAt } of rows) {
    if (removed >= rowsMax) return [removed, passed];
    if (endedAt !== null && endedAt < eventsAfter) {
      removed += removeSteps(k, id, rowsMax - removed);
      if (removed >= rowsMax) return [removed, passed]; // some may be left: it is looked at again
      if (k.get("SELECT 1 FROM message WHERE turn_id = ? LIMIT 1", id) === undefined) removed += k.run("DELETE FROM turn WHERE id = ?", id);
    }
    passed = id;
  }
  return [removed, rows.length < rowsMax ? null : passed];
}

/** A place in an order by time and key. */
function pairOf(after: string): [number, string] {
  const gap = after.indexOf(" ");
  return gap === -1 ? [-1, ""] : [Number(after.slice(0, gap)), after.slice(gap + 1)];
}
