import { randomUUID } from "node:crypto";
import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { AuditRecordSchema } from "@keyledger/contracts";
import { createRelay, OutcomeUnknown } from "@keyledger/core";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, describe, expect, it } from "vitest";
import { openKafkaAuditSink } from "../../packages/cluster/src/kafka-audit-sink.ts";
import { replayAudit } from "../../packages/cluster/src/kafka-replay.ts";
import { auditRecordTo } from "../../services/keyring/src/wire.ts";
import { newFeed } from "../cluster/support/kafka-feed.ts";
import { judgeTopic } from "../cluster/support/kafka-verdict.ts";
import { messageDigest } from "../cluster/support/message-digest.ts";
import {
  auditSinkContract,
  newAuditRecord,
  newAuditRecords,
} from "../contract/audit-sink.contract.ts";
import { host, newAuditTopics } from "./kafka/audit-topics.ts";
import { testKafka } from "./kafka/test-kafka.ts";

const kafka = await testKafka();
afterAll(() => kafka?.[Symbol.asyncDispose]());

describe.skipIf(!kafka)("On KEYLEDGER_TEST_KAFKA", { timeout: 60_000 }, () => {
  if (!kafka) return;

  auditSinkContract("The Kafka sink", () => newAuditTopics(kafka, { partitions: 3 }));

  it("a relay publishes every event once, keyed and spread as any Kafka client would", async () => {
    await using topics = await newAuditTopics(kafka);
    const log = newFeed(1_200, 50);
    await relayAll(topics, log);
    await relayAll(topics, log);
    const messages = await kafka.read(topics.topics.changes);
    expect(await judgeTopic(messages, log.events)).toStrictEqual({
      applied: 1_200,
      duplicates: 0,
      gaps: 0,
      missing: 0,
    });
    for (const { key, headers, timestamp } of messages) {
      expect(`keyring-${key}`).toBe(headers.stream);
      expect(timestamp).toBe(String(Date.parse(headers.ce_time ?? "")));
    }
    // Values of Apache Kafka's own test of its hash, which decides the partition of a key.
    const vectors = {
      "21": -973932308,
      foobar: -790332482,
      "a-little-bit-long-string": -985981536,
    };
    await using sink = await topics.open();
    const streams = Object.keys(vectors).map((name) => `keyring-${name}`);
    await sink.deliver(
      "access",
      streams.map((stream) => newAuditRecord({ stream, revision: 0 })),
    );
    for (const { key, partition } of await kafka.read(topics.topics.access)) {
      const hash = vectors[key as keyof typeof vectors];
      expect(partition).toBe((hash & 0x7fffffff) % 12);
    }
  });

  it("a value is the JSON form of the record that gRPC answers", async () => {
    await using topics = await newAuditTopics(kafka, { partitions: 1 });
    await using sink = await topics.open();
    const records = [
      newAuditRecord(),
      newAuditRecord({ owner: null, stream: "caller-7", revision: 0 }),
    ];
    await sink.deliver("changes", records);
    const values = (await kafka.read(topics.topics.changes)).map(({ value }) => value);
    expect(
      values.map((value) =>
        toJsonString(AuditRecordSchema, fromJsonString(AuditRecordSchema, value)),
      ),
    ).toStrictEqual(
      records.map((record) =>
        toJsonString(AuditRecordSchema, create(AuditRecordSchema, auditRecordTo(record))),
      ),
    );
  });

  it("a replay sends the bytes that the relay sent, and says nothing about how far it got", async () => {
    await using published = await newAuditTopics(kafka);
    const log = newFeed(900, 30, (nth) => (nth % 300 === 7 ? { data: "[]" } : {}));
    await relayAll(published, log);
    const again = await kafka.newTopics();
    {
      const topics = { ...again, checkpoints: null };
      await using sink = openKafkaAuditSink({ ...published.options, topics });
      const range = { from: log.zero, to: await log.head() };
      const signal = AbortSignal.timeout(30_000);
      expect(await replayAudit({ feed: log, ...range, sink, host, signal })).toBe(900);
    }
    for (const topic of ["changes", "deadLetters"] as const) {
      const [first, second] = [
        await kafka.read(published.topics[topic]),
        await kafka.read(again[topic]),
      ];
      expect(first.length).toBe(topic === "changes" ? 900 : 3);
      expect(second.map(messageDigest)).toStrictEqual(first.map(messageDigest));
      expect(second.map(({ partition, timestamp }) => [partition, timestamp])).toStrictEqual(
        first.map(({ partition, timestamp }) => [partition, timestamp]),
      );
    }
    expect(await kafka.read(again.checkpoints ?? "")).toStrictEqual([]);
  });

  it("20 poison events of 2,000 leave an entry and a marker each, all others in order", async () => {
    await using topics = await newAuditTopics(kafka);
    const isPoison = (nth: number) => nth % 100 === 37;
    const data = [JSON.stringify({ x: "x".repeat(1_000_000) }), "{", "[]", "null"];
    const log = newFeed(2_000, 30, (nth) => (isPoison(nth) ? { data: data[nth % 4] ?? "" } : {}));
    await relayAll(topics, log);
    const messages = await kafka.read(topics.topics.changes);
    expect(await judgeTopic(messages, log.events)).toMatchObject({ applied: 2_000, gaps: 0 });
    const poison = log.events.filter((_, nth) => isPoison(nth)).map(({ position }) => position);
    const markers = messages.filter(
      ({ headers }) => headers.ce_type === "io.keyledger.audit.gap.v1",
    );
    const entries = await kafka.read(topics.topics.deadLetters);
    for (const marked of [markers, entries]) {
      expect(marked.map(({ headers }) => headers.position).toSorted()).toStrictEqual(poison);
    }
  });

  it("the largest batch and the largest message that the sink makes are taken", async () => {
    await using topics = await newAuditTopics(kafka, { partitions: 1 });
    await using sink = await topics.open();
    const sized = (bytes: number) =>
      newAuditRecord({ data: JSON.stringify({ x: "x".repeat(bytes) }) });
    const records = [sized(990_000), ...Array.from({ length: 700 }, () => sized(9_000))];
    await sink.deliver("changes", records);
    expect(await topics.delivered("changes")).toStrictEqual(records);
  });

  it("a checkpoint that was reset lets the feed be sent again from its start", async () => {
    await using topics = await newAuditTopics(kafka, { partitions: 3 });
    const { checkpoints } = topics.topics;
    const log = newFeed(40, 4);
    await relayAll(topics, log);
    const producer = new Kafka({
      brokers: [...kafka.bootstrap],
      logLevel: logLevel.NOTHING,
    }).producer();
    await producer.connect();
    const key = `${topics.deploymentId}/changes`;
    await producer.send({ topic: checkpoints ?? "", messages: [{ key, value: null }] });
    await producer.disconnect();
    await relayAll(topics, log);
    const messages = await kafka.read(topics.topics.changes);
    expect(await judgeTopic(messages, log.events)).toMatchObject({ applied: 40, duplicates: 40 });
  });

  it("says which topic is missing, and goes on once it is there", async () => {
    await using topics = await newAuditTopics(kafka);
    const missing = `missing.${randomUUID()}`;
    const changed = { ...topics.options, topics: { ...topics.topics, changes: missing } };
    await using sink = openKafkaAuditSink(changed);
    await expect(sink.deliver("changes", newAuditRecords(1))).rejects.toMatchObject({
      constructor: OutcomeUnknown,
      message: `the Kafka topic ${missing} does not exist`,
    });
    await sink.deliver("access", newAuditRecords(1));
  });
});

/** One relay process: from start to caught up. */
async function relayAll(
  topics: Awaited<ReturnType<typeof newAuditTopics>>,
  log: ReturnType<typeof newFeed>,
): Promise<void> {
  await using sink = await topics.open();
  const relay = createRelay({ feed: log, sink, host });
  const stop = new AbortController();
  const running = relay.run(stop.signal);
  await Promise.race([
    expect.poll(() => relay.state().isCaughtUp, { timeout: 30_000 }).toBe(true),
    running,
  ]);
  stop.abort();
  await running;
}
