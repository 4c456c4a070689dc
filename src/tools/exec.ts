/**
 * `exec` and `process`: commands in the workspace, and those that go on in the background.
 *
 * Always true:
 *   - a list of words reaches the program as it is; only a line of text goes through a shell
 *   - a command sees the few variables named here and none of the gateway's own
 *   - a foreground command, and everything it started, is over when its call is over
 *
 * A command that fails is an error for the model: its exit code stands at the end of its output.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { RandomBytes, SessionKey } from "../base/ids.ts";
import type { Settings } from "../base/setting.ts";
import type { Tool, ToolContext, ToolOutcome } from "../model/tool.ts";
import type { Command, CommandEnd } from "./command.ts";
import type { CommandRequest, Commands } from "./commands.ts";
import { Workspace } from "./confine.ts";
import { inputShape, oneOf, optional, text, textOrList, wholeNumber, yesNo } from "./input.ts";
import { execOutputMaxBytes, execTimeoutSeconds } from "./settings.ts";

/** The longest time limit that a call may ask for, seconds. */
const TIMEOUT_MAX_SECONDS = 3600;
/** The time limit of a command in the background when its call names none, milliseconds. */
const BACKGROUND_TIMEOUT_MS = 24 * 3600 * 1000;
const COMMAND_MAX_CHARS = 100_000;
const WORDS_MAX = 1000;
const INPUT_MAX_CHARS = 1_000_000;
const POLL_WAIT_MAX_SECONDS = 30;
const SHOWN_MAX_CHARS = 120;
/** Of the output of a command that has ended, in the message about it. */
const TOLD_MAX_CHARS = 2_000;
/** How often a running command counts as progress, milliseconds: it has a time limit of its own, and the turn's watch must not be shorter. */
const PROGRESS_MS = 30_000;

const EXEC_INPUT = inputShape({
  command: textOrList({ max: COMMAND_MAX_CHARS, itemsMax: WORDS_MAX }),
  cwd: optional(text({ max: 4096 })),
  timeoutSeconds: optional(wholeNumber({ min: 1, max: TIMEOUT_MAX_SECONDS })),
  background: optional(yesNo()),
  input: optional(text({ max: INPUT_MAX_CHARS })),
});

const PROCESS_INPUT = inputShape({
  action: oneOf("list", "poll", "kill", "write", "tell"),
  id: optional(text({ max: 100 })),
  input: optional(text({ max: INPUT_MAX_CHARS })),
  waitSeconds: optional(wholeNumber({ min: 0, max: POLL_WAIT_MAX_SECONDS })),
});

const PASSED_ON: ReadonlySet<string> = new Set(["PATH", "HOME", "LANG", "TERM", "TZ", "TMPDIR", "USER", "SHELL"]);

/** What a command sees of the environment: nothing that changes how programs load code, and no credential. */
export function commandEnvironment(environment: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const passed = Object.entries(environment).filter(([name]) => PASSED_ON.has(name) || /^LC_[A-Z]+$/.test(name));
  return { PATH: "/usr/local/bin:/usr/bin:/bin", ...Object.fromEntries(passed) };
}

interface Deps {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly commands: Commands;
  readonly environment: Readonly<Record<string, string>>;
}

export function makeExecTool({ settings, clock, random, commands, environment }: Deps): Tool {
  const env = commandEnvironment(environment);
  return {
    name: "exec",
    description: "Runs a command in the workspace: a shell line, or words without a shell. background returns an id for process.",
    inputSchema: EXEC_INPUT.schema,
    effect: "once",
    parallel: false,
    async run(input, context) {
      const { command, cwd = ".", timeoutSeconds, background = false, input: stdin } = EXEC_INPUT.parse("exec", input);
      if ([command].flat().some((word) => word.includes("\0"))) return failed("the command holds a NUL character");
      const workspace = await Workspace.open(context.workspace, random);
      assert(context.turnId !== null, "a command belongs to a turn, and ends with it");
      const request: CommandRequest = {
        session: context.session,
        turnId: context.turnId,
        background,
        command,
        cwd: await workspace.realFolder(cwd),
        env,
        timeoutMs: timeoutSeconds !== undefined ? timeoutSeconds * 1000 : background ? BACKGROUND_TIMEOUT_MS : settings.get(execTimeoutSeconds) * 1000,
        outputMaxBytes: settings.get(execOutputMaxBytes),
        input: stdin,
      };
      context.signal.throwIfAborted();
      const started = await commands.start(request).catch(startProblem);
      if (typeof started === "string") return failed(`cannot start ${shorten([command].flat()[0]!)}: ${started}`);
      if (background) return { text: `${started.id} runs in the background` };
      return runToEnd(started, context, clock);
    },
  };
}

async function runToEnd(command: Command, context: ToolContext, clock: Clock): Promise<ToolOutcome> {
  const onAbort = (): void => void command.stop("stopped");
  const beat = (): void => {
    context.progress();
    disarm = clock.after(PROGRESS_MS, beat);
  };
  let disarm = clock.after(PROGRESS_MS, beat);
  context.signal.addEventListener("abort", onAbort);
  if (context.signal.aborted) onAbort();
  const end = await command.ended;
  disarm();
  context.signal.removeEventListener("abort", onAbort);
  context.signal.throwIfAborted();
  return outcome(command, end);
}

