/**
 * A real coding agent through the real gateway, from its start to its end, as a person in a chat has it.
 *
 * What is asked of the model is written in a {@link Tongue}; so the same course runs against any model server
 * that can be told what to say. Each step is timed and says what was seen; a step that is not as it should be throws.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ApiApproval, ApiEvent, ApprovalList, MessageAccepted, SpawnAccepted } from "../../src/api/wire.ts";
import { Gateway, NoReply } from "../support/gateway.ts";
import { allGone } from "../support/processes.ts";
import { entryFor, scratchRoot, type RealHarness } from "./programs.ts";

/** Words that make the model behind the harness do something. */
export interface Tongue {
  /** What then stands in its answers, and in the file that it writes; a model server may know fixed words only. */
  readonly shows: { readonly said: RegExp; readonly stillSaid: RegExp; readonly quicklySaid: RegExp; readonly read: RegExp; readonly readLate: RegExp; readonly written: RegExp };
  say(text: string): string;
  /** Reads a file, waits, and says what it read. */
  read(path: string, waitMs?: number): string;
  write(path: string, text: string): string;
  /** Begins to answer and does not come to an end by itself. */
  endless(): string;
  /** Waits, reads a file and says something: there is a step in between. */
  twoSteps(path: string, waitMs: number): string;
  /** Hands a task to another agent by the session tools and waits for it; null where the model cannot be told that. */
  delegate(agent: string, task: string): string | null;
}

/** `!!`: what an earlier request asked for that was cancelled does not count any more. */
export const STANDIN_TONGUE: Tongue = {
  shows: { said: /hello from the model/, stillSaid: /still here/, quicklySaid: /a quick answer/, read: /treasure is under the oak/, readLate: /treasure is under the elm/, written: /written by it/ },
  say: (text) => `!! say ${text}`,
  read: (path, waitMs = 0) => `!! call @read {"path": "${path}"} then wait ${waitMs}ms then say I read: <last>`,
  write: (path, text) => `!! call @write {"path": "${path}", "text": "${text}"} then say it says: <last>`,
  endless: () => "!! say beginning then wait 10m then say never",
  twoSteps: (path, waitMs) => `!! wait ${waitMs}ms then call @read {"path": "${path}"} then wait 200ms then say two steps are done`,
  delegate: (agent, task) => `!! call @served:sessions_spawn ${JSON.stringify({ task, runtime: "acp", agent })} then call @served:sessions_yield {"timeoutSeconds": 60} then say it got: <last>`,
};

const PERSON = "agent:main:api:direct:ann";
/** Long enough for a second one to start and answer meanwhile: so often the time that the first took to start, and this, milliseconds. */
const LONG_WORK_STARTS = 3;
const LONG_WORK_MS = 12_000;
/** A real program starts slowly on a busy machine, milliseconds. */
const SLOW_MS = 120_000;

