import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { ManualClock } from "../../base/clock.ts";
import { runCommand } from "../run-command.ts";

async function yard(line: string) {
  const output = new PassThrough();
  const errors = new PassThrough();
  const exitCode = await runCommand(line.split(" "), { terminal: { input: new PassThrough(), output, errors }, environment: {}, clock: new ManualClock(), program: "yard" });
  return { exitCode, out: String(output.read() ?? ""), err: String(errors.read() ?? "") };
}

test("yard simulate answers how long customer 7 waits, without a gateway", async () => {
  const { exitCode, out } = await yard("simulate --customers 7 --turn 5s --max-concurrent 4");
  assert.equal(exitCode, 0);
  assert.match(out, /waits: 0 0 0 0 5 5 5\n/);
  assert.match(out, /^7 +0 +5 +5 +10$/m);
  assert.match(out, /^Customer 7 waits 5 s, the longest/m);
});

test("--json holds what the table shows, and --compare adds a column each time", async () => {
  const { out } = await yard("simulate --customers 2 --json --compare max-concurrent=1 --compare customers=3");
  const { columns } = JSON.parse(out) as { columns: { name: string; asked: object; messages: { waitMs: number }[] }[] };
  assert.deepEqual(columns.map(({ name, messages }) => [name, messages.map(({ waitMs }) => waitMs)]), [
    ["as asked", [0, 0]],
    ["max-concurrent=1", [0, 5_000]],
    ["customers=3", [0, 0, 0]],
  ]);
  assert.deepEqual(columns[0]!.asked, { customers: "2" });
});

test("--svg writes a picture where it is told to", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "yard-simulate-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  assert.equal((await yard(`simulate --svg ${join(folder, "wait.svg")}`)).exitCode, 0);
  assert.match(await readFile(join(folder, "wait.svg"), "utf8"), /<svg /);
  const { exitCode, err } = await yard(`simulate --svg ${join(folder, "no", "wait.svg")}`);
  assert.deepEqual([exitCode, err.startsWith("yard: WRONG_USE: --svg: ")], [2, true]);
});

test("a bad option is one clear error and exit code 2", async () => {
  for (const [words, said] of [
    ["--turn 5", /^yard: WRONG_USE: --turn: must be a time \(5s\).*not "5"\n$/],
    ["--customers none", /^yard: WRONG_USE: --customers: must be a whole number in 1\.\.10000, not "none"\n$/],
    ["--compare rpm=0", /^yard: WRONG_USE: --rpm: must be a whole number in 1\.\.1000000/],
    ["--everything", /^yard: WRONG_USE: unknown option '--everything'\n$/],
  ] as const) {
    const { exitCode, err, out } = await yard(`simulate ${words}`);
    assert.deepEqual([exitCode, out], [2, ""]);
    assert.match(err, said);
  }
});

test("the help says that --rpm models the provider's limit, since the gateway itself has none", async () => {
  const { exitCode, out } = await yard("simulate --help");
  assert.equal(exitCode, 0);
  assert.match(out, /--rpm models the provider's limit, not the gateway/);
});
