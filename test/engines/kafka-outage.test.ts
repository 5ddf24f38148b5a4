import { join } from "node:path";
import { createRelay, type EventLog, type RecordedEvent } from "@keyledger/core";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { openSqliteEventLog } from "../../packages/embedded/src/sqlite-event-log.ts";
import { newEvents } from "../cluster/support/kafka-feed.ts";
import { judgeTopic } from "../cluster/support/kafka-verdict.ts";
import { readAll } from "../contract/feed.contract.ts";
import { temporaryDirectory } from "../support/keyledger-process.ts";
import { type AuditTopics, host, newAuditTopics } from "./kafka/audit-topics.ts";
import type { WireFault } from "./kafka/faulty-wire.ts";
import { testKafka } from "./kafka/test-kafka.ts";

/** How long the brokers are away, how many faults there are; the long runs set more. */
const OUTAGE_MS = Number(process.env.KEYLEDGER_TEST_OUTAGE_MS ?? 30_000);
const FAULTS = Number(process.env.KEYLEDGER_TEST_FAULTS ?? 200);
const EVENTS_PER_SECOND = 500;

const kafka = await testKafka();
afterAll(() => kafka?.[Symbol.asyncDispose]());

describe.skipIf(!kafka?.control)(
  "A relay on KEYLEDGER_TEST_KAFKA",
  { timeout: OUTAGE_MS + 240_000 },
  () => {
    if (!kafka?.control) return;
    const { control } = kafka;
    afterEach(() => control.restore());

    it(`outlasts ${OUTAGE_MS} ms without any broker, while commands go on`, async () => {
      await using load = await newLoad();
      await using topics = await newAuditTopics(kafka);
      await using relay = await startRelay(topics, load.log);
      const before = await load.append(5_000);
      await relay.caughtUp();
      const residentBefore = process.memoryUsage().rss;

      await Promise.all(control.nodes.map((node) => control.kill(node)));
      const during = await load.append(OUTAGE_MS);
      expect(relay.state().isCaughtUp).toBe(false);
      expect(relay.state().problem).not.toBeNull();
      const resident = process.memoryUsage().rss - residentBefore;

      const behind = (await load.count()) - relay.delivered();
      await Promise.all(control.nodes.map((node) => control.restart(node)));
      await control.healed(topics.topics.changes);
      const drainRate = await relay.drainRate();
      const verdict = await judgeTopic(
        await kafka.read(topics.topics.changes),
        await load.events(),
      );
      console.log(
        `outage: ${behind} events behind, drained at ${drainRate.toFixed(0)}/s; append p99 ` +
          `${before.p99Ms.toFixed(1)} ms before, ${during.p99Ms.toFixed(1)} ms during; ` +
          `${(resident / 2 ** 20).toFixed(0)} MiB more; ${verdict.duplicates} duplicates`,
      );
      expect(verdict).toMatchObject({ gaps: 0, missing: 0 });
      expect(behind).toBeGreaterThan(during.count * 0.95);
      // The bounds are 50 MiB, 5,000/s and a tenth more; the rest is room for what else the machine does.
      expect(resident).toBeLessThan(5 * 50 * 2 ** 20);
      expect(drainRate).toBeGreaterThan(5_000 / 5);
      expect(during.p99Ms).toBeLessThan(before.p99Ms * 5 + 20);
    });

    it(`heals itself from ${FAULTS} faults of the network`, async () => {
      await using load = await newLoad();
      await using topics = await newAuditTopics(kafka);
      await using relay = await startRelay(topics, load.log);
      const kinds: readonly WireFault[] = [
        "cut",
        "cut",
        "stalled",
        "half-closed",
        "cut",
        "stalled",
      ];
      let isOver = false;
      const appending = (async () => {
        while (!isOver) await load.append(200);
      })();
      let met = 0;
      for (let nth = 0; met < FAULTS; nth++) {
        const kind = nth % 70 === 69 ? "silent" : (kinds[nth % kinds.length] ?? "cut");
        const open = control.wire(control.nodes[nth % 3] ?? 1).fault(kind, 300);
        met += Math.min(open, 1);
        await host.pause(100);
      }
      isOver = true;
      await appending;
      const startMs = performance.now();
      await relay.caughtUp();
      const healedMs = performance.now() - startMs;
      const verdict = await judgeTopic(
        await kafka.read(topics.topics.changes),
        await load.events(),
      );
      console.log(
        `faults: ${met} met, healed ${healedMs.toFixed(0)} ms after the last; ${verdict.applied} events, ` +
          `${verdict.duplicates} duplicates`,
      );
      expect(verdict).toMatchObject({ gaps: 0, missing: 0 });
      expect(healedMs).toBeLessThan(30_000);
    });

    it("heals itself from brokers that freeze or die, each in turn", async () => {
      await using load = await newLoad();
      await using topics = await newAuditTopics(kafka);
      await using relay = await startRelay(topics, load.log);
      for (const node of control.nodes) {
        for (const way of ["freeze", "kill"] as const) {
          await load.append(500);
          if (way === "kill") await control.kill(node);
          else control.freeze(node);
          await load.append(1_000);
          const startMs = performance.now();
          await relay.caughtUp();
          console.log(
            `${way} of broker ${node}: ${(performance.now() - startMs).toFixed(0)} ms behind`,
          );
          if (way === "kill") await control.restart(node);
          else control.thaw(node);
          await control.healed(topics.topics.changes);
        }
      }
      await relay.caughtUp();
      const verdict = await judgeTopic(
        await kafka.read(topics.topics.changes),
        await load.events(),
      );
      expect(verdict).toMatchObject({ gaps: 0, missing: 0 });
    });
  },
);

