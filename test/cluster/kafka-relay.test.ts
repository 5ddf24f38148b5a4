import {
  createRelay,
  type EventLog,
  Fault,
  type Host,
  OutcomeUnknown,
  type Relay,
} from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import {
  BATCH_RECORDS_MAX,
  type Delivery,
  KAFKA_TOPICS,
  kafkaAuditSink,
} from "../../packages/cluster/src/kafka-audit-sink.ts";
import { checkpointKey, encodeCheckpoint } from "../../packages/cluster/src/kafka-checkpoint.ts";
import { describe as describeEvent } from "../../packages/core/src/application/describe.ts";
import { simulatedTime } from "../core/support/simulated-time.ts";
import { newFeed } from "./support/kafka-feed.ts";
import { Killed, MemoryKafka, type SendFault } from "./support/kafka-memory.ts";
import { judgeTopic } from "./support/kafka-verdict.ts";

const deploymentId = "0198c0de-0000-7000-8000-00000000000d";
const { crypto, random } = nodeHost();
const { changes, deadLetters, checkpoints } = KAFKA_TOPICS;
const key = checkpointKey(deploymentId, "changes");

/** What outlives every process here: a log, a Kafka, and the time. */
function newWorld(log: EventLog, kafka = new MemoryKafka(KAFKA_TOPICS)) {
  const time = simulatedTime();
  const host: Host = { clock: time.clock, pause: time.pause, random, crypto };
  const deliveries: Delivery[] = [];

  /** Runs one relay process until it has caught up, or is killed. */
  async function runRelay(): Promise<{ end: "caught-up" | "killed" | Fault; relay: Relay }> {
    const options = { brokers: [], clientId: "t", deploymentId, host };
    const onLag = (delivery: Delivery) => void deliveries.push(delivery);
    await using sink = kafkaAuditSink({ ...options, onLag }, () => kafka.client());
    const relay = createRelay({ feed: log, sink, host });
    const stop = new AbortController();
    const running = relay.run(stop.signal).then(
      () => "caught-up" as const,
      (error: unknown) => {
        if (error instanceof Killed) return "killed" as const;
        if (error instanceof Fault) return error;
        throw error;
      },
    );
    const caughtUp = vi.waitUntil(() => relay.state().isCaughtUp, { timeout: 20_000, interval: 1 });
    await Promise.race([caughtUp, running]);
    caughtUp.catch(() => {});
    stop.abort();
    return { end: await running, relay };
  }
  return { kafka, time, deliveries, runRelay };
}

const everything = async (log: ReturnType<typeof newFeed>, kafka: MemoryKafka) =>
  judgeTopic(kafka.read(changes), log.events);