/** What the tool for commands in the background needs besides them. */
export interface ProcessDeps {
  readonly commands: Commands;
  /** Puts a message into a session, as any other; the same `sourceId` again is the same message. */
  wake(session: SessionKey, text: string, sourceId: string): Promise<void>;
}

export function makeProcessTool({ commands, wake }: ProcessDeps): Tool {
  return {
    name: "process",
    isRare: true,
    description: "Background commands: list, poll (new output; waitSeconds waits for some), kill, write (input; without it, closes it), tell (a message here when it ends; without id: each of them).",
    inputSchema: PROCESS_INPUT.schema,
    effect: "once",
    parallel: false,
    async run(input, context) {
      const { action, id, input: stdin, waitSeconds = 0 } = PROCESS_INPUT.parse("process", input);
      const all = commands.inBackground(context.session);
      if (action === "list") return { text: all.map(line).join("\n") || "[no command runs in the background]" };

      if (action === "tell") {
        const told = all.filter((one) => one.end === null && (id === undefined || one.id === id));
        for (const one of told) void one.ended.then((end) => (end.why === "stopped" ? undefined : wake(context.session, endText(one, end), `${one.id}.end`)));
        return told.length > 0 ? { text: `a message comes when ${told.map((one) => one.id).join(", ")} ended` } : failed(`no such command runs in the background; action list shows them`);
      }
      const command = all.find((one) => one.id === id);
      if (command === undefined) return failed(`no command ${id ?? "(id is missing)"} in the background; action list shows them`);
      switch (action) {
        case "poll":
          if (!command.hasOutput && command.end === null && waitSeconds > 0) await command.nextChange(waitSeconds * 1000, context.signal);
          return command.end === null ? { text: `${withNewline(command.takeOutput())}[${state(command)}]` } : outcome(command, command.end);
        case "kill":
          return { text: outcome(command, await command.stop("stopped")).text };
        case "write": {
          const refusal = command.write(stdin);
          return refusal === null ? { text: stdin === undefined ? "closed its input" : "written" } : failed(`${command.id}: ${refusal}`);
        }
      }
    },
  };
}

function outcome(command: Command, end: CommandEnd): ToolOutcome {
  const isError = end.why === "time is up" || (end.why === "exited" && end.code !== 0);
  return { text: `${withNewline(command.takeOutput())}[${describeEnd(end, command.timeoutMs)}]`, isError };
}

/** What the session is told when a command in the background has ended; what the command said is marked line by line. */
function endText(command: Command, end: CommandEnd): string {
  const said = command.takeOutput().trimEnd();
  const tail = said.length > TOLD_MAX_CHARS ? `...${said.slice(-TOLD_MAX_CHARS)}` : said;
  return `Command ${command.id} (${shorten(command.shown)}) has ended: ${describeEnd(end, command.timeoutMs)}${tail === "" ? "." : `. The end of what it wrote:\n${tail.split("\n").map((each) => `> ${each}`).join("\n")}`}`;
}

/** E.g. `exit 0 · 1.2 s`. */
function describeEnd(end: CommandEnd, timeoutMs: number): string {
  const how = end.why === "time is up" ? `ended because its time of ${timeoutMs / 1000} s was up` : end.why === "stopped" ? "stopped" : end.code === null ? `ended by ${end.signal}` : `exit ${end.code}`;
  const parts = [how, `${(end.ms / 1000).toFixed(1)} s`];
  if (end.leftBehind > 0) parts.push(`${end.leftBehind} of its processes still ran and were ended; use background for what must go on`);
  if (end.survivors.length > 0) parts.push(`could not be ended: process ${end.survivors.join(", ")}`);
  return parts.join(" · ");
}

function state(command: Command): string {
  return command.end === null ? `running · ${(command.ranMs / 1000).toFixed(1)} s` : describeEnd(command.end, command.timeoutMs);
}

function line(command: Command): string {
  return `${command.id} [${state(command)}] ${shorten(command.shown)}`;
}

const START_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "no such program",
  EACCES: "it may not be executed",
  E2BIG: "the command is too long; put it in a file",
  EAGAIN: "the system has no room for another process",
  ENOMEM: "the system has no memory for another process",
};

/** Says in words why a program did not start; a Fault or a defect goes on its way. */
function startProblem(error: NodeJS.ErrnoException): string {
  if (error.syscall === undefined || error.code === undefined) throw error;
  return START_PROBLEMS[error.code] ?? error.code;
}

function shorten(shown: string): string {
  const oneLine = shown.replaceAll("\n", " ");
  return oneLine.length > SHOWN_MAX_CHARS ? `${oneLine.slice(0, SHOWN_MAX_CHARS)}...` : oneLine;
}

function withNewline(output: string): string {
  return output === "" || output.endsWith("\n") ? output : `${output}\n`;
}

function failed(text: string): ToolOutcome {
  return { text, isError: true };
}
