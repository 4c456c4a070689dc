/** The wiring of everything between the doors and the store: nothing of it knows of HTTP, processes or providers. */
import type { Agent } from "./agents/agent.ts";
import { makeNativeAgent } from "./agents/native/native.ts";
import type { Clock } from "./base/clock.ts";
import { IdMaker, systemRandom, type SessionKey } from "./base/ids.ts";
import type { JsonObject } from "./base/json.ts";
import type { Log } from "./base/log.ts";
import type { Settings } from "./base/setting.ts";
import { RulesKeeper } from "./lanes/keep-rules.ts";
import { Scheduler, poolSizes } from "./lanes/scheduler.ts";
import type { CallTerms } from "./model/budget.ts";
import type { ModelClient } from "./model/chat.ts";
import type { HarnessCatalogue, Harnesses } from "./model/harness.ts";
import type { HarnessReport } from "./model/harness-report.ts";
import { DEFAULT_AGENT } from "./model/session.ts";
import type { FileChange } from "./model/supervision.ts";
import type { Tool } from "./model/tool.ts";
import type { UpkeepTask } from "./model/upkeep.ts";
import { Acknowledger } from "./sessions/acknowledge.ts";
import { taskHandlingOf } from "./sessions/background-rules.ts";
import { approvalCommands } from "./sessions/approval-commands.ts";
import type { Command } from "./sessions/command.ts";
import { conversationCommands, helpCommand } from "./sessions/commands.ts";
import { FrontDoor } from "./sessions/front-door.ts";
import { foregroundMs, parallelModel, queueCap, sideTools, sideTurnsMax } from "./sessions/settings.ts";
import { judgeIndependence } from "./sessions/judge-independence.ts";
import { EventHub } from "./sessions/watch.ts";
import type { Store } from "./store/store.ts";
import { cronTool } from "./timers/cron-tool.ts";
import { Timekeeper } from "./timers/timekeeper.ts";
import { Upkeep } from "./timers/upkeep.ts";
import type { Commands } from "./tools/commands.ts";
import { offeredTools } from "./tools/tools.ts";
import { acpCommand } from "./trees/acp-command.ts";
import { archiveTask } from "./trees/archivist.ts";
import { Grove } from "./trees/grove.ts";
import { makeOutsideTools } from "./trees/outside-tools.ts";
import { sessionTools } from "./trees/session-tools.ts";
import { childModel, gatherMs, maxSpawnDepth, toolRulesAt, toolsByDepth } from "./trees/settings.ts";
import { subagentsCommand } from "./trees/subagents-command.ts";
import { agentsList, findAgent } from "./turns/agents-list.ts";
import { BesideCalls } from "./turns/beside-calls.ts";
import { defaultModel, staleHours } from "./turns/settings.ts";
import { TurnRunner } from "./turns/turn-runner.ts";

const MS_PER_HOUR = 3_600_000;

/** What conversations stand on. The simulated world gives a clock, a store and a model of its own. */
export interface ConversationParts {
  readonly settings: Settings;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly models: ModelClient & { defaultModel(): string; terms(model: string): CallTerms };
  readonly workspace: string;
  /** The tools besides those that reach other sessions. */
  readonly builtIn: readonly Tool[];
  /** The tools of other programs' servers, as they are now. */
  readonly serverTools?: () => readonly Tool[] | Promise<readonly Tool[]>;
  readonly commands: Pick<Commands, "endSession" | "endTurn">;
  /** Who works on turns of harness sessions, and the harnesses there are; null where there are no processes. */
  readonly acp: Agent | null;
  readonly harnesses: { readonly catalogue: HarnessCatalogue; readonly harnesses: Harnesses; readonly report: () => HarnessReport; readonly doctor: () => Promise<HarnessReport> } | null;
  /** Takes secrets out of what tools say. */
  readonly mask?: (text: string) => string;
  /** The newest change of a file in a folder; none where there are no files. */
  readonly newestChange?: (folder: string) => Promise<FileChange | null>;
  /** The plans of a conversation; none where there is no git. */
  readonly projects?: (session: SessionKey) => Promise<readonly JsonObject[]>;
  /** Built-in jobs besides the sweep of sessions. */
  readonly upkeep?: readonly UpkeepTask[];
}

