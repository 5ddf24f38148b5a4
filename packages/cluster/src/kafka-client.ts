import { createRequire } from "node:module";
import { isIP, connect as openPlain, type Socket } from "node:net";
import { connect as openTls, type SecureContextOptions } from "node:tls";
import { Canceller, Fault, type Host, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { Kafka, logLevel, Partitioners, type Producer } from "kafkajs";
import type { KafkaMessage } from "./kafka-message.ts";

export interface KafkaConnection {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** Shown in the brokers' logs and quotas. */
  readonly clientId: string;
  /** Without it everything is sent in the clear, and there can be no login. Certificates are always verified. */
  readonly tls?: Pick<SecureContextOptions, "ca" | "cert" | "key">;
  readonly sasl?: KafkaLogin;
  readonly host: Host;
}

export type KafkaLogin =
  | Login<"plain">
  // The password itself is never sent.
  | Login<"scram-sha-256">
  | Login<"scram-sha-512">;

interface Login<Mechanism> {
  readonly mechanism: Mechanism;
  readonly username: string;
  readonly password: string;
}

/** What the audit sink needs of Kafka. Every fault is in our own words: the client library's may name anything. */
export interface KafkaClient extends AsyncDisposable {
  /**
   * Resolves when every message is on all replicas in sync. One call at a time.
   * @throws {StoreUnavailable} no broker could be reached: nothing was sent.
   * @throws {OutcomeUnknown} some, all or none of it may be there. Send all of it again.
   */
  send(topic: string, messages: readonly KafkaMessage[]): Promise<void>;
  /** Every record that a topic of one partition holds, oldest first. @throws {StoreUnavailable} */
  readAll(topic: string): Promise<readonly { key: string; value: string | null }[]>;
}

/** The most a broker may take to answer one request. */
const REQUEST_MS = 10_000;
/** The broker itself gives up before, and then says so. */
const REPLICATION_MS = 8_000;
/** The most a call may take, connecting included. */
const CALL_MS = 25_000;
const CONNECT_MS = 3_000;
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, multiplier: 2, factor: 0.2 };

/**
 * kafkajs behind a wall: nothing of it is seen outside this file, neither its types nor its words nor its sockets.
 * @throws {Fault} where it would have to log in without TLS.
 */
export function openKafkaClient(connection: KafkaConnection): KafkaClient {
  if (connection.sasl && !connection.tls) {
    throw new Fault("a login to Kafka needs TLS: it would be sent in the clear", {
      retryable: false,
    });
  }
  return new Client(connection);
}

class Client implements KafkaClient {
  readonly #connection: KafkaConnection;
  readonly #closed = new Canceller();
  #sender: Sender | undefined;

  constructor(connection: KafkaConnection) {
    this.#connection = connection;
  }

  async send(topic: string, messages: readonly KafkaMessage[]): Promise<void> {
    // A sender that failed once is not trusted again: it may hold dead connections or metadata of yesterday.
    const sender = this.#sender ?? new Sender(this.#connection);
    this.#sender = undefined;
    await this.#bounded(sender, () => sender.send(topic, messages));
    this.#sender = sender;
  }

  readAll(topic: string) {
    const reader = new Reader(this.#connection);
    return this.#bounded(reader, async () => {
      const entries = await reader.readAll(topic);
      reader.end();
      return entries;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.cancel();
    this.#sender?.end();
    this.#sender = undefined;
  }

  /** Ends the session for good where the call fails, takes too long, or is not wanted any more. */
  async #bounded<T>(session: Session, call: () => Promise<T>): Promise<T> {
    const { host } = this.#connection;
    const over = new Canceller();
    const end = () => over.cancel();
    this.#closed.addEventListener("abort", end);
    try {
      if (this.#closed.aborted) throw closed();
      const lapse = host.pause(CALL_MS, over).then(() => {
        throw this.#closed.aborted ? closed() : new OutcomeUnknown("Kafka does not answer");
      });
      return await Promise.race([call(), lapse]);
    } catch (error) {
      session.end();
      throw error instanceof Fault ? error : new OutcomeUnknown("Kafka failed unexpectedly");
    } finally {
      this.#closed.removeEventListener("abort", end);
      over.cancel();
    }
  }
}

const closed = () => new StoreUnavailable("the Kafka client is closed", { retryable: false });

/** One life of the library, with the sockets it opened: ended for good, nothing of it can be sent any more. */
class Session {
  protected readonly kafka: Kafka;
  readonly #sockets = new Set<Socket>();
  #ended = false;

  constructor({ brokers, clientId, tls, sasl }: KafkaConnection) {
    this.kafka = new Kafka({
      brokers: [...brokers],
      clientId,
      ...(sasl && { sasl: { ...sasl } }),
      connectionTimeout: CONNECT_MS,
      authenticationTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      // Enough to try every broker of the list.
      retry: { ...RETRY, retries: Math.max(3, brokers.length) },
      socketFactory: ({ host, port, onConnect }) => this.#open(host, port, onConnect, tls),
      // What it logs may hold anything; what went wrong is in the faults.
      logLevel: logLevel.NOTHING,
      logCreator: () => () => {},
    });
  }

