/**
 * The wiring: builds every object, starts them, and stops them in reverse. Nothing else knows all
 * of them, and nothing here decides anything.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeSimulator } from "../sim/in-thread.ts";
import { makeAcpAgent } from "./agents/acp/acp-agent.ts";
import { makeCatalogue } from "./agents/acp/catalogue.ts";
import { examineHarnesses } from "./agents/acp/doctor.ts";
import { HarnessHost } from "./agents/acp/harness-host.ts";
import { makeSandbox } from "./agents/acp/sandbox.ts";
import { makePrograms } from "./agents/acp/programs.ts";
import type { Agent } from "./agents/agent.ts";
import { makeNativeAgent } from "./agents/native/native.ts";
import { makeApi } from "./api/server.ts";
import { sleep, systemClock, type Clock } from "./base/clock.ts";
import { IdMaker, systemRandom, type SessionKey, type TurnId } from "./base/ids.ts";
import type { JsonObject } from "./base/json.ts";
import type { Log } from "./base/log.ts";
import { availableMemoryMb, holdMemoryDown, SETTLE_AFTER_MS } from "./base/memory.ts";
import { makeProcessTree, type ProcessTree } from "./base/process-tree.ts";
import { makeLiveMask } from "./base/redact.ts";
import { startAll, type Service } from "./base/service.ts";
import type { Settings } from "./base/setting.ts";
import { configAccess } from "./config/config-access.ts";
import type { Config } from "./config/config.ts";
import { removeGatewayFile, writeGatewayFile } from "./config/gateway-file.ts";
import { removeDrafts } from "./config/state-dir.ts";
import { gatewayDrainSeconds, gatewayPort } from "./config/settings.ts";
import { packageVersion } from "./config/version.ts";
import type { Home } from "./home.ts";
import { RulesKeeper } from "./lanes/keep-rules.ts";
import { Scheduler, poolSizes } from "./lanes/scheduler.ts";
import type { CallTerms } from "./model/budget.ts";
import type { ModelClient } from "./model/chat.ts";
import { Fault } from "./model/faults.ts";
import type { HarnessCatalogue, Harnesses } from "./model/harness.ts";
import type { HarnessReport } from "./model/harness-report.ts";
import { DEFAULT_AGENT, mainSession } from "./model/session.ts";
import type { FileChange } from "./model/supervision.ts";
import type { Tool } from "./model/tool.ts";
import type { UpkeepTask } from "./model/upkeep.ts";
import { loadedWhenCalled } from "./providers/local-model.ts";
import { makeProviders } from "./providers/providers.ts";
import { Acknowledger } from "./sessions/acknowledge.ts";
import { taskHandlingOf } from "./sessions/background-rules.ts";
import { approvalCommands } from "./sessions/approval-commands.ts";
import { ApprovalDesk } from "./sessions/approval-desk.ts";
import type { Command } from "./sessions/command.ts";
import { conversationCommands, helpCommand } from "./sessions/commands.ts";
import { FrontDoor } from "./sessions/front-door.ts";
import { webhookSecretFrom } from "./model/webhook-secret.ts";
import { makeToolLender } from "./sessions/lent-tools.ts";
import { makeTokenMint } from "./sessions/scoped-tokens.ts";
import { foregroundMs, parallelModel, queueCap, sideTools, sideTurnsMax } from "./sessions/settings.ts";
import { judgeIndependence } from "./sessions/judge-independence.ts";
import { EventHub } from "./sessions/watch.ts";
import { Keeper } from "./store/keeper.ts";
import { backupKeep } from "./store/settings.ts";
import { openStoreFiles } from "./store/sqlite/open-files.ts";
import type { StoreFiles } from "./store/store-files.ts";
import type { DiskState, OwnedProcess, Store } from "./store/store.ts";
import { cronTool } from "./timers/cron-tool.ts";
import { Hooks } from "./timers/hooks.ts";
import { Timekeeper } from "./timers/timekeeper.ts";
import { Upkeep } from "./timers/upkeep.ts";
import { MergeQueue } from "./merges/queue.ts";
import { ConflictAgents } from "./plans/conflict-agents.ts";
import { PlanRunner } from "./plans/plan-runner.ts";
import { planTools } from "./plans/plan-tools.ts";
import { workspaceFolder } from "./plans/workspace-folder.ts";
import { Commands } from "./tools/commands.ts";
import { ToolServers } from "./tools/mcp/servers.ts";
import { makeRunLine } from "./tools/run-line.ts";
import { TextFiles } from "./tools/text-files.ts";
import { makeTools, offeredTools } from "./tools/tools.ts";
import { acpCommand } from "./trees/acp-command.ts";
import { archiveTask } from "./trees/archivist.ts";
import { Courier } from "./trees/courier.ts";
import { rateModel } from "./trees/delegation-probes.ts";
import { Grove } from "./trees/grove.ts";
import { makeOutsideTools } from "./trees/outside-tools.ts";
import { sessionTools } from "./trees/session-tools.ts";
import { childModel, gatherMs, maxSpawnDepth, toolRulesAt, toolsByDepth } from "./trees/settings.ts";
import { subagentsCommand } from "./trees/subagents-command.ts";
import { Telemetry } from "./telemetry/telemetry.ts";
import { agentIds, agentsList, findAgent } from "./turns/agents-list.ts";
import { BesideCalls } from "./turns/beside-calls.ts";
import { deathsMax, defaultModel, defaultWorkspace, staleHours } from "./turns/settings.ts";
import { ChangedFiles } from "./turns/changed-files.ts";
import { TurnRunner } from "./turns/turn-runner.ts";
import { AgentNews } from "./workspaces/agent-news.ts";
import { claimWidenTool, currentFences, insideClaims, sourceOf } from "./workspaces/claim-tools.ts";
import { Git } from "./workspaces/git.ts";
import { Repository } from "./workspaces/repository.ts";
import { Worktrees } from "./workspaces/worktrees.ts";

const MS_PER_HOUR = 3_600_000;
/** How long ending processes may hold up the end of a gateway whose store failed. */
const BROKEN_STOP_MS = 3_000;
/** After these something may be to be posted. */
const POSTED: ReadonlySet<string> = new Set(["task.ended", "job.ended", "job.completed"]);

