import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import type { HarnessSpec } from "../../model/harness.ts";
import { KNOWN_HARNESSES } from "./known-harnesses.ts";
import { furnish } from "./own-folder.ts";

const known = (id: string): HarnessSpec => KNOWN_HARNESSES.find((spec) => spec.id === id)!;

function places(t: TestContext, files: Readonly<Record<string, string>>): { home: string; folder: string } {
  const scratch = realpathSync(mkdtempSync(join(tmpdir(), "own-folder-")));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const home = join(scratch, "home");
  mkdirSync(home);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(home, name)), { recursive: true });
    writeFileSync(join(home, name), text);
  }
  return { home, folder: join(scratch, "own") };
}

const read = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));

test("a person's login works in the session's own folder, and nothing else of the person's settings is there", async (t) => {
  const theirs = `// written by hand\n{ "security": { "auth": { "selectedType": "oauth-personal" } }, "hooks": { "SessionStart": [] }, "mcpServers": { "x": { "command": "x" } } }`;
  const { home, folder } = places(t, { ".gemini/settings.json": theirs, ".gemini/oauth_creds.json": "token" });
  const env = { HOME: home, GEMINI_API_KEY: "key" };
  await furnish(known("gemini"), { folder, cwd: "/w", isTrusted: false, env });
  const own = join(folder, "gemini", ".gemini");
  assert.deepEqual(read(join(own, "settings.json")), { general: { enableAutoUpdate: false }, privacy: { usageStatisticsEnabled: false }, advanced: { ignoreLocalEnv: true }, security: { auth: { selectedType: "oauth-personal" } } });
  assert.equal(statSync(join(own, "settings.json")).mode & 0o777, 0o600);
  // A link: what the harness renews there, the person has too.
  writeFileSync(join(own, "oauth_creds.json"), "renewed");
  assert.equal(readFileSync(join(home, ".gemini/oauth_creds.json"), "utf8"), "renewed");

  // Logged out since, and the folder trusted since.
  rmSync(join(home, ".gemini"), { recursive: true });
  await furnish(known("gemini"), { folder, cwd: "/w", isTrusted: true, env });
  assert.deepEqual(read(join(own, "settings.json")), { general: { enableAutoUpdate: false }, privacy: { usageStatisticsEnabled: false }, security: { auth: { selectedType: "gemini-api-key" } } });
  assert.throws(() => lstatSync(join(own, "oauth_creds.json")), /ENOENT/);
});

test("a harness whose calls go through the gateway's proxy gets no login of the person", async (t) => {
  const { home, folder } = places(t, { ".gemini/settings.json": '{"security": {"auth": {"selectedType": "oauth-personal"}}}', ".gemini/oauth_creds.json": "token" });
  await furnish({ ...known("gemini"), proxied: true }, { folder, cwd: "/w", isTrusted: false, env: { HOME: home, GEMINI_API_KEY: "token" } });
  assert.deepEqual((read(join(folder, "gemini/.gemini/settings.json")) as { security: unknown }).security, { auth: { selectedType: "gemini-api-key" } });
  assert.ok(!existsSync(join(folder, "gemini/.gemini/oauth_creds.json")));
});

test("only a trusted folder is named as one, and where none is hooks are off", async (t) => {
  const { home, folder } = places(t, { ".copilot/config.json": '// by Copilot\n{"loggedInUsers": [{"host": "h", "login": "ann"}], "trustedFolders": ["/"], "mcp": 1}' });
  const settings = join(folder, "copilot/settings.json");
  await furnish(known("copilot"), { folder, cwd: "/w", isTrusted: false, env: { HOME: home } });
  assert.deepEqual(read(settings), { disableAllHooks: true });
  assert.deepEqual(read(join(folder, "copilot/config.json")), { loggedInUsers: [{ host: "h", login: "ann" }] });
  await furnish(known("copilot"), { folder, cwd: "/w", isTrusted: true, env: { HOME: home } });
  assert.deepEqual(read(settings), { trustedFolders: ["/w"] });
});

test("a person's file that nobody can read is as none, and no place of the registry leads out of the session's folder", async (t) => {
  const { home, folder } = places(t, { ".copilot/config.json": "{", ".gemini/settings.json": '["__proto__"]' });
  for (const spec of KNOWN_HARNESSES) {
    await furnish(spec, { folder, cwd: "/w", isTrusted: false, env: { HOME: home } });
    for (const place of [...Object.values(spec.configDirs), ...Object.values(spec.configFiles), ...Object.keys(spec.logins), ...spec.settingsFiles.map(({ path }) => path)]) assert.ok(join(folder, place).startsWith(`${folder}/`), place);
    for (const { path } of spec.settingsFiles) read(join(folder, path));
  }
});

test("two processes of one session that start at once find everything whole, and nothing is left beside it", async (t) => {
  const { home, folder } = places(t, { ".gemini/oauth_creds.json": "token" });
  const own = join(folder, "gemini", ".gemini");
  for (let round = 0; round < 20; round++) await Promise.all([1, 2, 3].map(() => furnish(known("gemini"), { folder, cwd: "/w", isTrusted: false, env: { HOME: home } })));
  assert.equal(readFileSync(join(own, "oauth_creds.json"), "utf8"), "token");
  assert.deepEqual(readdirSync(own).sort(), ["oauth_creds.json", "settings.json"]);
});