  end(): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy(new Error("ended"));
  }

  #open(host: string, port: number, onConnect: () => void, tls: KafkaConnection["tls"]): Socket {
    if (this.#ended) throw new Error("ended");
    const socket = tls
      ? openTls(
          {
            ...tls,
            host,
            port,
            minVersion: "TLSv1.2",
            ...(isIP(host) === 0 && { servername: host }),
          },
          onConnect,
        )
      : openPlain({ host, port }, onConnect);
    socket.setNoDelay(true).setKeepAlive(true, 60_000);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }
}

class Sender extends Session {
  readonly #producer: Producer;
  /** Partitions that the messages of the current call went to. */
  readonly #chosen = new Set<number>();
  #connected: Promise<void> | undefined;

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

  async send(topic: string, messages: readonly KafkaMessage[]): Promise<void> {
    try {
      this.#connected ??= this.#producer.connect();
      await this.#connected;
    } catch (error) {
      throw new StoreUnavailable(wordsFor(error, topic), { retryable: true });
    }
    this.#chosen.clear();
    const acknowledged = await this.#producer
      .send({
        topic,
        acks: -1,
        timeout: REPLICATION_MS,
        messages: messages.map(({ key, value, headers, timestamp }) => ({
          key,
          value: buffer(value),
          headers: { ...headers },
          timestamp,
        })),
      })
      .catch((error: unknown) => {
        throw new OutcomeUnknown(wordsFor(error, topic));
      });
    for (const { partition, errorCode } of acknowledged) {
      if (errorCode === 0) this.#chosen.delete(partition);
    }
    if (this.#chosen.size > 0) {
      throw new OutcomeUnknown(`a partition of the Kafka topic ${topic} acknowledged nothing`);
    }
  }
}

class Reader extends Session {
  readonly #groupId: string;

  constructor(connection: KafkaConnection) {
    super(connection);
    // kafkajs reads in groups only. One of its own each time: it commits nothing, so nothing of it stays.
    this.#groupId = `${connection.clientId}.${connection.host.random.uuid()}`;
  }

  async readAll(topic: string): Promise<{ key: string; value: string | null }[]> {
    try {
      const admin = this.kafka.admin();
      await admin.connect();
      const [partition, ...more] = await admin.fetchTopicOffsets(topic);
      await admin.disconnect();
      if (partition === undefined || more.length > 0) {
        throw new Fault(`the topic ${topic} must have one partition`, { retryable: true });
      }
      return partition.low === partition.high ? [] : await this.#upTo(topic, partition.high);
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new StoreUnavailable(wordsFor(error, topic), { retryable: true });
    }
  }

  /** @param high the offset behind the last record. */
  async #upTo(topic: string, high: string): Promise<{ key: string; value: string | null }[]> {
    const entries: { key: string; value: string | null }[] = [];
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
        if (BigInt(batch.lastOffset()) + 1n >= BigInt(high)) done.resolve();
      },
    });
    await done.promise;
    await consumer.disconnect();
    return entries;
  }
}

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Answers of the brokers that people can do something about. */
const WORDS: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: "does not exist",
  TOPIC_AUTHORIZATION_FAILED: "may not be used with our credentials",
  NOT_ENOUGH_REPLICAS: "has too few replicas in sync",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "has too few replicas in sync",
  GROUP_AUTHORIZATION_FAILED:
    "cannot be read: our groups are named after the client id, and not allowed",
  GROUP_LOAD_IN_PROGRESS: "cannot be read yet: the coordinator of its readers is starting",
  LEADER_NOT_AVAILABLE: "has a partition without leader",
  NOT_LEADER_FOR_PARTITION: "has a partition that moved",
  MESSAGE_TOO_LARGE: "takes no messages of this size: its max.message.bytes is too small",
  INVALID_TIMESTAMP: "refuses the time of an event: see its message.timestamp settings",
};

function wordsFor(error: unknown, topic: string): string {
  const type = protocolError(error);
  if (type === "SASL_AUTHENTICATION_FAILED") return "the Kafka brokers refuse our credentials";
  if (type !== undefined) return `the Kafka topic ${topic} ${WORDS[type] ?? `failed: ${type}`}`;
  return "no Kafka broker answers";
}

/** The name of a broker's answer, if the failure is one. Names are constants of the protocol. */
function protocolError(error: unknown): string | undefined {
  for (
    let link = error, depth = 0;
    link instanceof Error && depth < 5;
    link = link.cause, depth++
  ) {
    if (link.name === "KafkaJSSASLAuthenticationError") return "SASL_AUTHENTICATION_FAILED";
    if ("type" in link && typeof link.type === "string" && /^[A-Z_]{3,64}$/.test(link.type)) {
      return link.type;
    }
  }
  return undefined;
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
