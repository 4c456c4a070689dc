/**
 * The simulator: a form of what could come, and how long people would then wait.
 *
 * One simulation at a time; leaving ends it. The picture is shown as an image, so nothing in it can run.
 */
import { Fragment, type VNode } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { SimulationReport } from "../src/api/wire.ts";
import { Refusal, api, problemOf } from "./api.ts";
import { GROUPS, columnName, fieldProblem, formWith, pictureAddress, requestOf, seconds, spreadRows, waitRows, type FieldName, type Form, type Settings } from "./simulation.ts";
import "./simulate.css";

/** Waits that are shown unfolded. */
const WAITS_UNFOLDED_MAX = 24;
/** Waits that are listed at all; the table above counts all of them. */
const WAITS_LISTED_MAX = 500;

/** What stays while the person looks at a conversation. */
export interface Kept {
  typed: Partial<Form>;
  report: SimulationReport | null;
}

interface Problem {
  /** Null = it is about no field, and stands below the form. */
  readonly field: FieldName | null;
  readonly text: string;
}

export function Simulate({ kept, back }: { kept: Kept; back: string }): VNode {
  const [settings, setSettings] = useState<Settings>({});
  const [typed, setTyped] = useState(kept.typed);
  const [first] = useState(kept.report);
  const [report, setReport] = useState(first);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [run, setRun] = useState<AbortController | null>(null);
  const runs = useRef<AbortController | null>(null);
  const fields = useRef<HTMLFormElement>(null);
  const form = useMemo(() => formWith(settings, typed), [settings, typed]);

  useEffect(() => {
    const gone = new AbortController();
    const failed = (thrown: unknown): void => {
      if (!gone.signal.aborted) setProblem({ field: null, text: `The gateway's settings are not known here, so its fallbacks count: ${problemOf(thrown)}` });
    };
    api.config(gone.signal).then(({ settings: now }) => setSettings(now), failed);
    return () => {
      gone.abort();
      runs.current?.abort();
    };
  }, []);

  const type = (name: FieldName, text: string): void => {
    kept.typed = { ...kept.typed, [name]: text };
    setTyped(kept.typed);
    if (problem?.field === name) setProblem(null);
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (run !== null) return;
    const mine = new AbortController();
    runs.current = mine;
    setRun(mine);
    setProblem(null);
    try {
      kept.report = await api.simulate(requestOf(form, settings), mine.signal);
      setReport(kept.report);
    } catch (thrown) {
      if (mine.signal.aborted) return;
      const at = thrown instanceof Refusal ? fieldProblem(thrown.fault, form) : null;
      setProblem(at === null ? { field: null, text: problemOf(thrown) } : { field: at.name, text: at.problem });
      if (at !== null) (fields.current?.elements.namedItem(at.name) as HTMLElement | null)?.focus();
    } finally {
      setRun(null);
    }
  };

  return (
    <>
      <header class="header simulate-header">
        <div class="header-line">
          <h1>How long will people wait?</h1>
          <span class="spread" />
          <a class="quiet" href={back} title="Back to the chat">
            ← Chat
          </a>
        </div>
      </header>
      <div class="simulate">
        <form ref={fields} data-testid="simulate-form" noValidate onSubmit={(event) => void submit(event)}>
          {GROUPS.map((group) => (
            <fieldset key={group.name}>
              <legend>{group.name}</legend>
              {group.fields.map(({ name, label, hint, keyboard, choices }) => {
                const wrong = problem?.field === name ? problem.text : null;
                const common = { id: `simulate-${name}`, name, value: form[name], "aria-invalid": wrong !== null, "aria-describedby": `simulate-${name}-hint` };
                return (
                  <div key={name} class={wrong === null ? "field" : "field wrong"}>
                    <label for={common.id}>{label}</label>
                    {choices === undefined ? (
                      <input {...common} inputMode={keyboard} autocomplete="off" autocapitalize="none" spellcheck={false} onInput={(event) => type(name, event.currentTarget.value)} />
                    ) : (
                      <select {...common} onChange={(event) => type(name, event.currentTarget.value)}>
                        {choices.map((choice) => (
                          <option key={choice}>{choice}</option>
                        ))}
                      </select>
                    )}
                    <p id={`simulate-${name}-hint`} class={wrong === null ? "hint" : "hint problem"} role={wrong === null ? undefined : "alert"}>
                      {wrong ?? hint}
                    </p>
                  </div>
                );
              })}
            </fieldset>
          ))}
          <div class="simulate-do">
            <button type="submit" class="primary" data-testid="simulate-run" disabled={run !== null}>
              {run === null ? "Run" : "Running…"}
            </button>
            {run !== null && (
              <button type="button" class="quiet" onClick={() => run.abort()}>
                Cancel
              </button>
            )}
            <p class="facts">The gateway's own scheduler, under a clock that jumps. No model is asked. All else is as this gateway is set, and messages do not wait to be joined.</p>
          </div>
          {problem?.field === null && (
            <p class="problem" role="alert">
              {problem.text}
            </p>
          )}
        </form>
        {report !== null && <Results report={report} first={first} isOld={run !== null} />}
      </div>
    </>
  );
}

