/** The web chat in a real browser, against the real gateway with the rehearsal agent. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { startGateway } from "../support/gateway.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
const WAIT_MS = 40_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"];

// In CI the browser must be there; on a person's machine the test is skipped and says so.
const skip = CHROMIUM === undefined && process.env["CI"] !== "true" ? "no Chromium on this machine" : false;

async function openBrowser(t: TestContext): Promise<Browser> {
  assert.ok(CHROMIUM, "CI has a Chromium");
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  t.after(() => browser.close());
  return browser;
}

async function logIn(page: Page, url: string, token: string): Promise<void> {
  await page.goto(url);
  await page.getByTestId("login-token").fill(token);
  await page.keyboard.press("Enter");
  await page.getByTestId("composer").waitFor({ timeout: WAIT_MS });
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId("composer").fill(text);
  await page.keyboard.press("Enter");
}

test("a person delegates, goes on talking meanwhile, and sees the results arrive, all live in the page", { skip, timeout: 150_000 }, async (t) => {
  const gateway = await startGateway(t, { config: { "messages.messageWaitMs": 0 } });
  const browser = await openBrowser(t);
  const page = await browser.newPage({ viewport: { width: 1360, height: 850 } });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));

  await logIn(page, gateway.url, gateway.token);
  await say(page, "research solar and research wind, then summarise");
  await page.getByTestId("child").nth(1).waitFor({ timeout: WAIT_MS });
  await say(page, "what is running?");
  // What it says depends on how far the children are by then; that it answers meanwhile does not.
  await page.getByTestId("reply").filter({ hasText: /running/i }).first().waitFor({ timeout: WAIT_MS });
  await page.getByTestId("reply").filter({ hasText: "Summary:" }).waitFor({ timeout: WAIT_MS });

  assert.equal(await page.getByTestId("reply").filter({ hasText: "Summary:" }).count(), 1, "the digest is answered once");
  const screenshot = process.env["YARD_SCREENSHOT"];
  if (screenshot !== undefined) await page.screenshot({ path: screenshot });
  await page.reload();
  await page.getByTestId("reply").filter({ hasText: "Summary:" }).waitFor({ timeout: WAIT_MS });
  assert.deepEqual(problems, [], "no script error in the page");
});

test("a page whose gateway was killed says so, and goes on by itself when it is back", { skip, timeout: 150_000 }, async (t) => {
  const gateway = await startGateway(t, { config: { "messages.messageWaitMs": 0 }, args: ["--port", String(await freePort())] });
  const browser = await openBrowser(t);
  const page = await browser.newPage();
  await logIn(page, gateway.url, gateway.token);
  await page.locator('[data-testid=connection][data-state="open"]').waitFor({ timeout: WAIT_MS });

  await gateway.kill9();
  await page.locator('[data-testid=connection]:not([data-state="open"])').waitFor({ timeout: WAIT_MS });
  await say(page, "say I was typed while nobody was there");
  await gateway.restart();

  await page.getByTestId("reply").filter({ hasText: "I was typed while nobody was there" }).waitFor({ timeout: WAIT_MS });
  assert.equal(await page.getByTestId("reply").count(), 1);
});

test("a person finds out in the page how long seven customers would wait, with the gateway's own slots and a picture", { skip, timeout: 150_000 }, async (t) => {
  const gateway = await startGateway(t, { config: { "agents.defaults.maxConcurrent": 4 } });
  const browser = await openBrowser(t);
  const page = await browser.newPage({ viewport: { width: 375, height: 800 } });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await logIn(page, gateway.url, gateway.token);
  await page.getByRole("button", { name: "Sessions", exact: true }).click();
  await page.getByTestId("simulate-open").click();
  await page.locator('[data-testid=simulate-form] [name=maxConcurrent]').waitFor({ timeout: WAIT_MS });
  await page.reload();
  const form = page.getByTestId("simulate-form");
  await form.getByLabel("Customers").fill("7");
  await form.getByLabel("A turn takes").fill("soon");
  await page.getByTestId("simulate-run").click();
  await form.getByRole("alert").filter({ hasText: "must be a time" }).waitFor({ timeout: WAIT_MS });
  await form.getByLabel("A turn takes").fill("5s");
  await form.getByLabel("Compare with").fill("8");
  await page.getByTestId("simulate-run").click();

  await page.getByTestId("simulate-answer").filter({ hasText: "Customer 7 waits 5 s" }).waitFor({ timeout: WAIT_MS });
  assert.match(await page.getByTestId("simulate-answer").innerText(), /8 at once\s+Nobody waits/);
  assert.match(await page.getByTestId("simulate-waits").innerText(), /customer 7\s+5 s → 0 s/i);
  const width = await page.getByTestId("simulate-picture").evaluate(async (picture: { decode(): Promise<void>; naturalWidth: number }) => (await picture.decode(), picture.naturalWidth));
  assert.ok(width > 0, "the picture can be drawn under the page's policy");
  await page.getByTitle("Back to the chat").click();
  await page.getByTestId("composer").waitFor({ timeout: WAIT_MS });
  assert.deepEqual(problems, [], "no script error in the page");
});

/** A port that nobody listens on just now, so that the gateway can come back at the same address. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("a person sees in the page when a job comes next, runs it now, reads what became of it, and pauses it", { skip, timeout: 150_000 }, async (t) => {
  const gateway = await startGateway(t);
  await gateway.api("POST", "/api/jobs", { name: "brief", schedule: { kind: "every", everyMs: 3_600_000 }, payload: { kind: "agentTurn", message: "say good morning" } });
  const browser = await openBrowser(t);
  const page = await browser.newPage({ viewport: { width: 1360, height: 850 } });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await logIn(page, gateway.url, gateway.token);
  await page.getByTestId("jobs-open").click();
  const builtIn = page.getByTestId("job").filter({ hasText: "yard:retention" });
  await builtIn.filter({ hasText: "every 10 min" }).waitFor({ timeout: WAIT_MS });
  assert.equal(await builtIn.getByRole("button", { name: "Pause" }).count(), 0, "what belongs to the gateway can be run only");
  const job = page.getByTestId("job").filter({ hasText: "brief" });
  await job.filter({ hasText: "every 1 h" }).waitFor({ timeout: WAIT_MS });
  await job.getByRole("button", { name: "brief" }).click();
  await job.getByRole("button", { name: "Run now" }).click();
  await page.getByTestId("job-runs").filter({ hasText: "good morning" }).waitFor({ timeout: WAIT_MS });
  await job.getByRole("button", { name: "Pause" }).click();
  await page.locator('[data-testid=job][data-state="paused"]').waitFor({ timeout: WAIT_MS });
  await page.reload();
  await page.locator('[data-testid=job][data-state="paused"]').waitFor({ timeout: WAIT_MS });
  assert.deepEqual(problems, [], "no script error in the page");
});

test("the task board shows each child as a card in the column of its state, and a card leads to its conversation", { skip, timeout: 150_000 }, async (t) => {
  const gateway = await startGateway(t, { config: { "messages.messageWaitMs": 0 } });
  const page = await (await openBrowser(t)).newPage({ viewport: { width: 1360, height: 850 } });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await gateway.api("POST", "/api/spawns", { spawns: [{ task: "research solar for 1s", label: "solar" }, { task: "research wind for 1s", label: "wind" }], wait: true });

  await logIn(page, gateway.url, gateway.token);
  await page.getByTestId("board-open").click();
  const done = page.locator('[data-column="done"]');
  await done.getByTestId("card").nth(1).waitFor({ timeout: WAIT_MS });
  assert.equal(await page.getByTestId("card").count(), 2);
  await page.getByPlaceholder("Find by label").fill("wind");
  await page.getByTestId("card").filter({ hasText: "solar" }).waitFor({ state: "detached", timeout: WAIT_MS });
  const screenshot = process.env["YARD_SCREENSHOT_BOARD"];
  if (screenshot !== undefined) await page.screenshot({ path: screenshot });
  await page.getByTestId("card").click();
  await page.getByTestId("composer").waitFor({ timeout: WAIT_MS });
  assert.match(decodeURIComponent(page.url()), /agent:main:subagent:/);
  assert.deepEqual(problems, []);
});
