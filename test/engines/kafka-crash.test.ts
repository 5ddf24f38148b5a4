import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openSqliteEventLog } from "../../packages/embedded/src/sqlite-event-log.ts";
import { newEvents } from "../cluster/support/kafka-feed.ts";
import { judgeTopic } from "../cluster/support/kafka-verdict.ts";
import { readAll } from "../contract/feed.contract.ts";
import { temporaryDirectory } from "../support/keyledger-process.ts";
import { host } from "./kafka/audit-topics.ts";
import type { RelayProcessOptions } from "./kafka/relay-process.ts";
import { testKafka } from "./kafka/test-kafka.ts";

const RELAY = fileURLToPath(new URL("kafka/relay-process.ts", import.meta.url));
/** Each point of the matrix so many times; the long runs set more. */
const ROUNDS = Number(process.env.KEYLEDGER_TEST_ROUNDS ?? 3);
const EVENTS = 2_300;

const kafka = await testKafka();
afterAll(() => kafka?.[Symbol.asyncDispose]());

describe.skipIf(!kafka)("A relay process on KEYLEDGER_TEST_KAFKA", { timeout: 120_000 }, () => {
  if (!kafka) return;

  it.for([
    ["before-produce", 0],
    ["unacknowledged", 500],
    ["before-checkpoint", 500],
    ["torn-checkpoint", 1_000],
  ] as const)("killed at %s leaves no gap and repeats %d events at most", async ([at, most]) => {
    await using story = await newStory();
    for (let nth = 1; nth <= ROUNDS; nth++) {
      const topics = await kafka.newTopics();
      const options = { ...story.options, topics };
      expect(await story.run({ ...options, crash: { at, nth: nth % 4 || 1 } })).toBe("SIGKILL");
      expect(await story.run(options)).toBe("done");
      const verdict = await judgeTopic(await kafka.read(topics.changes), story.events);
      expect(verdict).toMatchObject({ applied: EVENTS, gaps: 0, missing: 0 });
      expect(verdict.duplicates).toBeLessThanOrEqual(most);
      if (at === "before-checkpoint") expect(verdict.duplicates).toBeGreaterThan(0);
    }
  });

  it("frozen while another one publishes, then thawed, interleaves duplicates but leaves no gap", async () => {
    await using story = await newStory();
    for (let nth = 1; nth <= ROUNDS; nth++) {
      const topics = await kafka.newTopics();
      const options = { ...story.options, topics };
      const first = story.start(options);
      await expect
        .poll(async () => (await kafka.read(topics.checkpoints ?? "")).length, { timeout: 30_000 })
        .toBeGreaterThan(0);
      first.freeze();
      expect(await story.run({ ...options, logFile: story.copy() })).toBe("done");
      first.thaw();
      expect(await first.end).toBe("done");
      const verdict = await judgeTopic(await kafka.read(topics.changes), story.events);
      expect(verdict).toMatchObject({ applied: EVENTS, gaps: 0, missing: 0 });
      // Both have sent it all, at the worst.
      expect(verdict.duplicates).toBeLessThanOrEqual(EVENTS);
      // Whichever wrote the last checkpoint, a third one has nothing to do.
      expect(await story.run(options)).toBe("done");
      expect(await kafka.read(topics.changes)).toHaveLength(verdict.applied + verdict.duplicates);
    }
  });

  it.skipIf(!kafka.control)("goes on when the leader of a partition dies under it", async () => {
    const { control } = kafka;
    if (!control) return;
    await using story = await newStory();
    for (let nth = 1; nth <= ROUNDS; nth++) {
      const topics = await kafka.newTopics();
      const relay = story.start({ ...story.options, topics });
      await expect
        .poll(async () => (await kafka.read(topics.changes)).length, { timeout: 30_000 })
        .toBeGreaterThan(0);
      const leader = await control.leaderOf(topics.changes, nth % 12);
      await control.kill(leader);
      expect(await relay.end).toBe("done");
      await control.restart(leader);
      await control.healed(topics.changes);
      const verdict = await judgeTopic(await kafka.read(topics.changes), story.events);
      expect(verdict).toMatchObject({ applied: EVENTS, gaps: 0, missing: 0 });
    }
  });
});

/** A log file full of events, and the processes that relay it. */
async function newStory() {
  const directory = await temporaryDirectory();
  const deploymentId = host.random.uuid();
  const logFile = join(directory.path, "log.db");
  const running = new Set<ChildProcess>();
  await using log = openSqliteEventLog({ file: logFile, deploymentId, host });
  const appends = [...newEvents(EVENTS, 40)].map(({ stream, revision, event }) =>
    log.append(stream, revision === 0 ? "none" : revision - 1, [event]),
  );
  await Promise.all(appends);
  const events = await readAll(log, 1_000);
  let copies = 0;

  function start(options: RelayProcessOptions) {
    const child = spawn(process.execPath, [RELAY, JSON.stringify(options)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    running.add(child);
    let errors = "";
    child.stderr?.on("data", (chunk) => {
      errors += String(chunk);
    });
    const end = new Promise<string>((resolve) => {
      child.once("close", (code, signal) => {
        running.delete(child);
        resolve(signal ?? (code === 0 && errors === "" ? "done" : `exit ${code}: ${errors}`));
      });
    });
    return { end, freeze: () => child.kill("SIGSTOP"), thaw: () => child.kill("SIGCONT") };
  }

  return {
    events,
    options: { brokers: kafka?.bootstrap ?? [], deploymentId, logFile },
    start,
    run: (options: RelayProcessOptions) => start(options).end,
    /** The same log for a second process: only one may have the file open. */
    copy: () => {
      const file = join(directory.path, `copy-${++copies}.db`);
      copyFileSync(logFile, file);
      return file;
    },
    [Symbol.asyncDispose]: async () => {
      for (const child of running) child.kill("SIGKILL");
      await directory[Symbol.asyncDispose]();
    },
  };
}