/** @param first  what was on show already when the person came; it does not move the page. */
function Results({ report, first, isOld }: { report: SimulationReport; first: SimulationReport | null; isOld: boolean }): VNode {
  const { columns, svg } = report;
  const picture = useMemo(() => (svg === undefined ? null : pictureAddress(svg)), [svg]);
  const rows = useMemo(() => waitRows(report), [report]);
  // On a small screen the form fills it, and a new answer would come unseen.
  const answer = useRef<HTMLDivElement>(null);
  const seen = useRef(first);
  useEffect(() => {
    if (seen.current !== report) answer.current?.scrollIntoView({ block: "nearest" });
    seen.current = report;
  }, [report]);
  const isCompared = columns.length > 1;
  const answers = columns.map((column) => (isCompared ? `${columnName(column)}: ${column.answer}` : column.answer)).join(" ");
  return (
    <section class={isOld ? "results old" : "results"} aria-label="Results" aria-busy={isOld}>
      <div ref={answer} class="answer" data-testid="simulate-answer" role="status">
        {columns.map((column, index) => (
          <p key={index}>
            {isCompared && <strong>{columnName(column)}</strong>}
            {column.answer}
          </p>
        ))}
      </div>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th />
              {["mean", "p50", "p95", "max"].map((heading) => (
                <th key={heading} scope="col">
                  {heading}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {spreadRows(columns).map(({ name, cells }, row) => (
              <tr key={row}>
                <th scope="row">{name}</th>
                {cells.map((cell, index) => (
                  <td key={index}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <details class="waits" data-testid="simulate-waits" open={rows.length <= WAITS_UNFOLDED_MAX} key={`${rows.length}`}>
        <summary>
          <span class="chevron" aria-hidden="true" />
          Every wait
          {isCompared && <span class="count">{columns.map(columnName).join(" → ")}</span>}
          <span class="count">{rows.length}</span>
        </summary>
        <ol>
          {rows.slice(0, WAITS_LISTED_MAX).map(({ name, waits }) => (
            <li key={name}>
              <span>{name}</span>
              <span>
                {waits.map(({ text, isWait }, index) => (
                  <Fragment key={index}>
                    {index > 0 && " → "}
                    <span class={isWait ? "wait" : "at-once"}>{text}</span>
                  </Fragment>
                ))}
              </span>
            </li>
          ))}
        </ol>
        {rows.length > WAITS_LISTED_MAX && <p class="empty">… and {rows.length - WAITS_LISTED_MAX} more.</p>}
      </details>
      {picture !== null && (
        <figure class="picture">
          <div class="scroll" tabIndex={0} role="group" aria-label="Picture">
            <img src={picture} alt={`Who waits and who runs, lane by lane. ${answers}`} data-testid="simulate-picture" />
          </div>
          <figcaption>
            <span>
              {columns.reduce((sum, column) => sum + column.lanes.length, 0)} lanes over {seconds(Math.max(...columns.map(({ summary }) => summary.makespanMs)))}
            </span>
            <a class="quiet" href={picture} download="wait.svg">
              Save picture
            </a>
          </figcaption>
        </figure>
      )}
    </section>
  );
}
