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
import { makeApi } from "./api/server.ts";
import { systemClock, type Clock } from "./base/clock.ts";
import { systemRandom, type SessionKey, type TurnId } from "./base/ids.ts";
import type { Log } from "./base/log.ts";
import { availableMemoryMb, holdMemoryDown, SETTLE_AFTER_MS } from "./base/memory.ts";
import { makeProcessTree, type ProcessTree } from "./base/process-tree.ts";
import { makeLiveMask } from "./base/redact.ts";
import { startAll, type Service } from "./base/service.ts";
import { configAccess } from "./config/config-access.ts";
import type { Config } from "./config/config.ts";
import { removeGatewayFile, writeGatewayFile } from "./config/gateway-file.ts";
import { removeDrafts } from "./config/state-dir.ts";
import { gatewayDrainSeconds, gatewayPort } from "./config/settings.ts";
import { packageVersion } from "./config/version.ts";
import type { Home } from "./home.ts";
import { Fault } from "./model/faults.ts";
import { loadedWhenCalled } from "./providers/local-model.ts";
import { makeProviders } from "./providers/providers.ts";
import { ApprovalDesk } from "./sessions/approval-desk.ts";
import { webhookSecretFrom } from "./model/webhook-secret.ts";
import { makeToolLender } from "./sessions/lent-tools.ts";
import { makeTokenMint } from "./sessions/scoped-tokens.ts";
import { sideTurnsMax } from "./sessions/settings.ts";
import { Keeper } from "./store/keeper.ts";
import { backupKeep } from "./store/settings.ts";
import { openStoreFiles } from "./store/sqlite/open-files.ts";
import type { StoreFiles } from "./store/store-files.ts";
import type { DiskState, OwnedProcess, Store } from "./store/store.ts";
import { Hooks } from "./timers/hooks.ts";
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
import { Courier } from "./trees/courier.ts";
import { rateModel } from "./trees/delegation-probes.ts";
import { Telemetry } from "./telemetry/telemetry.ts";
import { agentIds, agentsList } from "./turns/agents-list.ts";
import { deathsMax, defaultWorkspace } from "./turns/settings.ts";
import { ChangedFiles } from "./turns/changed-files.ts";
import { AgentNews } from "./workspaces/agent-news.ts";
import { claimWidenTool, currentFences, insideClaims, sourceOf } from "./workspaces/claim-tools.ts";
import { Git } from "./workspaces/git.ts";
import { Repository } from "./workspaces/repository.ts";
import { Worktrees } from "./workspaces/worktrees.ts";
import { wireConversations } from "./conversations.ts";
import { tellOperator, watchDisk } from "./operator-news.ts";

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
  const conversations = wireConversations({ settings: config, store, clock, log, models, workspace, builtIn, serverTools: () => toolServers.tools(), commands: endings, acp, harnesses: { catalogue, harnesses, report: harnessReport, doctor: harnessDoctor }, mask: (text) => mask.of(text), newestChange: (folder) => changedFiles.newest(folder), projects: (session) => plans.toldTo(session), upkeep: new Keeper({ store, files, settings: config, clock, log }).tasks() });
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
