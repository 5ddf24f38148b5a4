import { createRelay } from "@keyledger/core";
import {
  type KafkaTopics,
  kafkaAuditSink,
} from "../../../packages/cluster/src/kafka-audit-sink.ts";
import { type KafkaClient, openKafkaClient } from "../../../packages/cluster/src/kafka-client.ts";
import { openSqliteEventLog } from "../../../packages/embedded/src/sqlite-event-log.ts";
import { host } from "./audit-topics.ts";

/** Where a relay process kills itself, at its n-th send to the topic in question. */
export type CrashPoint =
  | "before-produce"
  | "unacknowledged"
  | "before-checkpoint"
  | "torn-checkpoint";

export interface RelayProcessOptions {
  readonly brokers: readonly string[];
  readonly topics: KafkaTopics;
  readonly deploymentId: string;
  readonly logFile: string;
  readonly crash?: { readonly at: CrashPoint; readonly nth: number };
}

/** One relay of the changes feed, from a log file to Kafka, as a process of its own: `node relay-process.ts <options>`. */
async function main(options: RelayProcessOptions): Promise<void> {
  const { brokers, topics, deploymentId, logFile } = options;
  const log = openSqliteEventLog({ file: logFile, deploymentId, host });
  const connection = { brokers, clientId: "keyledger-audit", deploymentId, topics, host };
  await using sink = kafkaAuditSink(connection, () =>
    crashing(openKafkaClient(connection), options),
  );
  const relay = createRelay({ feed: log, sink, host });
  const stop = new AbortController();
  const running = relay.run(stop.signal);
  while (!relay.state().isCaughtUp) await host.pause(20);
  stop.abort();
  await running;
}

function crashing(client: KafkaClient, { crash, topics }: RelayProcessOptions): KafkaClient {
  if (!crash) return client;
  const { at, nth } = crash;
  const isCheckpoint = at === "before-checkpoint" || at === "torn-checkpoint";
  let sends = 0;
  return {
    ...client,
    readAll: (topic) => client.readAll(topic),
    async send(topic, messages) {
      if (topic !== (isCheckpoint ? topics.checkpoints : topics.changes) || ++sends < nth) {
        return client.send(topic, messages);
      }
      if (at === "torn-checkpoint") {
        const torn = messages.map((message) => ({
          ...message,
          value: message.value.subarray(0, 40),
        }));
        await client.send(topic, torn);
      }
      if (at === "unacknowledged") {
        void client.send(topic, messages).catch(() => {});
        // The bytes are on their way, the answers are not here.
        await host.pause(nth);
      }
      process.kill(process.pid, "SIGKILL");
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

const [, , options] = process.argv;
if (options !== undefined) await main(JSON.parse(options));
