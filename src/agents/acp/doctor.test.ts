import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Setting, Settings } from "../../base/setting.ts";
import { makeCatalogue } from "./catalogue.ts";
import { examineHarnesses } from "./doctor.ts";
import { KNOWN_HARNESSES } from "./known-harnesses.ts";
import { makePrograms, packageVersionOf } from "./programs.ts";

/** A machine with a home and one folder on PATH. */
function machine(t: TestContext, given: Readonly<Record<string, unknown>> = {}) {
  const home = mkdtempSync(join(tmpdir(), "yard-doctor-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const bin = join(home, "bin");
  mkdirSync(bin);
  const settings: Settings = { get: <T>(setting: Setting<T>) => (given[setting.key] as T | undefined) ?? setting.fallback, isSet: () => false, onChange: () => () => {} };
  const programs = makePrograms({ path: bin, home });
  const examine = (environment: Readonly<Record<string, string>> = {}, availableMb = 8000) =>
    examineHarnesses({ catalogue: makeCatalogue(settings, (command) => programs.find(command)), harnesses: { waiting: () => [] }, programs, settings, credential: (name) => environment[name], home, availableMb: () => availableMb, sandbox: { at: "untried" } });
  return { home, bin, programs, examine };
}

function put(file: string, text = "#!/bin/sh\n"): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}

test("on a machine without any coding agent the doctor says how to get one, and to get npm first", (t) => {
  const report = machine(t).examine();
  assert.equal(report.healthy, false);
  const [problem] = report.problems;
  assert.equal(problem!.code, "ACP_BACKEND_MISSING");
  assert.match(problem!.steps.join("\n"), /^npm is not on this machine.*\nclaude: npm install -g/);
});

test("a coding agent without its login is here but not healthy, and the login is named by its variable, never by its value", (t) => {
  const { bin, examine } = machine(t);
  put(join(bin, "claude-agent-acp"));
  const without = examine();
  assert.deepEqual([without.healthy, without.problems[0]!.code], [false, "ACP_LOGIN_MISSING"]);
  const withKey = examine({ ANTHROPIC_API_KEY: "sk-very-secret-key" });
  const claude = withKey.agents.find(({ agent }) => agent === "claude")!;
  assert.deepEqual([withKey.healthy, withKey.problems, claude.login, claude.loginText], [true, [], "found", "ANTHROPIC_API_KEY"]);
  assert.doesNotMatch(JSON.stringify(withKey), /very-secret/);
});

test("a login that the harness left behind in the home folder counts", (t) => {
  const { home, bin, examine } = machine(t);
  put(join(bin, "gemini"));
  put(join(home, ".gemini", "oauth_creds.json"), "{}");
  assert.equal(examine().healthy, true);
});

test("a custom command is healthy without a login that anybody knows of, and too little memory is a warning", (t) => {
  const { bin, examine } = machine(t, { "acp.agents": { mine: { command: "mine", memoryMb: 900 } } });
  put(join(bin, "mine"));
  const report = examine({}, 1000);
  const mine = report.agents.find(({ agent }) => agent === "mine")!;
  assert.deepEqual([report.healthy, mine.login, mine.isCustom, report.problems.map(({ code }) => code)], [true, "unknown", true, ["ACP_NO_MEMORY"]]);
});

test("switched off is not healthy, and approve-all without a sandbox is said to count as approve-reads", (t) => {
  const { bin, examine } = machine(t, { "acp.enabled": false, "acp.permissionMode": "approve-all", "acp.agents": { mine: { command: "mine" } } });
  put(join(bin, "mine"));
  const report = examine();
  assert.deepEqual([report.healthy, report.problems.map(({ code }) => code)], [false, ["ACP_DISABLED", "ACP_UNSANDBOXED"]]);
});

test("programs are found on PATH, then among those that npx has fetched, with the version of their package", (t) => {
  const { home, bin, programs } = machine(t);
  const fetched = join(home, ".npm", "_npx", "abc", "node_modules");
  put(join(fetched, "@x", "tool", "package.json"), '{"version": "1.2.3"}');
  const real = put(join(fetched, "@x", "tool", "dist", "index.js"));
  mkdirSync(join(fetched, ".bin"));
  symlinkSync(real, join(fetched, ".bin", "tool"));
  assert.equal(programs.find("tool"), join(fetched, ".bin", "tool"));
  assert.equal(packageVersionOf(programs.find("tool")!), "1.2.3");
  put(join(bin, "tool"));
  assert.equal(programs.find("tool"), join(bin, "tool"));
  for (const name of ["none", "../bin/tool", join(home, "none")]) assert.equal(programs.find(name), null, name);
  mkdirSync(join(bin, "folder"));
  assert.equal(programs.find("folder"), null, "a folder is no program");
});

test("every known harness starts in a mode that asks, says how to install it and how to log in", () => {
  assert.equal(new Set(KNOWN_HARNESSES.map(({ id }) => id)).size, KNOWN_HARNESSES.length);
  for (const { id, mode, unaskedModes, install, loginHint, projectFiles } of KNOWN_HARNESSES) {
    assert.ok(mode === null || !unaskedModes.includes(mode), id);
    assert.ok(install.length > 0 && loginHint !== "" && projectFiles.length > 0, id);
  }
});
