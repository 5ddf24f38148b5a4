import { Fault, type Host } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { KAFKA_TOPICS, kafkaAuditSink } from "../../packages/cluster/src/kafka-audit-sink.ts";
import { replayAudit } from "../../packages/cluster/src/kafka-replay.ts";
import { simulatedTime } from "../core/support/simulated-time.ts";
import { newFeed } from "./support/kafka-feed.ts";
import { MemoryKafka } from "./support/kafka-memory.ts";
import { messageDigest } from "./support/message-digest.ts";

const { crypto, random } = nodeHost();
const time = simulatedTime();
const host: Host = { clock: time.clock, pause: time.pause, random, crypto };
const feed = newFeed(1_300, 20, (nth) => (nth % 400 === 7 ? { data: "[]" } : {}));

/** Publishes a stretch to a Kafka of its own. */
async function replay(
  range: { from?: number; to?: number } = {},
  { kafka = new MemoryKafka(KAFKA_TOPICS), signal = new AbortController().signal } = {},
) {
  const topics = { ...KAFKA_TOPICS, checkpoints: null };
  const options = { brokers: [], clientId: "replay", deploymentId: "d", topics, host };
  await using sink = kafkaAuditSink(options, () => kafka.client());
  const [from, to] = [range.from ?? 0, range.to ?? 1_300].map((count) => feed.positionOf(count));
  const count = await replayAudit({
    feed,
    from: from ?? "",
    to: to ?? "",
    sink,
    host,
    signal,
  });
  return { count, kafka, messages: kafka.read(KAFKA_TOPICS.changes) };
}

const digests = (messages: readonly Parameters<typeof messageDigest>[0][]) =>
  messages.map(messageDigest);

describe("A replay", () => {
  it("sends the very same messages each time", async () => {
    const first = await replay();
    time.advance(86_400_000);
    const second = await replay();
    expect(first.count).toBe(1_300);
    expect(new Set(digests(first.messages)).size).toBe(1_300);
    expect(digests(second.messages)).toStrictEqual(digests(first.messages));
    expect(second.messages.map(({ timestamp }) => timestamp)).toStrictEqual(
      first.messages.map(({ timestamp }) => timestamp),
    );
  });

  it.for([
    [0, 1],
    [0, 500],
    [499, 501],
    [500, 1_300],
    [1_299, 1_300],
    [700, 700],
    [900, 800],
  ] as const)("is of what stands behind %d, up to %d", async ([from, to]) => {
    const { count, messages } = await replay({ from, to });
    const expected = feed.events.slice(from, Math.max(from, to)).map(({ position }) => position);
    expect(count).toBe(expected.length);
    expect(messages.map(({ headers }) => headers.position).toSorted()).toStrictEqual(expected);
  });

  it("keeps no checkpoint", async () => {
    const { kafka } = await replay();
    expect(kafka.read(KAFKA_TOPICS.checkpoints)).toStrictEqual([]);
  });

  it("goes on behind what was delivered, where a send fails", async () => {
    const kafka = new MemoryKafka(KAFKA_TOPICS);
    kafka.fault = () => (kafka.sends === 4 ? "unacknowledged" : undefined);
    const { count, messages } = await replay({}, { kafka });
    expect(count).toBe(1_300);
    expect(new Set(digests(messages)).size).toBe(1_300);
    expect(messages.length).toBeLessThanOrEqual(1_800);
  });

  it("ends with the signal, and says that it is not complete", async () => {
    const stop = new AbortController();
    const kafka = new MemoryKafka(KAFKA_TOPICS);
    kafka.fault = () => {
      stop.abort();
      return "refused";
    };
    await expect(replay({}, { kafka, signal: stop.signal })).rejects.toBeInstanceOf(Fault);
    await expect(replay({}, { signal: stop.signal })).rejects.toBeInstanceOf(Fault);
  });

  it("refuses positions that are none of the feed", async () => {
    await expect(replay({ to: 1_301 })).rejects.toMatchObject({
      message: "to is no position of the feed changes",
      retryable: false,
    });
    await expect(replay({ from: 9_999 })).rejects.toThrow("from is no position");
  });
});
