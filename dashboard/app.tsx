/**
 * The page: sessions, the open conversation and its children, side by side or as tabs.
 *
 * The address names the open session after `#/`, so that reload, back and bookmarks work; `#simulate`
 * is the simulator, `#jobs` the jobs and `#board` the task board, which no session can be taken for. Nothing else is ever read from the address.
 */
import type { VNode } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, problemOf } from "./api.ts";
import type { Board } from "./board.tsx";
import { Chat } from "./chat.tsx";
import { Children } from "./children.tsx";
import { NO_CONVERSATION, type MessageItem } from "./conversation.ts";
import type { Gateway } from "./gateway.ts";
import { Header } from "./header.tsx";
import type { JobsPage } from "./jobs.tsx";
import { Login } from "./login.tsx";
import { SessionsList } from "./sessions-list.tsx";
import type { Kept, Simulate } from "./simulate.tsx";
import { hasEnded, tasksOf, turnsOf, type State } from "./state.ts";
import { useStore, type Store } from "./store.ts";

const COMPLAINT_SHOWN_MS = 8000;
const NEW_NAME_CHARS = 12;
const SIMULATOR_ADDRESS = "#simulate";
const BOARD_ADDRESS = "#board";
const JOBS_ADDRESS = "#jobs";

type Pane = "sessions" | "chat" | "children";
/** What the middle of the page shows. */
type Place = "chat" | "simulator" | "board" | "jobs";

const PLACE_NAMES: Readonly<Record<Place, string>> = { chat: "Chat", simulator: "Simulate", board: "Board", jobs: "Jobs" };

