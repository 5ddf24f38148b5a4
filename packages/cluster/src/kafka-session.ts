import { createRequire } from "node:module";
import { isIP, connect as openPlain, type Socket } from "node:net";
import { connect as openTls } from "node:tls";
import { StoreUnavailable } from "@keyledger/core";
import { type Admin, Kafka, logLevel, Partitioners, type Producer } from "kafkajs";
import type { KafkaConnection } from "./kafka-client.ts";
import type { KafkaMessage } from "./kafka-message.ts";

/**
 * kafkajs behind a wall: this file alone imports it, and nothing of it is seen outside but what it throws, which
 * `wordsFor` puts into our own words.
 *
 * One life of the library, with the sockets it opened. Once it is ended, nothing of it can be sent any more, whatever the
 * library still tries: so a message given up here cannot overtake one that its successor sends.
 */
export abstract class Session {
  protected readonly kafka: Kafka;
  readonly #sockets = new Set<Socket>();
  readonly #tls: KafkaConnection["tls"];
  #ended = false;

  constructor({ brokers, clientId, tls, sasl }: KafkaConnection) {
    this.#tls = tls;
    this.kafka = new Kafka({
      brokers: [...brokers],
      clientId,
      ...(sasl && { sasl: { ...sasl } }),
      connectionTimeout: CONNECTION_MS,
      authenticationTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      // Enough to try every broker of the list.
      retry: { ...RETRY, retries: Math.max(3, brokers.length) },
      socketFactory: ({ host, port, onConnect }) => this.#open(host, port, onConnect),
      // What it logs may hold anything.
      logLevel: logLevel.NOTHING,
      logCreator: () => () => {},
    });
  }

  /** To one of the brokers in the list. */
  abstract connect(): Promise<void>;

  end(): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy(new Error("the session has ended"));
  }

  #open(host: string, port: number, onConnect: () => void): Socket {
    if (this.#ended) throw new Error("the session has ended");
    const servername = isIP(host) === 0 ? { servername: host } : {};
    const socket = this.#tls
      ? openTls({ ...this.#tls, host, port, minVersion: "TLSv1.2", ...servername }, onConnect)
      : openPlain({ host, port }, onConnect);
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }
}

const CONNECTION_MS = 3_000;
/** The most a broker may take to answer one request. */
const REQUEST_MS = 10_000;
/** The broker itself gives up before that, and says why. */
const REPLICATION_MS = 8_000;
const KEEP_ALIVE_MS = 60_000;
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, multiplier: 2, factor: 0.2 };

export class Sender extends Session {
  readonly #producer: Producer;
  /** Partitions that the messages of the current call went to. */
  readonly #chosen = new Set<number>();

  constructor(connection: KafkaConnection) {
    super(connection);
    this.#producer = this.kafka.producer({
      allowAutoTopicCreation: false,
      maxInFlightRequests: 1,
      // A retry of the library asks only the brokers that have not answered yet. Where a partition moved to one that
      // has, its messages are dropped and the call succeeds: kafkajs#1303, kafkajs#1798. So it never retries.
      retry: { retries: 0 },
      createPartitioner: () => {
        const partition = Partitioners.DefaultPartitioner();
        return (choice) => {
          const chosen = partition(choice);
          this.#chosen.add(chosen);
          return chosen;
        };
      },
    });
  }

  connect(): Promise<void> {
    return this.#producer.connect();
  }

  /** @returns whether every partition that got a message has acknowledged it. */
  async send(topic: string, messages: readonly KafkaMessage[]): Promise<{ isComplete: boolean }> {
    this.#chosen.clear();
    const acknowledged = await this.#producer.send({
      topic,
      acks: -1,
      timeout: REPLICATION_MS,
      messages: messages.map(({ key, value, headers, timestamp }) => ({
        key,
        value: buffer(value),
        headers: { ...headers },
        timestamp,
      })),
    });
    for (const { partition, errorCode } of acknowledged) {
      if (errorCode === 0) this.#chosen.delete(partition);
    }
    return { isComplete: this.#chosen.size === 0 };
  }
}

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One record of a topic that is read whole; `null` = it has no value. */
export interface TopicEntry {
  readonly key: string;
  readonly value: string | null;
}

export class Reader extends Session {
  readonly #admin: Admin;
  readonly #groupId: string;

  constructor(connection: KafkaConnection) {
    super(connection);
    this.#admin = this.kafka.admin();
    // The library reads in groups only. One of its own each time: it commits nothing, so nothing of it stays.
    this.#groupId = `${connection.clientId}.${connection.host.random.uuid()}`;
  }

  connect(): Promise<void> {
    return this.#admin.connect();
  }

  /** @throws {StoreUnavailable} the topic has several partitions. */
  async readAll(topic: string): Promise<readonly TopicEntry[]> {
    const [partition, ...more] = await this.#admin.fetchTopicOffsets(topic);
    if (partition === undefined || more.length > 0) {
      throw new StoreUnavailable(`the Kafka topic ${topic} must have one partition`, {
        retryable: true,
      });
    }
    return partition.low === partition.high ? [] : this.#upTo(topic, BigInt(partition.high));
  }

  /** @param high the offset behind the last record. */
  async #upTo(topic: string, high: bigint): Promise<readonly TopicEntry[]> {
    const entries: TopicEntry[] = [];
    const consumer = this.kafka.consumer({
      groupId: this.#groupId,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: 500,
      retry: { ...RETRY, retries: 10, restartOnFailure: async () => false },
    });
    const done = Promise.withResolvers<void>();
    consumer.on(consumer.events.CRASH, ({ payload }) => done.reject(payload.error));
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const { key, value } of batch.messages) {
          entries.push({ key: key?.toString() ?? "", value: value?.toString() ?? null });
        }
        // The last record is always there: compaction leaves the segment alone that is written to.
        if (BigInt(batch.lastOffset()) + 1n >= high) done.resolve();
      },
    });
    await done.promise;
    await consumer.disconnect();
    return entries;
  }
}

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

/**
 * The library looks for waiting requests every millisecond for ever, with a timer whose negative time Node warns about:
 * 3 % of a core for an idle connection (kafkajs#1751). Now only while some are waiting.
 */
function calmRequestQueues(): void {
  const { prototype } = createRequire(import.meta.url)("kafkajs/src/network/requestQueue") as {
    prototype: RequestQueue;
  };
  const check = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0) check.call(this);
  };
}

calmRequestQueues();