describe("A relay to Kafka", () => {
  it("publishes every event once, and goes on behind them after a restart", async () => {
    const log = newFeed(1_200, 40);
    const { kafka, runRelay, deliveries } = newWorld(log);
    await runRelay();
    await runRelay();
    expect(await everything(log, kafka)).toStrictEqual({
      applied: 1_200,
      duplicates: 0,
      gaps: 0,
      missing: 0,
    });
    expect(deliveries.map(({ records }) => records)).toStrictEqual([500, 500, 200]);
    expect(deliveries.at(-1)).toMatchObject({
      feed: "changes",
      position: await log.head(),
      deadLetters: 0,
    });
  });

  const at = (topic: string, fault: SendFault) => (sent: string) =>
    sent === topic ? fault : undefined;
  it.for([
    ["before it produces", at(changes, "killed-before"), 0],
    ["with a batch sent and no acknowledgement", at(changes, "killed"), 500],
    ["between acknowledgement and checkpoint", at(checkpoints, "killed-before"), 500],
    ["with its checkpoint half written", at(checkpoints, "torn"), 500],
  ] as const)("killed %s repeats a batch at most", async ([, fault, most]) => {
    for (let nth = 1; nth <= 6; nth++) {
      const log = newFeed(1_700, 25);
      const { kafka, runRelay } = newWorld(log);
      let sends = 0;
      kafka.fault = (topic) => (++sends >= nth ? fault(topic) : undefined);
      expect((await runRelay()).end).toBe("killed");
      kafka.fault = () => undefined;
      expect((await runRelay()).end).toBe("caught-up");
      const verdict = await everything(log, kafka);
      expect(verdict).toMatchObject({ applied: 1_700, gaps: 0, missing: 0 });
      expect(verdict.duplicates).toBeLessThanOrEqual(most);
    }
  });

  it.for([
    ["missing", () => undefined, 1_500],
    ["torn", (whole: string) => whole.slice(0, 30), 500],
    ["empty", () => "", 1_500],
    ["of another deployment", () => "other", 500],
    ["older", () => "older", 1_000],
  ] as const)("whose checkpoint is %s leaves no gap", async ([kind, damage, most]) => {
    const log = newFeed(1_500, 25);
    const before = newWorld(log);
    await before.runRelay();
    const kept = before.kafka.read(checkpoints).map(({ value }) => Buffer.from(value).toString());
    expect(kept).toHaveLength(3);
    // The same topic, in a Kafka that lost or garbled checkpoints.
    const { kafka, runRelay } = newWorld(log);
    for (const message of before.kafka.read(changes)) kafka.copy(changes, message);
    const [first = "", second = "", third = ""] = kept;
    if (kind === "torn") {
      for (const value of [first, second, damage(third)]) kafka.put(checkpoints, key, value);
    }
    if (kind === "empty") kafka.put(checkpoints, key, "");
    if (kind === "older") kafka.put(checkpoints, key, first);
    if (kind === "of another deployment") {
      kafka.put(checkpoints, key, second);
      kafka.put(checkpoints, checkpointKey(random.uuid(), "changes"), third);
    }
    await runRelay();
    const verdict = await everything(log, kafka);
    expect(verdict).toMatchObject({ applied: 1_500, gaps: 0, missing: 0 });
    expect(verdict.duplicates).toBe(most);
  });

  it("whose checkpoint is from the future stops and says so, and resumes when it was reset", async () => {
    const log = newFeed(700, 10);
    const { kafka, runRelay } = newWorld(log);
    kafka.put(checkpoints, key, encodeCheckpoint(crypto, key, log.positionOf(999)));
    const { end, relay } = await runRelay();
    expect(end).toBeInstanceOf(Fault);
    expect(relay.state().problem).toMatch(/another deployment or a newer log/);
    expect(kafka.read(changes)).toHaveLength(0);
    kafka.put(checkpoints, key, null);
    await runRelay();
    expect(await everything(log, kafka)).toMatchObject({ applied: 700, duplicates: 0, gaps: 0 });
  });

  it("puts one entry and one marker for each poison event, and all others in order", async () => {
    const isPoison = (nth: number) => nth % 100 === 37;
    const data = JSON.stringify({ x: "x".repeat(1_000_000) });
    const log = newFeed(2_000, 30, (nth) => (isPoison(nth) ? { data } : {}));
    const { kafka, runRelay, deliveries } = newWorld(log);
    await runRelay();
    expect(await everything(log, kafka)).toStrictEqual({
      applied: 2_000,
      duplicates: 0,
      gaps: 0,
      missing: 0,
    });
    const poison = log.events.filter((_, nth) => isPoison(nth)).map(({ position }) => position);
    const positionsIn = (topic: string, type: string) =>
      kafka
        .read(topic)
        .filter(({ headers }) => headers.ce_type === type)
        .map(({ headers }) => headers.position)
        .toSorted();
    expect(poison).toHaveLength(20);
    expect(positionsIn(changes, "io.keyledger.audit.gap.v1")).toStrictEqual(poison);
    expect(positionsIn(deadLetters, "io.keyledger.audit.dead-letter.v1")).toStrictEqual(poison);
    expect(deliveries.reduce((sum, { deadLetters }) => sum + deadLetters, 0)).toBe(20);
  });

  it("never leaves a gap, whatever 200 faults meet two of them", { timeout: 60_000 }, async () => {
    const fault = fc.option(
      fc.constantFrom<SendFault>("refused", "partial", "unacknowledged", "late", "killed", "torn"),
      { nil: undefined, freq: 3 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { minLength: 200, maxLength: 200 }),
        fc.integer({ min: 1, max: 60 }),
        async (faults, owners) => {
          const log = newFeed(2_100, owners);
          const { kafka, runRelay } = newWorld(log);
          let sends = 0;
          kafka.fault = () => faults[sends++];
          const process = async () => {
            while ((await runRelay()).end !== "caught-up");
          };
          await Promise.all([process(), process()]);
          expect(await everything(log, kafka)).toMatchObject({
            applied: 2_100,
            gaps: 0,
            missing: 0,
          });
        },
      ),
      { numRuns: 12 },
    );
  });

  it("waits out a Kafka that is down, loses nothing, and says what is wrong meanwhile", async () => {
    const log = newFeed(90, 10);
    const { kafka, runRelay, time } = newWorld(log);
    kafka.fault = () => (time.elapsed() < 3_600_000 ? "refused" : undefined);
    const { relay } = await runRelay();
    expect(relay.state().problem).toBeNull();
    expect(time.elapsed()).toBeGreaterThanOrEqual(3_600_000);
    // A pause of 5 s at most between two attempts, and one attempt each.
    expect(kafka.sends).toBeGreaterThanOrEqual(720);
    expect(await everything(log, kafka)).toMatchObject({ applied: 90, duplicates: 0, gaps: 0 });
  });
});