export interface Course {
  readonly id: RealHarness;
  readonly program: string;
  readonly modelUrl: string;
  readonly tongue: Tongue;
  /** What reached the model so far, as one text. */
  readonly heardByModel: () => Promise<string>;
  /** Told of each step that is done. */
  readonly onStep: (step: string, ms: number, seen: string) => void;
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Runs all steps. @throws {Error} of the first that is not as it should be. */
export async function drive(course: Course): Promise<void> {
  const { id } = course;
  const scratch = realpathSync(mkdtempSync(join(scratchRoot(), `course-${id}-`)));
  const cwd = join(scratch, "work");
  const home = join(scratch, "home");
  const state = join(scratch, "state");
  for (const folder of [cwd, home, state]) mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(cwd, "hello.txt"), "the treasure is under the oak");
  const entry = entryFor(id, { program: course.program, modelUrl: course.modelUrl, home });
  // By this every process of it is found again.
  const marked = { ...entry, env: { ...entry.env, COURSE: scratch } };
  const gateway = new Gateway({ home: state, env: { HOME: homedir() }, config: { "acp.agents": { [id]: marked }, "messages.messageWaitMs": 0, "acp.memoryReserveMb": 0, ...course.settings } });
  const stage = new Stage(course, gateway, cwd);
  const stop = (): void => void gateway.close().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  try {
    await gateway.start();
    await stage.all();
    await stage.step("nothing of it is left", async () => {
      await allGone(`COURSE=${scratch}`);
      return "no process";
    });
  } catch (cause) {
    const left = gateway.log().trim().split("\n").slice(-25).join("\n");
    throw new Error(`${id}: ${cause instanceof Error ? cause.message : String(cause)}\n${left}`, { cause });
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
    await gateway.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

class Stage {
  readonly #course: Course;
  readonly #gateway: Gateway;
  readonly #cwd: string;

  constructor(course: Course, gateway: Gateway, cwd: string) {
    this.#course = course;
    this.#gateway = gateway;
    this.#cwd = cwd;
  }

  async step(what: string, work: () => Promise<string>): Promise<void> {
    const startedAt = performance.now();
    try {
      const seen = await work();
      this.#course.onStep(what, Math.round(performance.now() - startedAt), seen);
    } catch (cause) {
      throw new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }

  async all(): Promise<void> {
    const { tongue } = this.#course;
    const file = (name: string): string => join(this.#cwd, name);

    const startedAt = performance.now();
    await this.step("spawn and bind", () => this.#spawn());
    const longWorkMs = Math.round(LONG_WORK_MS + LONG_WORK_STARTS * (performance.now() - startedAt));
    await this.step("say", async () => {
      const reply = await this.#ask(tongue.say("hello from the model"));
      assert.match(reply.text, tongue.shows.said);
      return reply.text;
    });
    await this.step("read", async () => {
      const { text, asked } = await this.#ask(tongue.read(file("hello.txt")), "once");
      assert.match(text, tongue.shows.read);
      return asked === 0 ? "without a question" : `${asked} asked`;
    });
    await this.step("write with approval", async () => {
      const { asked } = await this.#ask(tongue.write(file("new.txt"), "written by it"), "once", () => assert.ok(!existsSync(file("new.txt")), "it did not wait for the answer"));
      assert.ok(asked > 0, "it wrote without a question");
      assert.match(readFileSync(file("new.txt"), "utf8"), tongue.shows.written);
      return `${asked} asked`;
    });
    await this.step("write denied", async () => {
      const { asked, text } = await this.#ask(tongue.write(file("never.txt"), "written by it"), "deny");
      assert.ok(asked > 0, "it was not asked about");
      assert.ok(!existsSync(file("never.txt")), "it wrote all the same");
      return text.slice(0, 100);
    });
    const delegate = tongue.delegate(this.#course.id, tongue.say("words of the child"));
    if (delegate !== null) {
      await this.step("hand a task to another by the session tools", async () => {
        const { text, asked } = await this.#ask(delegate, "once");
        assert.match(text, /words of the child/);
        return `${asked} asked`;
      });
    }
    await this.step("steer", () => this.#steer(file("hello.txt")));
    await this.step("cancel", () => this.#cancel());
    await this.step("a quick question beside", () => this.#beside(file("elm.txt"), longWorkMs));
    await this.step("kill -9 in the middle, and on", () => this.#kill(file("hello.txt")));
    await this.step("two at once", () => this.#two(file("hello.txt")));
    await this.step("close", async () => {
      const said = await this.#command("/acp close");
      assert.match(said, /closed/);
      return said;
    });
  }

  async #spawn(): Promise<string> {
    const said = await this.#command(`/acp spawn ${this.#course.id} --bind here --cwd ${this.#cwd} --label it`);
    if (/is ready/.test(said)) return said;
    assert.match(said, /is starting/);
    const { data } = await this.#event("ready", ({ type, data: { code } }) => type === "notice" && (code === "HARNESS_READY" || String(code).startsWith("ACP_")), PERSON);
    assert.equal(data["code"], "HARNESS_READY", String(data["text"]));
    return String(data["text"]);
  }

  async #steer(path: string): Promise<string> {
    const { tongue, heardByModel } = this.#course;
    const { messageId } = await this.#gateway.send(tongue.twoSteps(path, 2_500), { session: PERSON });
    await this.#running(messageId);
    await this.#command("/acp steer and tell me about the PELICAN");
    await this.#gateway.waitReply(messageId, SLOW_MS);
    for (const until = Date.now() + 20_000; !(await heardByModel()).includes("PELICAN"); ) {
      assert.ok(Date.now() < until, "the words did not reach the model");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await this.#quiet();
    const { events } = await this.#since(messageId);
    return events.filter(({ type }) => type === "turn.started").length > 1 ? "as the next turn" : "in the same turn";
  }

  async #cancel(): Promise<string> {
    const { tongue, heardByModel } = this.#course;
    const before = await this.#pid();
    const { messageId } = await this.#gateway.send(tongue.endless(), { session: PERSON });
    await this.#running(messageId);
    for (const until = Date.now() + 20_000; !(await heardByModel()).includes(tongue.endless()); ) {
      assert.ok(Date.now() < until, "the model was not asked");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const startedAt = performance.now();
    assert.match(await this.#command("/acp cancel"), /stopped/);
    const { data } = await this.#event("the turn's end", ({ type, data: { messageIds } }) => type === "turn.ended" && (messageIds as string[]).includes(messageId), PERSON);
    const ms = Math.round(performance.now() - startedAt);
    assert.equal(data["outcome"], "cancelled");
    assert.match((await this.#ask(tongue.say("still here"))).text, tongue.shows.stillSaid);
    const after = await this.#pid();
    return `in ${ms} ms, ${before === after ? "the same process went on" : "with a new process"}`;
  }

  async #beside(path: string, longWorkMs: number): Promise<string> {
    const { tongue, heardByModel } = this.#course;
    const session = await this.#key();
    const before = await this.#pid();
    // One that it has not read before, for some do not read the same again.
    writeFileSync(path, "the treasure is under the elm");
    const { messageId } = await this.#gateway.send(tongue.read(path, longWorkMs), { session: PERSON });
    const answering = this.#answering("once");
    const turn = await this.#running(messageId);
    await this.#event("the end of a tool call", ({ type, turnId }) => type === "tool.ended" && turnId === turn, session);
    await this.#gateway.api("POST", `/api/sessions/${encodeURIComponent(session)}/promote`);
    const startedAt = performance.now();
    assert.match((await this.#ask(tongue.say("a quick answer"))).text, tongue.shows.quicklySaid);
    const ms = Math.round(performance.now() - startedAt);
    assert.match(await this.#command("/acp status it"), /beside it \d+/, "the question waited for the long work");
    assert.match(await this.#gateway.waitReply(messageId, SLOW_MS), tongue.shows.readLate);
    answering.stop();
    await this.#ask(tongue.say("we go on"));
    assert.equal(await this.#pid(), before, "the first one goes on");
    assert.doesNotMatch(await this.#command("/acp status it"), /beside it/);
    assert.match(await heardByModel(), /Meanwhile this was said in this conversation beside you/);
    const { data } = await this.#event("word of the second", ({ type, data: { beside } }) => type === "harness.state" && beside === true, session);
    return `answered in ${ms} ms by a second session (${String(data["how"])})`;
  }

  async #kill(path: string): Promise<string> {
    const { tongue } = this.#course;
    const session = await this.#key();
    const { messageId } = await this.#gateway.send(tongue.read(path, 3_000), { session: PERSON });
    const answering = this.#answering("once");
    const turn = await this.#running(messageId);
    await this.#event("the end of a tool call", ({ type, turnId }) => type === "tool.ended" && turnId === turn, session);
    process.kill(await this.#pid(), "SIGKILL");
    const text = await this.#gateway.waitReply(messageId, SLOW_MS);
    answering.stop();
    assert.match(text, tongue.shows.read);
    const notice = await this.#event("word of the restart", ({ type, data }) => type === "notice" && data["code"] === "HARNESS_RESTARTED", PERSON);
    return String(notice.data["text"]);
  }

  async #two(path: string): Promise<string> {
    const { id, tongue } = this.#course;
    const spawn = (): Promise<SpawnAccepted> => this.#gateway.api("POST", "/api/spawns", { runtime: "acp", agent: id, cwd: this.#cwd, task: tongue.read(path, 1_500) });
    const answering = this.#answering("once");
    const tasks = await Promise.all([spawn(), spawn()]);
    await Promise.all(tasks.map(({ taskId }) => this.#event("the end of a child", (event) => event.type === "task.ended" && event.taskId === taskId)));
    answering.stop();
    const rows = await Promise.all(tasks.map(({ taskId }) => this.#gateway.api<{ state: string; startedAt: number; endedAt: number; result: string; fault: unknown }>("GET", `/api/tasks/${taskId}`)));
    for (const row of rows) assert.equal(row.state, "succeeded", JSON.stringify(row.fault));
    for (const row of rows) assert.match(row.result, tongue.shows.read);
    const [a, b] = rows;
    assert.ok(a!.startedAt < b!.endedAt && b!.startedAt < a!.endedAt, "they ran one after the other");
    return "side by side";
  }

  // ── a person at the chat ────────────────────────────────────────────────────────────────────

  async #command(text: string): Promise<string> {
    return (await this.#gateway.api<MessageAccepted>("POST", "/api/messages", { text, session: PERSON })).commandReply ?? "";
  }

  /** Says something and answers what is asked meanwhile. A turn that fails is told by its words. */
  async #ask(text: string, answer?: "once" | "deny", before: () => void = () => {}): Promise<{ text: string; asked: number }> {
    const answering = answer === undefined ? null : this.#answering(answer, before);
    const { messageId } = await this.#gateway.send(text, { session: PERSON });
    try {
      return { text: await this.#gateway.waitReply(messageId, SLOW_MS), asked: answering?.count() ?? 0 };
    } catch (cause) {
      if (answer !== "deny" || !(cause instanceof NoReply)) throw cause;
      return { text: `the turn failed: ${JSON.stringify(cause.event.data["fault"])}`, asked: answering!.count() };
    } finally {
      answering?.stop();
    }
  }

  /** Answers every question from now on. */
  #answering(answer: "once" | "deny", before: () => void = () => {}): { stop(): void; count(): number } {
    let count = 0;
    let stopped = false;
    const look = async (): Promise<void> => {
      while (!stopped) {
        const { approvals } = await this.#gateway.api<ApprovalList>("GET", "/api/approvals?state=pending");
        for (const { approvalId } of approvals as readonly ApiApproval[]) {
          before();
          count++;
          await this.#gateway.call("POST", `/api/approvals/${approvalId}`, { answer });
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    // The gateway may be gone when the course is over.
    void look().catch(() => {});
    return { stop: () => void (stopped = true), count: () => count };
  }

  /** @throws {Error} that names what did not come. */
  async #event(what: string, fits: (event: ApiEvent) => boolean, session?: string): Promise<ApiEvent> {
    return this.#gateway.waitEvent(fits, { ...(session === undefined ? {} : { session }), timeoutMs: SLOW_MS }).catch((cause: unknown) => {
      throw new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    });
  }

  /** Resolves with a message's turn when it has begun. */
  async #running(messageId: string): Promise<string> {
    const session = await this.#key();
    const { turnId } = await this.#event("the turn's start", (event) => event.type === "turn.started" && (event.data["messageIds"] as string[] | undefined)?.includes(messageId) === true, session);
    return turnId!;
  }

  /** Resolves when it has nothing to do. */
  async #quiet(): Promise<void> {
    for (const until = Date.now() + SLOW_MS; ; ) {
      const row = await this.#gateway.api<{ state: string; waitingMessages?: number }>("GET", `/api/sessions/${encodeURIComponent(await this.#key())}`);
      if (row.state === "idle") return;
      assert.ok(Date.now() < until, "it does not come to rest");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #since(messageId: string): Promise<{ events: readonly ApiEvent[] }> {
    const session = await this.#key();
    const { lastSeq } = await this.#gateway.api<{ lastSeq: number }>("GET", `/api/sessions/${encodeURIComponent(session)}`);
    const events: ApiEvent[] = [];
    let on = false;
    for await (const event of this.#gateway.events(session)) {
      on ||= event.type === "message.accepted" && event.data["messageId"] === messageId;
      if (on) events.push(event);
      if ((event.seq ?? 0) >= lastSeq) break;
    }
    return { events };
  }

  async #key(): Promise<string> {
    const { sessions } = await this.#gateway.api<{ sessions: readonly { key: string; label: string | null }[] }>("GET", "/api/sessions?kind=acp");
    return sessions.find(({ label }) => label === "it")!.key;
  }

  async #pid(): Promise<number> {
    const pid = /process (\d+)/.exec(await this.#command("/acp status it"))?.[1];
    assert.ok(pid !== undefined, "it has no process");
    return Number(pid);
  }
}
