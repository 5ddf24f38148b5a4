import { Cancelled, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import type { KafkaTopics } from "../../../packages/cluster/src/kafka-audit-sink.ts";
import type { KafkaClient } from "../../../packages/cluster/src/kafka-client.ts";
import type { KafkaMessage } from "../../../packages/cluster/src/kafka-message.ts";

/**
 * How a send may end badly: not begun; begun on some partitions only; complete, but its acknowledgement lost; complete
 * only after the next one, out of a broker that was slow; or with the whole process, before anything or with a part of it
 * sent, or with a value cut in half.
 */
export type SendFault =
  | "refused"
  | "partial"
  | "unacknowledged"
  | "late"
  | "killed-before"
  | "killed"
  | "torn";

const NO_VALUE = new Uint8Array(0);

const halved = (message: KafkaMessage): KafkaMessage => ({
  ...message,
  value: message.value.subarray(0, message.value.byteLength / 2),
});

/** Ends a process in the middle: what runs after it does nothing any more. */
export class Killed extends Error {}

/** Topics in memory with the ways of a Kafka cluster that the sink can meet. */
export class MemoryKafka {
  readonly #partitions = new Map<string, KafkaMessage[][]>();
  readonly #topics: KafkaTopics;
  #late: (() => void)[] = [];
  /** Asked before every send. */
  fault: (topic: string) => SendFault | undefined = () => undefined;
  sends = 0;
  reads = 0;

  constructor(topics: KafkaTopics) {
    this.#topics = topics;
  }

  client(): KafkaClient {
    let isDead = false;
    return {
      send: async (topic, messages) => {
        if (isDead) throw new Cancelled();
        this.sends++;
        const fault = this.fault(topic);
        const late = this.#late;
        this.#late = [];
        if (fault === "killed-before" || fault === "killed" || fault === "torn") {
          isDead = true;
          if (fault === "killed") this.#append(topic, messages, (partition) => partition % 2 === 0);
          if (fault === "torn") this.#append(topic, messages.map(halved));
          throw new Killed();
        }
        if (fault === "refused") {
          throw new StoreUnavailable("no Kafka broker answers", { retryable: true });
        }
        if (fault === "late") this.#late = [...late, () => this.#append(topic, messages)];
        else this.#append(topic, messages, (partition) => fault !== "partial" || partition % 3 > 0);
        for (const append of fault === "late" ? [] : late) append();
        if (fault !== undefined) throw new OutcomeUnknown("no Kafka broker answers");
      },
      readAll: async (topic) => {
        this.reads++;
        return this.read(topic).map(({ key, value }) => ({
          key,
          value: value === NO_VALUE ? null : Buffer.from(value).toString(),
        }));
      },
      [Symbol.asyncDispose]: async () => {
        isDead = true;
      },
    };
  }

  /** Everything in a topic: partition by partition, each in order. */
  read(topic: string): readonly KafkaMessage[] {
    return (this.#partitions.get(topic) ?? []).flat();
  }

  /** As somebody else would write it; `null` = a record without value. */
  put(topic: string, key: string, value: string | null): void {
    const bytes = value === null ? NO_VALUE : Buffer.from(value);
    this.copy(topic, { key, value: bytes, headers: {}, timestamp: "0" });
  }

  copy(topic: string, message: KafkaMessage): void {
    this.#append(topic, [message]);
  }

  #append(
    topic: string,
    messages: readonly KafkaMessage[],
    takes: (partition: number) => boolean = () => true,
  ): void {
    const count = topic === this.#topics.checkpoints ? 1 : 12;
    const partitions = this.#partitions.get(topic) ?? Array.from({ length: count }, () => []);
    this.#partitions.set(topic, partitions);
    for (const message of messages) {
      const partition = Buffer.from(message.key).reduce((sum, byte) => sum * 31 + byte, 7) % count;
      if (takes(partition)) partitions[partition]?.push(message);
    }
  }
}