/** A log on disk that takes so many events a second. */
async function newLoad() {
  const directory = await temporaryDirectory();
  const log = openSqliteEventLog({
    file: join(directory.path, "log.db"),
    deploymentId: host.random.uuid(),
    host,
  });
  const events = newEvents(Number.POSITIVE_INFINITY, 60);

  /** Appends at the rate, a few at a time, whatever becomes of them. */
  async function append(forMs: number): Promise<{ count: number; p99Ms: number }> {
    const latencies: number[] = [];
    const startMs = performance.now();
    for (let passedMs = 0; passedMs < forMs; passedMs = performance.now() - startMs) {
      const due = Math.floor((passedMs / 1_000) * EVENTS_PER_SECOND) - latencies.length;
      const appends = Array.from({ length: due }, async () => {
        const next = events.next().value;
        if (!next) throw new Error("there is always a next event");
        const { stream, revision, event } = next;
        const calledMs = performance.now();
        await log.append(stream, revision === 0 ? "none" : revision - 1, [event]);
        latencies.push(performance.now() - calledMs);
      });
      await Promise.all(appends);
      await host.pause(10);
    }
    const sorted = latencies.toSorted((a, b) => a - b);
    return { count: sorted.length, p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
  }

  const everything = (): Promise<readonly RecordedEvent[]> => readAll(log, 10_000);
  return {
    log,
    append,
    events: everything,
    count: async () => (await everything()).length,
    [Symbol.asyncDispose]: async () => {
      await log[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** One relay process, but in here. */
async function startRelay(topics: AuditTopics, log: EventLog) {
  let deliveries: { readonly atMs: number; readonly records: number }[] = [];
  const sink = await topics.open({
    onLag: ({ records }) => void deliveries.push({ atMs: performance.now(), records }),
  });
  const relay = createRelay({ feed: log, sink, host });
  const stop = new AbortController();
  const running = relay.run(stop.signal);
  async function caughtUp(): Promise<void> {
    const head = await log.head();
    const isThere = () => relay.state().isCaughtUp && relay.state().position >= head;
    await Promise.race([expect.poll(isThere, { timeout: 120_000 }).toBe(true), running]);
  }
  return {
    state: () => relay.state(),
    delivered: () => deliveries.reduce((sum, { records }) => sum + records, 0),
    caughtUp,
    /** Records a second from the first batch that arrives from now on until it has caught up. */
    async drainRate() {
      deliveries = [];
      await caughtUp();
      const [first, ...rest] = deliveries;
      const records = rest.reduce((sum, delivery) => sum + delivery.records, 0);
      return (records / ((rest.at(-1)?.atMs ?? 0) - (first?.atMs ?? 0))) * 1_000;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      await sink[Symbol.asyncDispose]();
    },
  };
}
