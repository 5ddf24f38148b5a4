import { type AuditRecord, ownerName, parseOwnerName } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import {
  type KafkaAuditSinkOptions,
  type KafkaTopics,
  openKafkaAuditSink,
} from "../../../packages/cluster/src/kafka-audit-sink.ts";
import type { SinkStore } from "../../contract/audit-sink.contract.ts";
import type { TestKafka } from "./test-kafka.ts";

export const host = nodeHost();

/** Topics of a deployment of their own, and the sinks that write to them. */
export interface AuditTopics extends SinkStore {
  readonly topics: KafkaTopics;
  readonly deploymentId: string;
  readonly options: KafkaAuditSinkOptions;
  open(changes?: Partial<KafkaAuditSinkOptions>): ReturnType<SinkStore["open"]>;
}

export async function newAuditTopics(
  kafka: TestKafka,
  settings: { partitions?: number } = {},
): Promise<AuditTopics> {
  const topics = await kafka.newTopics(settings);
  const deploymentId = host.random.uuid();
  const { bootstrap: brokers } = kafka;
  const options = { brokers, clientId: "keyledger-audit", deploymentId, topics, host };
  return {
    topics,
    deploymentId,
    options,
    open: async (changes) => openKafkaAuditSink({ ...options, ...changes }),
    delivered: async (feed) => (await kafka.read(topics[feed])).map(({ value }) => recordIn(value)),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** The record that a message's value says. */
function recordIn(value: string): AuditRecord {
  const { dataJson, revision, owner, ...rest } = JSON.parse(value);
  const name = owner && `${owner.kind.replace("OWNER_KIND_", "").toLowerCase()}.${owner.id}`;
  const parsed = name === null ? null : parseOwnerName(name);
  if (parsed === undefined || (parsed && ownerName(parsed) !== name)) throw new Error("no owner");
  return { ...rest, data: dataJson, revision: Number(revision), owner: parsed };
}