export function wireConversations({ settings, store, clock, log, models, workspace, builtIn, serverTools = () => [], commands, acp, harnesses, mask = (text) => text, newestChange = async () => null, projects = async () => [], upkeep: furtherUpkeep = [] }: ConversationParts) {
  const nowMs = (): number => clock.now();
  const hub = new EventHub(store, clock);
  const kick = (): void => scheduler.kick();
  const steeringCame = (session: SessionKey): void => runner.steeringCame(session);
  const model = (): string => settings.get(defaultModel) || models.defaultModel();

  const besideCalls = new BesideCalls({ store, models, settings, log });
  const frontDoor: FrontDoor = new FrontDoor({
    store,
    hub,
    settings,
    clock,
    commands: () => slashCommands,
    meanTurnMs: () => scheduler.meanTurnMs,
    taskHandling: (agent) => {
      const { text, workspace: folder } = runner.instructionsOf(agent);
      return { section: taskHandlingOf(text), workspace: folder };
    },
    compact: (session) => runner.compact(session),
    endProcesses: (session) => commands.endSession(session),
    judge: (session, text, earlier) => judgeIndependence(besideCalls.client(session), clock, settings.get(parallelModel) || model(), text, earlier),
    kick,
    steeringCame,
  });
  const workspaceFor = (cwd: string | null, agent: string): string => runner.workspaceFor(cwd, findAgent(settings.get(agentsList), agent) ?? { id: agent });
  const grove = new Grove({ store, sessions: frontDoor, settings, models, harnesses: harnesses?.catalogue ?? null, clock, workspaceFor, kick, steeringCame });
  const timekeeper: Timekeeper = new Timekeeper({ store, models, settings, clock, log, meanTurnMs: () => scheduler.meanTurnMs, workspaceOf: (agent) => runner.instructionsOf(agent).workspace, kick });
  const allTools = [
    ...builtIn,
    cronTool(timekeeper),
    ...sessionTools({
      store,
      trees: grove,
      settings,
      nowMs,
      stopTurn: (session, handle) => frontDoor.cancelTurn(session, handle, "the agent"),
      projects,
      steerTurn: (session, handle, text) => frontDoor.steer(session, { handle, text, provenance: "agent" }),
    }),
  ];

  const runner: TurnRunner = new TurnRunner({
    store,
    agents: { native: makeNativeAgent({ models, nowMs, mask }), acp },
    models,
    tools: () => {
      const served = serverTools();
      return served instanceof Promise ? served.then((late) => offeredTools([...allTools, ...late], settings)) : offeredTools([...allTools, ...served], settings);
    },
    settings,
    clock,
    log,
    workspace,
    tree: () => ({ depthMax: settings.get(maxSpawnDepth), childModel: settings.get(childModel), toolRules: (depth) => toolRulesAt(settings.get(toolsByDepth), depth) }),
    readOnlyBeside: () => settings.get(sideTools) === "read-only",
    newestChange,
    onFrame: (frame) => hub.frame(frame),
    onEnded: (_turn, pool, ms) => scheduler.turnEnded(pool, ms),
    kick,
  });
  const outsideTools = makeOutsideTools({
    store,
    trees: grove,
    settings,
    ids: new IdMaker(systemRandom),
    tools: () => offeredTools(allTools, settings),
    workspaceOf: ({ cwd, agent }) => runner.workspaceFor(cwd, findAgent(settings.get(agentsList), agent) ?? { id: agent }),
    notesOf: ({ lineage }) => runner.instructionsOf(lineage.find((id) => findAgent(settings.get(agentsList), id) !== null) ?? DEFAULT_AGENT).workspace,
  });
  const scheduler: Scheduler = new Scheduler({ claimTurns: (rules) => store.claimTurns(rules), clock, log, start: (turn) => runner.start(turn), look: (turn) => void runner.look(turn) });

  const slashCommands: readonly Command[] = [
    helpCommand(() => slashCommands),
    ...conversationCommands({ store, sessions: () => frontDoor, models, meanTurnMs: () => scheduler.meanTurnMs, nowMs, background: (session, text, sourceId) => frontDoor.background(session, text, sourceId) }),
    ...approvalCommands({ store }),
    ...(harnesses === null ? [] : [acpCommand({ ...harnesses, store, sessions: frontDoor, settings, clock, log })]),
    subagentsCommand({ store, trees: grove, nowMs }),
  ];

  const rules = () => ({ pools: poolSizes(settings), foregroundMs: settings.get(foregroundMs), gatherMs: settings.get(gatherMs), sideTurnsMax: settings.get(sideTurnsMax), queueCap: settings.get(queueCap) });
  const recoveryRules = () => ({ staleMs: settings.get(staleHours) * MS_PER_HOUR });
  const rulesKeeper = new RulesKeeper({ set: () => store.setRules(rules()), clock, log });
  settings.onChange(() => {
    rulesKeeper.changed();
    kick();
  });
  store.onEvents((events) => {
    for (const event of events) if (event.type === "task.ended" || event.type === "task.attempt") void commands.endSession(event.data["session"] as SessionKey);
  });
  store.onStopped((turns) => {
    runner.stop(turns);
    for (const turn of turns) void commands.endTurn(turn);
  });

  const upkeep = new Upkeep({ tasks: [archiveTask({ store, settings, clock, log }), ...furtherUpkeep], store, settings, clock, ids: new IdMaker(systemRandom), log });
  const acknowledger = new Acknowledger({ store, settings, clock, log, meanTurnMs: () => scheduler.meanTurnMs.main });
  return { frontDoor, grove, besideCalls, slashCommands, outsideTools, allTools, runner, scheduler, timekeeper, acknowledger, rules, recoveryRules, rulesKeeper, model, upkeep };
}
