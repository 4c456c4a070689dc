/** The children of the open session, gathered by flow: what they do, and what can be done about them. */
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { problemAndRemedy, age, count, duration } from "./format.ts";
import { SECOND_MS, useNow } from "./clock.ts";
import { RichText } from "./rich-text.tsx";
import { hasEnded, type TaskRow } from "./state.ts";

const STEER_MAX_CHARS = 10_000;
/** A longer result is folded until it is asked for. */
const RESULT_FOLDED_CHARS = 130;
const RESULT_FOLDED_LINES = 3;

const STATE_NAMES: Readonly<Record<TaskRow["state"], string>> = {
  queued: "in line",
  running: "running",
  waiting: "waiting",
  succeeded: "done",
  failed: "failed",
  timed_out: "timed out",
  cancelled: "stopped",
  lost: "lost",
};

interface Props {
  tasks: readonly TaskRow[];
  onOpen(session: string): void;
  onStop(taskId: string): void;
  onStopFlow(flowId: string): void;
  onSteer(taskId: string, text: string): void;
}

export function Children({ tasks, onOpen, onStop, onStopFlow, onSteer }: Props): VNode {
  const flows = useMemo(() => byFlow(tasks), [tasks]);
  const running = tasks.filter((task) => !hasEnded(task));
  const now = useNow(running.length > 0 ? SECOND_MS : null);
  return (
    <aside class="children" aria-label="Children">
      <h2>
        Children <span class="count">{running.length > 0 ? `${running.length} active of ${tasks.length}` : tasks.length}</span>
      </h2>
      {tasks.length === 0 && <p class="empty">This session has no children. Agents start them for work that can go on beside the conversation.</p>}
      {flows.map(({ flowId, rows }, index) => {
        const active = rows.filter((task) => !hasEnded(task)).length;
        const failed = rows.filter((task) => hasEnded(task) && task.state !== "succeeded").length;
        return (
          <section key={flowId ?? "new"} aria-label={`Flow ${flows.length - index}`}>
            <header class="flow-head">
              <span>
                {rows.length - active} of {rows.length} done{failed > 0 && <span class="problem"> · {failed} failed or stopped</span>}
              </span>
              {active > 1 && flowId !== null && (
                <button type="button" class="quiet" onClick={() => onStopFlow(flowId)}>
                  Stop all
                </button>
              )}
            </header>
            <progress class="flow-progress" max={rows.length} value={rows.length - active} aria-label="Children done" />
            <ul>
              {rows.map((task) => (
                <Child key={task.taskId} task={task} now={hasEnded(task) ? 0 : now} onOpen={onOpen} onStop={onStop} onSteer={onSteer} />
              ))}
            </ul>
          </section>
        );
      })}
    </aside>
  );
}

function Child({ task, now, onOpen, onStop, onSteer }: { task: TaskRow; now: number } & Pick<Props, "onOpen" | "onStop" | "onSteer">): VNode {
  const [isSteering, setSteering] = useState(false);
  const [isUnfolded, setUnfolded] = useState(false);
  const steerField = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => steerField.current?.focus(), [isSteering]);
  const ended = hasEnded(task);
  const ms = (task.endedAt ?? now) - (task.startedAt ?? task.queuedAt);
  const facts = [task.tokens > 0 ? `${count(task.tokens)} tokens` : null, task.model].filter((fact) => fact !== null);
  const isLong = task.result !== null && (task.result.length > RESULT_FOLDED_CHARS || task.result.split("\n").length > RESULT_FOLDED_LINES);
  const outcome = task.fault !== null ? problemAndRemedy(task.fault) : null;
  const steer = (event: Event): void => {
    event.preventDefault();
    const text = steerField.current?.value.trim() ?? "";
    if (text !== "") onSteer(task.taskId, text);
    setSteering(false);
  };
  return (
    <li class="child" data-testid="child" data-state={task.state} data-task-id={task.taskId}>
      <div class="child-head">
        <span class={`dot ${task.state}`} />
        <strong title={task.label}>{task.label}</strong>
        <span class="child-state">{STATE_NAMES[task.state] ?? task.state}</span>
        <time>{ended ? duration(ms) : age(ms)}</time>
      </div>
      {!ended && task.activity !== null && (
        <p class="activity" title={task.activity}>
          {task.activity}
        </p>
      )}
      {outcome !== null && (
        <p class="problem">
          {outcome.problem}
          {outcome.remedy !== null && <span class="remedy">{outcome.remedy}</span>}
        </p>
      )}
      {task.result !== null && task.result !== "" && (
        <div class={isUnfolded ? "result" : isLong ? "result folded long" : "result folded"}>
          <RichText text={task.result} />
        </div>
      )}
      <div class="child-foot">
        <p class="facts" title={facts.join(" · ")}>
          {facts.join(" · ")}
        </p>
        {isLong && (
          <button type="button" class="quiet" aria-expanded={isUnfolded} onClick={() => setUnfolded(!isUnfolded)}>
            {isUnfolded ? "Less" : "More"}
          </button>
        )}
        {task.session !== null && (
          <button type="button" class="quiet" onClick={() => onOpen(task.session!)}>
            Open
          </button>
        )}
        {!ended && (
          <>
            <button type="button" class="quiet" aria-expanded={isSteering} onClick={() => setSteering(!isSteering)}>
              Steer
            </button>
            <button type="button" class="quiet stop" onClick={() => onStop(task.taskId)} aria-label={`Stop ${task.label}`}>
              Stop
            </button>
          </>
        )}
      </div>
      {isSteering && (
        <form class="steer" onSubmit={steer}>
          <input ref={steerField} aria-label={`Tell ${task.label}`} placeholder="Tell it something" maxLength={STEER_MAX_CHARS} />
          <button type="submit" class="primary">
            Tell
          </button>
        </form>
      )}
    </li>
  );
}

/** Flows at work before those that ended, then the newest first; in it, those at work before those that ended. */
function byFlow(tasks: readonly TaskRow[]): { flowId: string | null; rows: TaskRow[] }[] {
  const flows = new Map<string | null, TaskRow[]>();
  for (const task of tasks) flows.set(task.flowId, [...(flows.get(task.flowId) ?? []), task]);
  const newest = (rows: readonly TaskRow[]): number => Math.max(...rows.map((task) => task.queuedAt));
  return [...flows]
    .map(([flowId, rows]) => ({ flowId, rows: rows.sort((a, b) => Number(hasEnded(a)) - Number(hasEnded(b)) || a.queuedAt - b.queuedAt) }))
    .sort((a, b) => Number(a.rows.every(hasEnded)) - Number(b.rows.every(hasEnded)) || newest(b.rows) - newest(a.rows));
}