export interface RunningGateway {
  readonly url: string;
  readonly tokenFile: string;
  readonly pid: number;
  readonly generation: number;
  /** Takes nothing new, gives running turns a moment, and lets go; the next start goes on with the rest. */
  stop(): Promise<void>;
  /** Reads settings and token again. */
  reload(): Promise<void>;
  /** Resolves when the gateway can go on no more; its processes are ended, and it acknowledges nothing. */
  readonly broken: Promise<Fault>;
}

/** Runs a gateway on a state directory. @throws {Fault} PORT_TAKEN, STORE_*. */
export async function runGateway({ config, host, log, file, unlock }: Home, store: Store, options: { readonly port?: number }): Promise<RunningGateway> {
  const clock = systemClock;
  const files = openStoreFiles(file);
  let generation = 0;
  let url = "";
  /** False in safe mode: what went on by itself would bring the next death. */
  let mayWork = true;
  const unlessSafe = (service: Service): Service => ({ ...service, start: () => (mayWork ? service.start() : undefined) });
  const disk = watchDisk(store, clock, log, () => yard.stopProcesses());
  const listening = Promise.withResolvers<{ readonly url: string; readonly port: number }>();
  const yard = build({ config, store, files, clock, log, listening: listening.promise, status: () => ({ generation, startedAt, disk: disk.state() }) });
  const startedAt = clock.now();

  const services: readonly Service[] = [
    { name: "state", start: () => Promise.all([mkdir(yard.workspace, { recursive: true, mode: 0o700 }), removeDrafts(config.home)]).then(() => {}), stop: unlock },
    {
      name: "store",
      async start() {
        // Together, so that they are one write.
        const [, life] = await Promise.all([store.setRules(yard.rules()), store.noteStart()]);
        generation = life.generation;
        const most = config.get(deathsMax);
        if (most === 0 || life.deaths <= most) return;
        mayWork = false;
        const fault = new Fault("SAFE_MODE", { deaths: life.deaths });
        yard.frontDoor.drain(fault);
        log.error("gateway.safe-mode", { deaths: life.deaths });
        await tellOperator(store, log, fault.code, fault.message);
      },
      async stop() {
        await store.noteStop().catch((cause: unknown) => log.warn("store.stop-not-noted", { cause }));
        await store.close();
      },
    },
    { name: "files", start: () => {}, stop: () => files.stop() },
    { name: "traces", start: () => yard.telemetry.start(), stop: () => yard.telemetry.stop() },
    { name: "rules", start: () => {}, stop: () => yard.rulesKeeper.stop() },
    { name: "processes", start: () => yard.sweep(), stop: () => yard.stopProcesses() },
    unlessSafe({ name: "tool servers", start: () => yard.toolServers.start(), stop: () => yard.toolServers.stop() }),
    unlessSafe({ name: "workspaces", start: () => yard.worktrees.start(), stop: () => yard.worktrees.stop() }),
    unlessSafe({ name: "merges", start: () => yard.merges.start(), stop: () => yard.merges.stop() }),
    unlessSafe({
      name: "turns",
      async start() {
        // Walls first: turns that go on would run into them.
        await yard.models.start();
        const recovered = await store.recover(yard.recoveryRules());
        generation = recovered.generation;
        for (const turnId of recovered.poisoned) log.error("turn.poisoned", { turnId });
        for (const turn of recovered.turns) yard.runner.start(turn);
        if (recovered.turns.length > 0) log.info("turns.recovered", { turns: recovered.turns.length });
        if (recovered.retired !== null) log.warn("work.too-old", { ...recovered.retired });
        yard.scheduler.start();
      },
      stop() {
        yard.scheduler.drain(); // a start that failed later never came to the draining below
        return yard.runner.letGo();
      },
    }),
    // After the turns: what was left long ago rests by then.
    unlessSafe({ name: "plans", start: () => yard.plans.start(), stop: () => yard.plans.stop() }),
    {
      name: "api",
      async start() {
        const bound = await yard.api.listen({ host, port: options.port ?? config.get(gatewayPort) });
        url = bound.url;
        listening.resolve(bound);
        await writeGatewayFile(config.home, { url, pid: process.pid, generation }, config.givenToken);
      },
      async stop() {
        await yard.api.close();
        await removeGatewayFile(config.home, process.pid);
      },
    },
    unlessSafe({ name: "deliveries", start: () => yard.courier.start(), stop: () => yard.courier.stop() }),
    unlessSafe({ name: "jobs", start: () => yard.timekeeper.start(), stop: () => yard.timekeeper.stop() }),
    { name: "acknowledgements", start: () => {}, stop: () => yard.acknowledger.stop() },
    { name: "upkeep", start: () => yard.upkeep.start({ inSafeMode: !mayWork }), stop: () => yard.upkeep.stop() },
    {
      name: "drain",
      start: () => void yard.models.discover(),
      async stop() {
        yard.frontDoor.drain();
        yard.scheduler.drain();
        yard.models.stop();
        const bound = new AbortController();
        const disarm = clock.after(config.get(gatewayDrainSeconds) * 1000, () => bound.abort());
        await yard.runner.idle(bound.signal);
        disarm();
      },
    },
  ];
  const stop = await startAll(services);
  const disarmSettling = clock.after(SETTLE_AFTER_MS, () => {
    flushCompileCache(); // a gateway that is killed later never gets to, and the next start would be slow again
    holdMemoryDown();
  });
  log.info("gateway.ready", { url, generation, pid: process.pid });
  return {
    url,
    tokenFile: config.tokenFile,
    pid: process.pid,
    generation,
    async stop() {
      disarmSettling();
      log.info("gateway.stopping", { turns: yard.runner.count });
      await stop();
      log.info("gateway.stopped");
    },
    reload: () => config.reload(),
    broken: disk.broken,
  };
}

