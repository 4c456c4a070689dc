/**
 * The plan of the house as data; `layers.test.ts` holds the code against it.
 *
 * A place is a file or a folder with everything in it, from the top of the repository.
 */

/**
 * Floors from the bottom up. A folder may import itself and every folder of a lower floor; folders of
 * one floor are strangers, whom `src/main.ts` introduces. What strangers share lives in model or base.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ["src/base"],
  ["src/model"],
  ["src/store", "src/lanes", "src/providers", "src/agents", "src/tools", "src/workspaces"],
  ["src/turns"],
  ["src/sessions"],
  ["src/trees", "src/timers", "src/merges", "src/channels", "src/telemetry"],
  ["src/plans"],
  ["src/api"],
  ["src/config"],
  ["src/home.ts"],
  ["src/conversations.ts", "src/operator-news.ts"],
  ["src/main.ts"],
  ["src/start.ts"],
];

/** Places beside the floors, and everything of ours that they may import besides themselves. */
export const ANNEXES: Readonly<Record<string, readonly string[]>> = {
  "src/cli": ["src/api/wire.ts", "src/config", "src/base", "src/model"],
  dashboard: ["src/api/wire.ts"],
  sim: ["src", "test/support"],
  bench: ["src", "test/support"],
  test: ["src", "sim", "scripts", "dashboard"],
};

/** Single imports that break the rules for a reason. */
export const EXCEPTIONS: readonly { readonly from: string; readonly to: string; readonly reason: string }[] = [
  { from: "src/cli/commands/up.ts", to: "src/start.ts", reason: "`yard up` is the one command that is the gateway; it loads it only when asked to" },
  { from: "src/cli/commands/acp.ts", to: "src/start.ts", reason: "`yard acp --up` is the gateway too, for as long as the editor is there" },
  { from: "src/cli/commands/doctor.ts", to: "src/home.ts", reason: "`yard doctor` looks at the state of a gateway that does not run; home has the lock and the store" },
  { from: "src/cli/commands/simulate.ts", to: "sim/options.ts", reason: "`yard simulate` has the simulation's own options" },
  { from: "src/cli/commands/simulate.ts", to: "sim/simulate.ts", reason: "`yard simulate` needs no gateway; it loads the simulation only when asked to" },
  { from: "src/main.ts", to: "sim/in-thread.ts", reason: "main hands the simulation to the API, which does not know it" },
];

/** What tests and contract suites may import besides what the code beside them may. */
export const FOR_TESTS: readonly string[] = ["test/support"];

/** Packages and modules of Node that only some places may know. A trailing `/` matches everything below. */
export const GUESTS: readonly { readonly name: string; readonly allowed: readonly string[]; readonly reason: string }[] = [
  { name: "node:sqlite", allowed: ["src/store"], reason: "the store is the only room that knows how things are kept" },
  { name: "node:timers", allowed: ["src/base/clock.ts"], reason: "time comes from a Clock" },
  { name: "node:timers/promises", allowed: ["src/base/clock.ts"], reason: "time comes from a Clock" },
  { name: "@ai-sdk/", allowed: ["src/providers"], reason: "the provider libraries change; one room keeps up with them" },
  { name: "@modelcontextprotocol/sdk/", allowed: ["src/tools/mcp"], reason: "it costs 30 MB of memory; it is loaded when the first tool server is set up, and in one room" },
  { name: "@agentclientprotocol/sdk", allowed: ["src/agents/acp", "src/cli/editor"], reason: "coding agents are spoken to in one room, and editors in one" },
  { name: "fastify", allowed: ["src/api"], reason: "the rest of the program does not know that it is served over HTTP" },
  { name: "ws", allowed: ["src/api"], reason: "the rest of the program does not know that it is served over HTTP" },
  { name: "croner", allowed: ["src/timers"], reason: "what an expression means is decided in one place, with one rule for changes of clock" },
  { name: "commander", allowed: ["src/cli"], reason: "only commands have command lines" },
  { name: "yaml", allowed: ["src/plans"], reason: "only plan files are YAML" },
  { name: "json5", allowed: ["src/config", "src/cli", "src/agents/acp/own-folder.ts"], reason: "configuration, ours and that of coding agents, is the only thing written in JSON5" },
];

const TIME: readonly string[] = ["src/base/clock.ts", "src/config", "src/cli", "dashboard", "bench"];

/**
 * Expressions that only some places may use. Tests may use all of them.
 * Forms: `name()` a call of a global, `object.member` any use, `new Name()` without arguments.
 */
export const BANS: readonly { readonly code: string; readonly allowed: readonly string[]; readonly reason: string }[] = [
  { code: "Date.now", allowed: TIME, reason: "take a Clock, so that the code also runs under a hand-driven one" },
  { code: "performance.now", allowed: TIME, reason: "take a Clock, so that the code also runs under a hand-driven one" },
  { code: "new Date()", allowed: TIME, reason: "take a Clock, so that the code also runs under a hand-driven one" },
  { code: "setTimeout()", allowed: TIME, reason: "use Clock.after, so that a test can fire it" },
  { code: "setInterval()", allowed: TIME, reason: "use Clock.after, so that a test can fire it" },
  { code: "AbortSignal.timeout", allowed: TIME, reason: "use Clock.after and an AbortController, so that a test can fire it" },
  { code: "Math.random", allowed: ["dashboard"], reason: "take RandomBytes from base/ids.ts, so that a run can be repeated" },
  { code: "process.env", allowed: ["src/config", "src/cli"], reason: "config/ is the only reader of the environment, and hands on what may be seen" },
];

/** Where SQL may stand. */
export const SQL_PLACES: readonly string[] = ["src/store"];
