import {
  type AuditRecord,
  type AuditSink,
  type Host,
  type Position,
  StoreUnavailable,
  type Uuid,
} from "@keyledger/core";
import { checkpointKey, encodeCheckpoint, furthestCheckpoint } from "./kafka-checkpoint.ts";
import { type KafkaClient, type KafkaConnection, openKafkaClient } from "./kafka-client.ts";
import { type KafkaMessage, MESSAGE_BYTES_MAX, messageBytes, publish } from "./kafka-message.ts";

export interface KafkaTopics {
  readonly changes: string;
  readonly access: string;
  /** Entries about records that could not be published. */
  readonly deadLetters: string;
  /** Compacted, one partition. `null` = keep none: for a replay, which must not say how far the relay got. */
  readonly checkpoints: string | null;
}

export const KAFKA_TOPICS = {
  changes: "keyledger.audit.v1",
  access: "keyledger.access.v1",
  deadLetters: "keyledger.audit.dlq",
  checkpoints: "keyledger.checkpoint.v1",
} as const satisfies KafkaTopics;

/** One batch that is on the topic. */
export interface Delivery {
  readonly feed: "changes" | "access";
  /** Of the last record. */
  readonly position: Position;
  readonly records: number;
  /** How many of them were poison. */
  readonly deadLetters: number;
  /** How old the last record was when it was acknowledged, in milliseconds. */
  readonly lagMs: number;
}

export interface KafkaAuditSinkOptions extends KafkaConnection {
  readonly deploymentId: Uuid;
  readonly topics?: KafkaTopics;
  /** Hears of every batch that was acknowledged: for metrics. */
  readonly onLag?: (delivery: Delivery) => void;
}

/** Records a batch may have, and so the most that one crash sends again. */
export const BATCH_RECORDS_MAX = 500;

/**
 * Delivers the feeds to their Kafka topics: at least once, in order per stream, never with a gap. One batch is in flight
 * for each feed; its checkpoint is written once all its partitions have acknowledged. Connects when it is first used, and
 * anew after every failure, so brokers may come and go.
 */
export function openKafkaAuditSink(options: KafkaAuditSinkOptions): AuditSink & AsyncDisposable {
  return kafkaAuditSink(options, () => openKafkaClient(options));
}

/** @param openClient makes one for each feed, so that a busy one does not hold up the other. */
export function kafkaAuditSink(
  options: KafkaAuditSinkOptions,
  openClient: () => KafkaClient,
): AuditSink & AsyncDisposable {
  const feeds = {
    changes: new FeedTopic("changes", options, openClient()),
    access: new FeedTopic("access", options, openClient()),
  };
  return {
    resumeAfter: (feed) => feeds[feed].resumeAfter(),
    deliver: (feed, records) => feeds[feed].deliver(records),
    async [Symbol.asyncDispose]() {
      await Promise.all([feeds.changes.close(), feeds.access.close()]);
    },
  };
}

class FeedTopic {
  readonly #feed: "changes" | "access";
  readonly #topics: KafkaTopics;
  readonly #deploymentId: Uuid;
  readonly #host: Host;
  readonly #onLag: (delivery: Delivery) => void;
  readonly #client: KafkaClient;
  readonly #checkpointKey: string;
  /** Calls are done one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Of the last record that this sink itself saw acknowledged. */
  #position: Position | null = null;
  #hasFailed = false;
  #closed = false;

  constructor(
    feed: "changes" | "access",
    { topics = KAFKA_TOPICS, deploymentId, host, onLag = () => {} }: KafkaAuditSinkOptions,
    client: KafkaClient,
  ) {
    this.#feed = feed;
    this.#topics = topics;
    this.#deploymentId = deploymentId;
    this.#host = host;
    this.#onLag = onLag;
    this.#client = client;
    this.#checkpointKey = checkpointKey(deploymentId, feed);
  }

  resumeAfter(): Promise<Position | null> {
    return this.#inTurn(async () => {
      // In the middle of trouble it is enough to know what we delivered ourselves; otherwise another relay may have
      // gone further meanwhile.
      if (this.#hasFailed && this.#position !== null) return this.#position;
      const kept = await this.#keptPosition();
      return this.#position !== null && (kept === null || this.#position > kept)
        ? this.#position
        : kept;
    });
  }

  deliver(records: readonly AuditRecord[]): Promise<void> {
    return this.#inTurn(async () => {
      this.#hasFailed = true;
      for (const batch of this.#batches(records)) await this.#send(batch);
      this.#hasFailed = false;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client[Symbol.asyncDispose]();
  }

  async #keptPosition(): Promise<Position | null> {
    const { checkpoints } = this.#topics;
    if (checkpoints === null) return null;
    const entries = await this.#client.readAll(checkpoints);
    return furthestCheckpoint(this.#host.crypto, this.#checkpointKey, entries);
  }

  async #send({ messages, deadLetters, position, time }: Batch): Promise<void> {
    // The entry first: where a consumer meets a marker, there is something to read about it.
    if (deadLetters.length > 0) await this.#client.send(this.#topics.deadLetters, deadLetters);
    await this.#client.send(this.#topics[this.#feed], messages);
    this.#position = position;
    const { clock, crypto } = this.#host;
    const now = clock.now();
    if (this.#topics.checkpoints !== null) {
      await this.#client.send(this.#topics.checkpoints, [
        {
          key: this.#checkpointKey,
          value: Buffer.from(encodeCheckpoint(crypto, this.#checkpointKey, position)),
          headers: {},
          timestamp: String(Date.parse(now)),
        },
      ]);
    }
    this.#onLag({
      feed: this.#feed,
      position,
      records: messages.length,
      deadLetters: deadLetters.length,
      lagMs: Math.max(0, Date.parse(now) - Date.parse(time) || 0),
    });
  }

  /** Bounded in records and bytes: a topic takes no batch above its `max.message.bytes`, whatever is in it. */
  *#batches(records: readonly AuditRecord[]): Generator<Batch> {
    const source = { feed: this.#feed, deploymentId: this.#deploymentId };
    let batch: OpenBatch | undefined;
    for (const record of records) {
      const { message, deadLetter } = publish(record, source);
      const bytes = messageBytes(message);
      if (
        batch &&
        (batch.messages.length === BATCH_RECORDS_MAX || batch.bytes + bytes > MESSAGE_BYTES_MAX)
      ) {
        yield batch;
        batch = undefined;
      }
      batch ??= { messages: [], deadLetters: [], bytes: 0, position: "", time: "" };
      batch.messages.push(message);
      if (deadLetter) batch.deadLetters.push(deadLetter);
      batch.bytes += bytes;
      batch.position = record.position;
      batch.time = record.time;
    }
    if (batch) yield batch;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => {
      if (this.#closed)
        throw new StoreUnavailable("the Kafka sink is closed", { retryable: false });
      return work();
    });
    this.#turn = done.catch(() => {});
    return done;
  }
}

interface Batch {
  readonly messages: readonly KafkaMessage[];
  readonly deadLetters: readonly KafkaMessage[];
  readonly position: Position;
  readonly time: string;
}

interface OpenBatch {
  readonly messages: KafkaMessage[];
  readonly deadLetters: KafkaMessage[];
  bytes: number;
  position: Position;
  time: string;
}
