/** The line on top: which session, whether the gateway is there, what runs and how to stop it. */
import type { VNode } from "preact";
import { SECOND_MS, useNow } from "./clock.ts";
import { age, oneLine, sessionName } from "./format.ts";
import type { RunningTurn, SessionRow, State } from "./state.ts";

const ABOUT_MAX_CHARS = 40;

const CONNECTIONS: Readonly<Record<State["connection"], string>> = { connecting: "connecting", open: "connected", lost: "reconnecting" };

interface Props {
  state: Pick<State, "connection" | "pools" | "status">;
  session: SessionRow | undefined;
  sessionKey: string;
  turns: readonly RunningTurn[];
  onOpen(session: string): void;
  onStop(): void;
  onStopTurn(handle: string): void;
  onPromote(): void;
}

export function Header({ state, session, sessionKey, turns, onOpen, onStop, onStopTurn, onPromote }: Props): VNode {
  const { connection, pools, status } = state;
  const main = turns.find((turn) => turn.track === "main");
  const side = turns.filter((turn) => turn.track === "side");
  const used = pools.filter((pool) => pool.used > 0 || pool.waiting > 0 || pool.name === "main");
  const model = session?.model ?? status?.model;
  return (
    <header class="header">
      <div class="header-line">
        <h1 title={sessionKey}>{session === undefined ? "New conversation" : sessionName(session)}</h1>
        {session?.parent != null && (
          <button type="button" class="quiet" onClick={() => onOpen(session.parent!)}>
            ↑ Parent
          </button>
        )}
        <span class="spread" />
        {main !== undefined && (
          <>
            <button type="button" class="quiet promote" onClick={onPromote} title="Let it go on beside the conversation">
              To background
            </button>
            <button type="button" class="stop" data-testid="stop" onClick={onStop}>
              Stop
            </button>
          </>
        )}
        <p class="facts">
          {model != null && (
            <span class="model" title="Model">
              {model}
            </span>
          )}
          {used.length > 0 && (
            <span class="pools" data-testid="pools" title="Slots in use">
              {used.map((pool) => (
                <span key={pool.name} class={pool.waiting > 0 ? "pool waiting" : "pool"}>
                  {pool.name} {pool.used}/{pool.size}
                  {pool.waiting > 0 && ` +${pool.waiting}`}
                </span>
              ))}
            </span>
          )}
          <span class={`connection ${connection}`} role="status" data-testid="connection" data-state={connection}>
            <span class="dot" aria-hidden="true" />
            {status?.draining === true ? "shutting down" : CONNECTIONS[connection]}
          </span>
        </p>
      </div>
      {side.length > 0 && (
        <ul class="side-tracks" aria-label="In the background">
          {side.map((turn) => (
            <SideTrack key={turn.turnId} turn={turn} onStop={() => onStopTurn(turn.handle)} />
          ))}
        </ul>
      )}
    </header>
  );
}

function SideTrack({ turn, onStop }: { turn: RunningTurn; onStop(): void }): VNode {
  const now = useNow(SECOND_MS);
  return (
    <li class="side-track" data-testid="side-track" data-handle={turn.handle}>
      <span class="pulse" aria-hidden="true" />
      <strong>{turn.handle}</strong>
      <span class="about" title={turn.about}>
        {turn.about === "" ? "working" : oneLine(turn.about, ABOUT_MAX_CHARS)}
      </span>
      <time>{age(now - turn.startedAt)}</time>
      <button type="button" class="quiet stop" onClick={onStop} aria-label={`Stop ${turn.handle}`}>
        Stop
      </button>
    </li>
  );
}
