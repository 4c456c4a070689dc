/** All sessions by kind: conversations first, then jobs, with children folded away; below them the ways to the task board, the jobs and the simulator. */
import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { useNow } from "./clock.ts";
import { ago, sessionName } from "./format.ts";
import type { SessionRow } from "./state.ts";

interface Group {
  readonly name: string;
  readonly kinds: readonly string[];
  readonly isFolded: boolean;
}
/** How often "5 min" is looked at again. */
const AGO_EVERY_MS = 30_000;
const GROUPS: readonly Group[] = [
  { name: "Conversations", kinds: ["main", "direct", "group"], isFolded: false },
  { name: "Jobs", kinds: ["job"], isFolded: false },
  { name: "Children", kinds: ["subagent", "acp"], isFolded: true },
];

interface Props {
  sessions: ReadonlyMap<string, SessionRow>;
  /** Empty = none. */
  open: string;
  board: { readonly address: string; readonly isOpen: boolean };
  simulator: { readonly address: string; readonly isOpen: boolean };
  jobs: { readonly address: string; readonly isOpen: boolean };
  hasMore: boolean;
  onOpen(key: string): void;
  onNew(): void;
  /** One of the pages below the list was chosen. */
  onPlace(): void;
  onMore(): void;
}

export function SessionsList({ sessions, open, board, simulator, jobs, hasMore, onOpen, onNew, onPlace, onMore }: Props): VNode {
  const [search, setSearch] = useState("");
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const now = useNow(AGO_EVERY_MS);
  const wanted = search.trim().toLowerCase();
  const groups = useMemo(() => grouped(sessions, wanted), [sessions, wanted]);
  const toggle = (name: string): void => setUnfolded((known) => known.symmetricDifference(new Set([name])));

  return (
    <nav class="sessions" aria-label="Sessions" onKeyDown={moveFocus}>
      <div class="sessions-top">
        <input type="search" placeholder="Search sessions" aria-label="Search sessions" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        <button type="button" class="new" onClick={onNew} title="New conversation" aria-label="New conversation">
          +
        </button>
      </div>
      <div class="sessions-rows">
        {groups.map(({ group, rows }) => {
          const isOpen = !group.isFolded || unfolded.has(group.name) || wanted !== "";
          const running = rows.filter((row) => row.state === "running").length;
          return (
            <section key={group.name} aria-label={group.name}>
              {group.isFolded ? (
                <button type="button" class="group-head" aria-expanded={isOpen} onClick={() => toggle(group.name)}>
                  <span class="chevron" aria-hidden="true" />
                  {group.name}
                  <span class="count">{running > 0 ? `${running} running of ${rows.length}` : rows.length}</span>
                </button>
              ) : (
                <h2 class="group-head">
                  {group.name}
                  <span class="count">{rows.length}</span>
                </h2>
              )}
              {isOpen && (
                <ul>
                  {rows.map((row) => (
                    <Row key={row.key} row={row} now={now} isOpen={row.key === open} onOpen={onOpen} />
                  ))}
                </ul>
              )}
            </section>
          );
        })}
        {groups.length === 0 && <p class="empty">{wanted === "" ? "No sessions yet." : "No session matches."}</p>}
        {hasMore && (
          <button type="button" class="quiet more" onClick={onMore}>
            Show more sessions
          </button>
        )}
      </div>
      <p class="sessions-foot">
        <a class="quiet" href={board.address} data-testid="board-open" aria-current={board.isOpen ? "page" : undefined} title="All tasks by their state" onClick={onPlace}>
          Board
        </a>
        <a class="quiet" href={jobs.address} data-testid="jobs-open" aria-current={jobs.isOpen ? "page" : undefined} title="What runs by itself?" onClick={onPlace}>
          Jobs
        </a>
        <a class="quiet" href={simulator.address} data-testid="simulate-open" aria-current={simulator.isOpen ? "page" : undefined} title="How long would people wait?" onClick={onPlace}>
          Simulate
        </a>
      </p>
    </nav>
  );
}

function Row({ row, now, isOpen, onOpen }: { row: SessionRow; now: number; isOpen: boolean; onOpen(key: string): void }): VNode {
  return (
    <li>
      <button type="button" class="session" data-testid="session" data-session={row.key} data-state={row.state} aria-current={isOpen ? "true" : undefined} title={row.key} onClick={() => onOpen(row.key)}>
        <span class={`dot ${row.state}`} title={row.state} />
        <span class="name">{sessionName(row)}</span>
        {row.unread && <span class="unread" role="img" aria-label="unread" />}
        {row.waitingMessages > 0 && <span class="count" title={`${row.waitingMessages} waiting`}>{`+${row.waitingMessages}`}</span>}
        <span class="when">{row.state === "running" ? "running" : row.state === "idle" || row.state === "archived" ? ago(now - row.lastAt) : row.state}</span>
      </button>
    </li>
  );
}

function grouped(sessions: ReadonlyMap<string, SessionRow>, wanted: string): { group: Group; rows: SessionRow[] }[] {
  const rows = [...sessions.values()].filter((row) => wanted === "" || row.key.toLowerCase().includes(wanted) || sessionName(row).toLowerCase().includes(wanted));
  rows.sort((a, b) => b.lastAt - a.lastAt);
  const known = GROUPS.flatMap((group) => group.kinds);
  return GROUPS.map((group, index) => ({
    group,
    // A kind that this page does not know is a conversation to it.
    rows: rows.filter((row) => group.kinds.includes(row.kind) || (index === 0 && !known.includes(row.kind))),
  })).filter(({ rows: some }) => some.length > 0);
}

/** Up and down move between sessions, as in any list. */
function moveFocus(event: KeyboardEvent): void {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLButtonElement>("button.session")];
  const index = rows.indexOf(document.activeElement as HTMLButtonElement);
  const next = rows[index < 0 ? 0 : index + (event.key === "ArrowDown" ? 1 : -1)];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}
