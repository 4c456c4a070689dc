/** docs/regressions.md names a test for each failure: here it is looked whether they are there. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const AREAS = ["channels"];
const ROWS_MIN = 90;

test("each failure in docs/regressions.md names a test that exists, or the part that will bring it", () => {
  const page = readFileSync(pathOf("docs/regressions.md"), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| what went wrong"));
  const missing = rows.filter((row) => {
    const by = row.split(" | ").at(-1)!.replace(/ \|$/, "");
    if (by.startsWith("pending: ")) return !AREAS.includes(by.slice("pending: ".length));
    const [, file = "", name = ""] = /^`([^`]+)`(?:: (.+))?$/.exec(by) ?? [];
    return file === "" || !readFileSync(pathOf(file), "utf8").includes(name);
  });
  assert.deepEqual(missing, []);
  assert.ok(rows.length >= ROWS_MIN, `${rows.length} rows`);
});

function pathOf(file: string): string {
  return fileURLToPath(new URL(`../${file}`, import.meta.url));
}
