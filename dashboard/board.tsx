/** The task board: all children as cards, in columns by their state. It looks again every few seconds while it is open. */
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ApiTask, Board as BoardAnswer } from "../src/api/wire.ts";
import { api, problemOf } from "./api.ts";
import { useNow } from "./clock.ts";
import { age, ago, count, duration, oneLine, tokensOf } from "./format.ts";
import "./board.css";

const LOOK_EVERY_MS = 3_000;
const TEXT_MAX_CHARS = 200;

const NAMES: Readonly<Record<BoardAnswer["columns"][number]["name"], string>> = { queued: "In line", running: "Running", waiting: "Waiting", done: "Done", failed: "Failed", cancelled: "Stopped" };

interface Props {
  back: string;
  onOpen(session: string): void;
}

export function Board({ back, onOpen }: Props): VNode {
  const [board, setBoard] = useState<BoardAnswer | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [search, setSearch] = useState("");
  const now = useNow(LOOK_EVERY_MS);
  useEffect(() => {
    const mine = new AbortController();
    api.board(search.trim(), mine.signal).then(
      (answer) => {
        setBoard(answer);
        setProblem(null);
      },
      (thrown: unknown) => {
        if (!mine.signal.aborted) setProblem(problemOf(thrown));
      },
    );
    return () => mine.abort();
  }, [now, search]);

  return (
    <>
      <header class="header">
        <div class="header-line">
          <h1>Task board</h1>
          <span class="spread" />
          <input type="search" class="board-search" aria-label="Find tasks" placeholder="Find by label" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
          <a class="quiet" href={back} title="Back to the chat">
            ← Chat
          </a>
        </div>
      </header>
      {problem !== null && <p class="empty problem">{problem}</p>}
      {board === null && problem === null && <p class="empty">Loading…</p>}
      {board !== null && (
        <div class="board" data-testid="board">
          {board.columns.map(({ name, total, isMore, cards }) => (
            <section key={name} data-column={name} aria-label={NAMES[name]}>
              <h2>
                {NAMES[name]} <span class="count">{`${total}${isMore ? "+" : ""}`}</span>
              </h2>
              <ul>
                {cards.map((card) => (
                  <Card key={card.taskId} card={card} now={now} onOpen={onOpen} />
                ))}
              </ul>
            </section>
          ))}
        </div>
      )}
    </>
  );
}

function sinceEnd(ms: number): string {
  const since = ago(ms);
  return since === "now" ? "just now" : `${since} ago`;
}

function Card({ card, now, onOpen }: { card: ApiTask; now: number } & Pick<Props, "onOpen">): VNode {
  const took = card.endedAt === null ? age(now - card.queuedAt) : duration(card.endedAt - card.queuedAt);
  const tokens = tokensOf(card.usage);
  const facts = [took, card.endedAt === null ? null : sinceEnd(now - card.endedAt), tokens > 0 ? `${count(tokens)} tokens` : null, card.usage.cost !== null && card.usage.cost > 0 ? `$${card.usage.cost.toFixed(4)}` : null];
  return (
    <li>
      <button type="button" class="card" data-testid="card" data-task-id={card.taskId} title={card.label} onClick={() => onOpen(card.session)}>
        <span class="card-label">
          <span class={`dot ${card.state}`} />
          {card.label}
        </span>
        {card.fault !== undefined && <span class="problem">{oneLine(card.fault.message, TEXT_MAX_CHARS)}</span>}
        {card.result !== undefined && <span class="card-result">{oneLine(card.result, TEXT_MAX_CHARS)}</span>}
        <span class="facts">{facts.filter((fact) => fact !== null).join(" · ")}</span>
      </button>
    </li>
  );
}
