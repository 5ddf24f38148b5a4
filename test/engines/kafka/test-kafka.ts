import { randomUUID } from "node:crypto";
import { type Admin, Kafka, logLevel } from "kafkajs";
import type { KafkaTopics } from "../../../packages/cluster/src/kafka-audit-sink.ts";
import { type BrokerControl, EngineMissing, startBrokers } from "./brokers.ts";
import { topicDefinitions } from "./topic-definitions.ts";

/** A Kafka to test against, and what tests ask of it. */
export interface TestKafka extends AsyncDisposable {
  readonly bootstrap: readonly string[];
  /** Only of brokers that this run has started. */
  readonly control: BrokerControl | undefined;
  /** Topics of their own for one test, as `deploy/kafka/topics.conf` defines them but for their names. */
  newTopics(options?: { partitions?: number }): Promise<KafkaTopics>;
  /** Everything a topic holds: partition by partition, each in order. */
  read(topic: string): Promise<readonly ReadMessage[]>;
}

export interface ReadMessage {
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: string;
}

/**
 * The running engine that `KEYLEDGER_TEST_KAFKA` names as `host:port,...`; else one that this run starts out of Maven
 * Central. `undefined` where this machine cannot; in CI that is a failure. Says which it is.
 */
export async function testKafka({ brokers = 3 } = {}): Promise<TestKafka | undefined> {
  const named = process.env.KEYLEDGER_TEST_KAFKA;
  if (named) {
    const kafka = connectTo(named.split(","));
    const { clusterId, brokers: members } = await kafka.asked((admin) => admin.describeCluster());
    console.log(`engine: Kafka cluster ${clusterId} at ${named}, ${members.length} brokers`);
    return { ...kafka, control: undefined, [Symbol.asyncDispose]: async () => {} };
  }
  try {
    const started = await startBrokers({ brokers });
    console.log(`engine: ${started.release}, ${brokers} brokers at ${started.bootstrap.join()}`);
    const kafka = connectTo(started.bootstrap);
    await kafka.warmUp();
    return {
      ...kafka,
      control: started.control,
      [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
    };
  } catch (error) {
    if (!(error instanceof EngineMissing) || process.env.CI === "true") throw error;
    console.log(`engine: no Kafka, its tests are skipped: ${error.message}`);
    return undefined;
  }
}

function connectTo(bootstrap: readonly string[]) {
  const newKafka = (brokers: readonly string[]) =>
    new Kafka({ brokers: [...brokers], clientId: "keyledger-test", logLevel: logLevel.NOTHING });
  const kafka = newKafka(bootstrap);

  async function asked<T>(question: (admin: Admin) => Promise<T>, of = kafka): Promise<T> {
    const admin = of.admin();
    await admin.connect();
    try {
      return await question(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** A topic is made by one broker; the others hear of it a little later, its leaders too. */
  async function served(topics: readonly string[], broker: string): Promise<void> {
    const isServed = async (admin: Admin) => {
      for (const topic of topics) await admin.fetchTopicOffsets(topic);
      return true;
    };
    for (
      let attempt = 0;
      !(await asked(isServed, newKafka([broker])).catch(() => false));
      attempt++
    ) {
      if (attempt === 100) throw new Error(`${broker} does not serve ${topics.join()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function newTopics({ partitions }: { partitions?: number } = {}): Promise<KafkaTopics> {
    const run = randomUUID().slice(0, 8);
    const definitions = topicDefinitions();
    const nameOf = (topic: string) => `${topic}.${run}`;
    const { brokers } = await asked((admin) => admin.describeCluster());
    const replicationFactor = Math.min(3, brokers.length);
    await asked((admin) =>
      admin.createTopics({
        topics: definitions.map(({ topic, numPartitions, ...rest }) => ({
          ...rest,
          topic: nameOf(topic),
          replicationFactor,
          numPartitions: numPartitions > 1 ? (partitions ?? numPartitions) : 1,
          configEntries: [...rest.configEntries],
        })),
        waitForLeaders: false,
      }),
    );
    const names = definitions.map(({ topic }) => nameOf(topic));
    await Promise.all(bootstrap.map((broker) => served(names, broker)));
    return {
      changes: nameOf("keyledger.audit.v1"),
      access: nameOf("keyledger.access.v1"),
      deadLetters: nameOf("keyledger.audit.dlq"),
      checkpoints: nameOf("keyledger.checkpoint.v1"),
    };
  }

  async function read(topic: string): Promise<readonly ReadMessage[]> {
    const ends = await asked((admin) => admin.fetchTopicOffsets(topic));
    const open = new Map(
      ends
        .filter(({ low, high }) => low !== high)
        .map(({ partition, high }) => [partition, BigInt(high)]),
    );
    const messages: ReadMessage[] = [];
    if (open.size === 0) return messages;
    const consumer = kafka.consumer({
      groupId: `read-${randomUUID()}`,
      maxWaitTimeInMs: 100,
      retry: { restartOnFailure: async () => false },
    });
    await consumer.connect();
    try {
      await consumer.subscribe({ topic, fromBeginning: true });
      const done = Promise.withResolvers<void>();
      consumer.on(consumer.events.CRASH, ({ payload }) => done.reject(payload.error));
      await consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          const { partition } = batch;
          for (const { key, value, headers, offset, timestamp } of batch.messages) {
            messages.push({
              partition,
              offset: BigInt(offset),
              key: String(key),
              value: String(value),
              headers: Object.fromEntries(
                Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)]),
              ),
              timestamp,
            });
          }
          if (BigInt(batch.lastOffset()) + 1n >= (open.get(partition) ?? 0n))
            open.delete(partition);
          if (open.size === 0) done.resolve();
        },
      });
      await done.promise;
    } finally {
      await consumer.disconnect();
    }
    return messages.toSorted((a, b) => a.partition - b.partition || Number(a.offset - b.offset));
  }

  /** The first reader ever waits for its coordinator to come up; no test should. */
  async function warmUp(): Promise<void> {
    const topics = await newTopics({ partitions: 1 });
    const producer = kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    await producer.send({ topic: topics.changes, messages: [{ key: "k", value: "v" }] });
    await producer.disconnect();
    for (let attempt = 0; ; attempt++) {
      try {
        await read(topics.changes);
        return;
      } catch (error) {
        if (attempt === 20) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  return { bootstrap, asked, newTopics, read, warmUp };
}