interface Parts {
  readonly config: Config;
  readonly store: Store;
  readonly files: StoreFiles;
  readonly clock: Clock;
  readonly log: Log;
  /** Resolves with the address when the API listens. */
  readonly listening: Promise<{ readonly url: string; readonly port: number }>;
  readonly status: () => { readonly generation: number; readonly startedAt: number; readonly disk: DiskState["at"] };
}

function build({ config, store, files, clock, log, listening, status }: Parts) {
  const random = systemRandom;
  const workspace = join(config.home, "workspace");
  const telemetry = new Telemetry({ store, settings: config, clock, random, log, version: packageVersion() });
  const providers = makeProviders({ settings: config, clock, random, log, environment: (name) => config.environment(name), rehearsal: loadedWhenCalled(async () => (await import("./providers/rehearsal/rehearsal.ts")).makeRehearsal({ clock, random })), book: store, onTrouble: (code, text) => void tellOperator(store, log, code, text) });
  const models = telemetry.traced(providers);
  const processes: ProcessTree = makeProcessTree({ clock, log, record: (process) => store.recordProcess(process), forget: (mark) => store.forgetProcess(mark) });
  const installation = createHash("sha256").update(config.home).digest("hex").slice(0, 12);
  const commands = new Commands({ clock, random, processes, installation });
  const environment = config.childEnvironment();
  const git = new Git({ clock, random, processes, installation, path: environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin" });
  const worktrees = new Worktrees({ store, git, repositoryAt: (commonDir) => new Repository(git, commonDir), settings: config, clock, random, log, runLine: makeRunLine({ clock, random, processes, installation, environment }), root: join(config.home, "workspaces") });
  const agentNews = new AgentNews();
  const merges: MergeQueue = new MergeQueue({ store, worktrees, settings: config, clock, random, log, help: () => conflictAgents, reads: ({ dir }) => agentNews.reads(dir), news: ({ dir, advice }) => agentNews.tell(dir, advice) });
  const tools = makeTools({
    settings: config,
    clock,
    random,
    commands,
    environment,
    say: (session, text) => store.notice({ session, text, level: "info", code: "MESSAGE", entry: true }),
    async wake(session, text, sourceId) {
      // A session that is over needs to know no more.
      await frontDoor.accept({ session, text, provenance: "system", channel: "exec", sourceId, queueMode: "followup", mayCommand: false }).catch((cause: unknown) => log.warn("command.end-not-told", { session, cause }));
    },
  });
  const builtIn = [...tools.map((tool) => insideClaims(tool, worktrees, agentNews)), claimWidenTool(worktrees, (one, claims) => plans.mayWiden(one, claims)), ...planTools({ plans: () => plans, store })];
  const textFiles = new TextFiles(random);
  const inherited = config.childEnvironment();
  const programs = makePrograms({ path: inherited["PATH"] ?? "", home: inherited["HOME"] });
  const credential = (name: string): string | undefined => config.environment(name);
  const catalogue = makeCatalogue(config, (command) => programs.find(command));
  let swept: Promise<void> = Promise.resolve();
  const tokens = makeTokenMint({ store, clock, random });
  const sandbox = makeSandbox({ clock, log, random, processes, installation, environment: inherited, stateDir: config.home });
  const lender = makeToolLender({ tokens, address: listening, program: { command: process.execPath, args: [fileURLToPath(new URL("../bin/yard.mjs", import.meta.url)), "mcp"] }, log });
  const harnesses = new HarnessHost({
    clock,
    log,
    random,
    settings: config,
    processes,
    files: textFiles,
    likeness: (cwd, files) => sourceOf(worktrees, cwd, files),
    catalogue,
    memory: store,
    surroundings: { inherited, credential },
    async proxyAccess(session) {
      // Turns that go on after a restart begin before the port is there.
      const { url } = await listening;
      const { token, secret } = await tokens.mint({ scope: "proxy", session, label: "coding agent" });
      return { address: `${url}/proxy`, token: secret, revoke: () => tokens.revoke(token.id).then(() => {}, () => {}) };
    },
    installation,
    folder: join(config.home, "harnesses"),
    workspace: () => config.get(defaultWorkspace) || workspace,
    availableMb: availableMemoryMb,
    swept: () => swept,
    lendTools: (session) => lender.lend(session),
    sandbox,
    sparesMax: () => config.get(sideTurnsMax),
  });
  const mask = makeLiveMask(() => config.secrets());
  const acp = makeAcpAgent({
    host: harnesses,
    mask,
    approvals: new ApprovalDesk({ store, clock, log }),
    files: textFiles,
    settings: config,
    clock,
    random,
    tell: (session, text, code) => store.notice({ session, text, level: "warn", code, entry: true }),
    place: { fences: (cwd, fences) => currentFences(worktrees, cwd, fences), read: (cwd, path) => agentNews.read(cwd, path), takeNews: (cwd) => agentNews.take(cwd) },
  });
  const harnessReport = () => examineHarnesses({ catalogue, harnesses, programs, settings: config, credential, home: inherited["HOME"], availableMb: availableMemoryMb, sandbox: sandbox.state });
  const harnessDoctor = async () => (await sandbox.tried(), harnessReport());
  const endings = {
    endSession: async (session: SessionKey) => void (await Promise.all([commands.endSession(session), harnesses.close(session)])),
    endTurn: (turn: TurnId) => commands.endTurn(turn),
  };
  const changedFiles = new ChangedFiles({ clock, apart: [config.home], outputs: () => processes.outputFiles(installation) });
  const toolServers = new ToolServers({
    settings: config,
    clock,
    random,
    log,
    processes,
    installation,
    environment: config.childEnvironment(),
    folder: join(config.home, "mcp"),
    version: packageVersion(),
  });
  const conversations = wireConversations({ settings: config, store, clock, log, models, workspace, builtIn, serverTools: () => toolServers.tools(), commands: endings, acp, harnesses: { catalogue, harnesses, report: harnessReport, doctor: harnessDoctor }, mask, newestChange: (folder) => changedFiles.newest(folder), projects: (session) => plans.toldTo(session), upkeep: new Keeper({ store, files, settings: config, clock, log }).tasks() });
  const { frontDoor, grove, runner, besideCalls, scheduler, timekeeper, upkeep, model, outsideTools, allTools } = conversations;
  const readPlan = async (name: string, text: string) => (await import("./plans/read-plan.ts")).readPlan(name, text);
  const plans: PlanRunner = new PlanRunner({ store, trees: grove, workspaces: worktrees, merges, folder: workspaceFolder, readPlan, settings: config, clock, random, log, refusal: () => frontDoor.refusal });
  const conflictAgents: ConflictAgents = new ConflictAgents({ store, trees: grove, workspaces: worktrees, settings: config });
  const courier = new Courier({ store, settings: config, clock, random, log, ownSecret: () => webhookSecretFrom(config.token()) });
  store.onEvents((events) => {
    if (events.some((event) => POSTED.has(event.type) && event.data["delivery"] === "webhook")) courier.kick();
  });
  const api = makeApi({
    courier,
    rateModel: (name, signal) => rateModel({ models: besideCalls.client(null), tools: offeredTools(allTools, config), nowMs: () => clock.monotonic() }, name, signal),
    nowMs: () => clock.now(),
    store,
    sessions: frontDoor,
    trees: grove,
    workspaces: worktrees,
    merges,
    jobs: timekeeper,
    upkeep,
    hooks: new Hooks({ sessions: frontDoor, settings: config, clock, environment: (name) => config.environment(name) }),
    models,
    tokens,
    proxy: models.proxy({
      work: { isForPerson: (session) => runner.runsForPerson(session), parked: (session, parking) => runner.parkedOutside(session, parking) },
      reserve: ({ provider, model: name, caller }, asked) => besideCalls.reserve({ session: caller.session, budgeted: caller.budgeted, model: `${provider}/${name}` }, asked),
      onOver: ({ provider, model: name, caller }, end) => telemetry.proxied({ asked: `${provider}/${name}`, session: caller.session, ...end }),
      onCall: ({ caller, provider, model: name }, usage) => void store.chargeAccessToken({ id: caller.tokenId, model: `${provider}/${name}`, usage }).catch((cause: unknown) => log.error("proxy.usage-not-kept", { cause })),
    }),
    config: configAccess(config),
    plans,
    lanes: () => store.lanes({ meanTurnMs: scheduler.meanTurnMs }),
    files: { check: () => files.check(), backups: () => files.backups(), backup: () => files.backup({ keep: config.get(backupKeep) }) },
    providerLanes: () => models.lanes(),
    harnessWaits: () => harnesses.waiting(),
    simulate: makeSimulator({ clock }),
    outsideTools,
    commands: () => conversations.slashCommands,
    toolServers: () => toolServers.views(),
    harnessReport,
    harnessDoctor,
    settings: config,
    clock,
    random,
    log,
    pageDir: findPage(),
    token: () => config.token(),
    status: () => ({
      version: packageVersion(),
      pid: process.pid,
      ...status(),
      draining: frontDoor.draining,
      model: model(),
      models: [...models.knownModels()],
      agents: [...agentIds(config.get(agentsList))],
    }),
  });
  return {
    ...conversations,
    telemetry,
    worktrees,
    merges,
    plans,
    workspace,
    toolServers,
    models,
    api,
    courier,
    async sweep() {
      const left = await store.ownedProcesses();
      swept = Promise.all([endLeftovers(processes, store, left, installation, log), lender.takeBackLeft().catch((cause: unknown) => log.warn("lent-tools.not-taken-back", { cause }))]).then(() => {});
      void harnesses.tidy().catch((cause: unknown) => log.warn("harnesses.not-tidied", { cause }));
    },
    stopProcesses: async () => void (await Promise.all([commands.stopAll(), harnesses.closeAll()])),
  };
}

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

/** Everything between the doors and the store: nothing of it knows of HTTP, processes or providers. */
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

/** Tells of a disk that fills or fails: in the log, to the owner's own session, and to whoever runs the gateway. */
function watchDisk(store: Store, clock: Clock, log: Log, endProcesses: () => Promise<void>) {
  let state: DiskState = { at: "good" };
  const { promise: broken, resolve: breaks } = Promise.withResolvers<Fault>();
  const tell = (text: string, level: "info" | "error"): void => {
    store.notice({ session: mainSession(DEFAULT_AGENT), text, level, code: "DISK_FULL", entry: false }).catch((cause: unknown) => log.warn("disk.notice-not-written", { cause }));
  };
  store.onDisk((now) => {
    state = now;
    if (now.at === "full") {
      log.error("disk.full", { problem: now.problem });
      tell(`The disk is full (${now.problem}). Nothing new is taken in until there is room; what runs goes on as far as it can.`, "error");
    } else if (now.at === "good") {
      log.info("disk.good-again");
      tell("There is room on the disk again, and new messages are taken in.", "info");
    } else {
      log.error("disk.failed", { ...now.fault });
      const bound = new AbortController();
      void Promise.race([endProcesses(), sleep(clock, BROKEN_STOP_MS, bound.signal)])
        .catch((cause: unknown) => log.error("processes.not-ended", { cause }))
        .finally(() => {
          bound.abort();
          breaks(Fault.fromRecord(now.fault));
        });
    }
  });
  return { state: () => state.at, broken };
}

/** The operator reads the main conversation. */
async function tellOperator(store: Store, log: Log, code: string, text: string): Promise<void> {
  const session = mainSession(DEFAULT_AGENT);
  try {
    await store.openSession(session);
    await store.notice({ session, text, level: "warn", code, entry: false });
  } catch (cause) {
    log.error("operator.not-told", { code, cause });
  }
}

/** Ends what a gateway that was killed left running. */
async function endLeftovers(processes: ProcessTree, store: Store, left: readonly OwnedProcess[], installation: string, log: Log): Promise<void> {
  await processes
    .sweep(installation)
    .then(async ({ ended, survivors }) => {
      if (ended > 0) log.warn("processes.swept", { ended, survivors });
      for (const { marker } of left) await store.forgetProcess(marker);
    })
    .catch((cause: unknown) => log.error("processes.not-swept", { cause }));
}

/** The built dashboard, beside the program: where it was published, or where the sources put it. */
function findPage(): string | null {
  const candidates = ["../page", "../dist/page"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return candidates.find((folder) => existsSync(join(folder, "index.html"))) ?? null;
}