describe("The Kafka sink", () => {
  it("takes any number of records at once, and keeps a checkpoint of each batch of them", async () => {
    const log = newFeed(1_200, 30);
    const { kafka, time } = newWorld(log);
    const host: Host = { clock: time.clock, pause: time.pause, random, crypto };
    const options = { brokers: [], clientId: "t", deploymentId, host };
    await using sink = kafkaAuditSink(options, () => kafka.client());
    await sink.deliver(
      "changes",
      log.events.map((event) => describeEvent(crypto, event)),
    );
    expect(kafka.read(changes)).toHaveLength(1_200);
    const kept = kafka.read(checkpoints).map(({ value }) => Buffer.from(value).toString());
    expect(kept).toStrictEqual(
      [500, 1_000, 1_200].map((count) => encodeCheckpoint(crypto, key, log.positionOf(count))),
    );
  });

  it("bounds a batch in records and in bytes", async () => {
    const data = JSON.stringify({ x: "x".repeat(9_000) });
    const log = newFeed(1_000, 10, (nth) => (nth < 500 ? { data } : {}));
    const { kafka, runRelay, deliveries } = newWorld(log);
    await runRelay();
    expect(await everything(log, kafka)).toMatchObject({ applied: 1_000, duplicates: 0, gaps: 0 });
    for (const { records } of deliveries) expect(records).toBeLessThanOrEqual(BATCH_RECORDS_MAX);
    // Some 10 kB each: about a hundred make a million bytes.
    expect(deliveries.filter(({ records }) => records < 120).length).toBeGreaterThanOrEqual(5);
  });

  it("tells how old its newest record was", async () => {
    const log = newFeed(1, 1, () => ({ time: "2025-12-31T23:59:58.500Z" }));
    const { runRelay, deliveries } = newWorld(log);
    await runRelay();
    expect(deliveries.map(({ lagMs }) => lagMs)).toStrictEqual([1_500]);
  });

  it("goes on behind another relay that got further, but not while it is in trouble itself", async () => {
    const log = newFeed(30, 3);
    const { kafka, time } = newWorld(log);
    const host: Host = { clock: time.clock, pause: time.pause, random, crypto };
    const options = { brokers: [], clientId: "t", deploymentId, host };
    await using sink = kafkaAuditSink(options, () => kafka.client());
    const [first, second] = (await log.read({ after: log.zero, limit: 30 })).events.map((event) =>
      describeEvent(crypto, event),
    );
    expect(await sink.resumeAfter("changes")).toBeNull();
    await sink.deliver("changes", first ? [first] : []);
    expect(await sink.resumeAfter("changes")).toBe(log.positionOf(1));
    kafka.put(checkpoints, key, encodeCheckpoint(crypto, key, log.positionOf(9)));
    expect(await sink.resumeAfter("changes")).toBe(log.positionOf(9));
    expect(await sink.resumeAfter("access")).toBeNull();
    kafka.fault = () => "unacknowledged";
    await expect(sink.deliver("changes", second ? [second] : [])).rejects.toThrow(OutcomeUnknown);
    const { reads } = kafka;
    expect(await sink.resumeAfter("changes")).toBe(log.positionOf(1));
    expect(kafka.reads).toBe(reads);
    kafka.fault = () => undefined;
    await sink.deliver("changes", second ? [second] : []);
    expect(await sink.resumeAfter("changes")).toBe(log.positionOf(9));
  });

  it("takes nothing more once it is closed", async () => {
    const log = newFeed(1, 1);
    const { kafka, time } = newWorld(log);
    const host: Host = { clock: time.clock, pause: time.pause, random, crypto };
    const sink = kafkaAuditSink({ brokers: [], clientId: "t", deploymentId, host }, () =>
      kafka.client(),
    );
    await sink[Symbol.asyncDispose]();
    await sink[Symbol.asyncDispose]();
    await expect(sink.deliver("changes", [])).rejects.toMatchObject({ retryable: false });
    await expect(sink.resumeAfter("changes")).rejects.toMatchObject({ retryable: false });
  });
});