export function App({ store, gateway }: { store: Store; gateway: Gateway }): VNode {
  const state = useStore(store);
  const { open } = state;
  const [pane, setPane] = useState<Pane>("chat");
  const [complaint, complain] = useComplaint();
  const drafts = useRef(new Map<string, string>());
  const [place, setPlace] = useState(placeInAddress);
  const isSimulating = place === "simulator";
  const simulation = useRef<Kept>({ typed: {}, report: null });

  const show = useCallback((session: string): void => {
    store.dispatch({ type: "open", session });
    setPane("chat");
    setPlace("chat");
    if (sessionInAddress() !== session) location.hash = addressOf(session);
  }, []);
  useEffect(() => {
    const follow = (): void => {
      setPlace(placeInAddress());
      const session = sessionInAddress();
      if (session !== null && session !== store.get().open) show(session);
    };
    follow();
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  // Nothing was chosen: the main session.
  useEffect(() => {
    if (open !== "" || !state.isListed || place !== "chat") return;
    const main = `agent:${agentOf(state)}:main`;
    if (!state.sessions.has(main)) gateway.markFresh(main, false);
    show(main);
  }, [open, state.isListed, place]);

  const turns = useMemo(() => turnsOf(state, open), [state.turns, open]);
  const tasks = useMemo(() => tasksOf(state, open), [state.tasks, open]);
  const active = tasks.filter((task) => !hasEnded(task)).length;
  const unread = useMemo(() => [...state.sessions.values()].filter((row) => row.unread && row.parent === null).length, [state.sessions]);
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Yardmaster` : "Yardmaster";
  }, [unread]);

  if (state.access === "login") return <Login gateway={gateway} />;

  /** Does something that the gateway may refuse; a refusal is shown, never lost. */
  const act = (work: Promise<unknown>): void => void work.catch((thrown: unknown) => complain(problemOf(thrown)));
  const openNew = (): void => {
    const key = newSessionKey(agentOf(state));
    gateway.markFresh(key, true);
    show(key);
  };
  const session = state.sessions.get(open);

  return (
    <div class="page" data-pane={pane} data-children={tasks.length > 0 && place === "chat" ? "yes" : "no"}>
      <div class="tabs" role="group" aria-label="Panes">
        <Tab name="Sessions" isOn={pane === "sessions"} badge={unread} onClick={() => setPane("sessions")} />
        <Tab name={PLACE_NAMES[place]} isOn={pane === "chat"} badge={0} onClick={() => setPane("chat")} />
        <Tab name="Children" isOn={pane === "children"} badge={active} onClick={() => setPane("children")} />
      </div>
      <SessionsList
        sessions={state.sessions}
        open={place === "chat" ? open : ""}
        board={{ address: BOARD_ADDRESS, isOpen: place === "board" }}
        simulator={{ address: SIMULATOR_ADDRESS, isOpen: isSimulating }}
        jobs={{ address: JOBS_ADDRESS, isOpen: place === "jobs" }}
        hasMore={state.sessionsNext !== null}
        onOpen={show}
        onNew={openNew}
        onPlace={() => setPane("chat")}
        onMore={() => act(gateway.loadMoreSessions())}
      />
      <main class="main">
        {isSimulating ? (
          <Simulator kept={simulation.current} back={addressOf(open)} />
        ) : place === "board" ? (
          <TaskBoard back={addressOf(open)} onOpen={show} />
        ) : place === "jobs" ? (
          <Jobs back={addressOf(open)} onOpenSession={show} />
        ) : (
          <>
            <Header
              state={state}
              session={session}
              sessionKey={open}
              turns={turns}
              onOpen={show}
              onStop={() => act(api.cancelSession(open))}
              onStopTurn={(handle) => act(api.cancelTurn(open, handle))}
              onPromote={() => act(api.promote(open))}
            />
            {/* Before the first listing no session is chosen, and a message would have nowhere to go. */}
            {open !== "" && (
              <Chat
                session={open}
                conversation={state.conversations.get(open) ?? NO_CONVERSATION}
                turns={turns}
                drafts={drafts.current}
                onSend={(text) => gateway.send(open, text)}
                onAgain={(item: MessageItem) => gateway.sendAgain(open, item.id, item.text)}
                onForget={(item: MessageItem) => store.dispatch({ type: "forget", session: open, clientMessageId: item.id })}
                onOlder={() => gateway.loadOlder(open).catch((thrown: unknown) => complain(problemOf(thrown)))}
                onReload={() => void gateway.loadConversation(open)}
              />
            )}
          </>
        )}
      </main>
      <Children
        tasks={tasks}
        onOpen={show}
        onStop={(taskId) => act(api.cancelTask(taskId))}
        onStopFlow={(flowId) => act(api.cancelFlow(flowId))}
        onSteer={(taskId, text) => act(api.steerTask(taskId, text))}
      />
      {complaint !== null && (
        <div class="complaint" role="alert">
          {complaint}
        </div>
      )}
    </div>
  );
}

function Tab({ name, isOn, badge, onClick }: { name: string; isOn: boolean; badge: number; onClick(): void }): VNode {
  return (
    <button type="button" aria-pressed={isOn} onClick={onClick}>
      {name}
      {badge > 0 && <span class="badge">{badge}</span>}
    </button>
  );
}

/** The simulator is fetched when it is first looked at, so that the chat stays small. */
function Simulator(props: Parameters<typeof Simulate>[0]): VNode {
  const [Page, setPage] = useState<{ readonly Simulate: typeof Simulate } | "failed" | null>(null);
  useEffect(() => void import("./simulate.tsx").then(setPage, () => setPage("failed")), []);
  if (Page === "failed") return <p class="empty problem">The simulator cannot be fetched from the gateway; reload the page to try again.</p>;
  return Page === null ? <p class="empty">Loading…</p> : <Page.Simulate {...props} />;
}

/** The board is fetched when it is first looked at, too. */
function TaskBoard(props: Parameters<typeof Board>[0]): VNode {
  const [Page, setPage] = useState<{ readonly Board: typeof Board } | "failed" | null>(null);
  useEffect(() => void import("./board.tsx").then(setPage, () => setPage("failed")), []);
  if (Page === "failed") return <p class="empty problem">The board cannot be fetched from the gateway; reload the page to try again.</p>;
  return Page === null ? <p class="empty">Loading…</p> : <Page.Board {...props} />;
}

/** So are the jobs. */
function Jobs(props: Parameters<typeof JobsPage>[0]): VNode {
  const [Page, setPage] = useState<{ readonly JobsPage: typeof JobsPage } | "failed" | null>(null);
  useEffect(() => void import("./jobs.tsx").then(setPage, () => setPage("failed")), []);
  if (Page === "failed") return <p class="empty problem">The jobs cannot be fetched from the gateway; reload the page to try again.</p>;
  return Page === null ? <p class="empty">Loading…</p> : <Page.JobsPage {...props} />;
}

function useComplaint(): [string | null, (text: string) => void] {
  const [complaint, setComplaint] = useState<string | null>(null);
  useEffect(() => {
    if (complaint === null) return;
    const timer = setTimeout(() => setComplaint(null), COMPLAINT_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [complaint]);
  return [complaint, setComplaint];
}

function addressOf(session: string): string {
  return `#/${encodeURIComponent(session)}`;
}

function placeInAddress(): Place {
  if (location.hash === SIMULATOR_ADDRESS) return "simulator";
  if (location.hash === BOARD_ADDRESS) return "board";
  return location.hash === JOBS_ADDRESS ? "jobs" : "chat";
}

function sessionInAddress(): string | null {
  if (!location.hash.startsWith("#/")) return null;
  try {
    return decodeURIComponent(location.hash.slice(2)) || null;
  } catch {
    return null;
  }
}

/** The gateway makes the session when its first message comes. */
function newSessionKey(agent: string): string {
  const name = crypto.randomUUID().replaceAll("-", "").slice(0, NEW_NAME_CHARS);
  return `agent:${agent}:web:direct:${name}`;
}

/** The agent that a new conversation is with. */
function agentOf(state: State): string {
  return state.status?.agents[0] ?? "main";
}
