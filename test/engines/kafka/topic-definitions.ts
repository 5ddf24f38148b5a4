import { readFileSync } from "node:fs";

export interface TopicDefinition {
  readonly topic: string;
  readonly numPartitions: number;
  readonly configEntries: readonly { readonly name: string; readonly value: string }[];
}

/** What `deploy/kafka/topics.conf` says. */
export function topicDefinitions(): readonly TopicDefinition[] {
  const file = new URL("../../../deploy/kafka/topics.conf", import.meta.url);
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [topic = "", partitions = "", ...settings] = line.split(/\s+/);
      return {
        topic,
        numPartitions: Number(partitions),
        configEntries: settings.map((setting) => {
          const [name = "", value = ""] = setting.split("=");
          return { name, value };
        }),
      };
    });
}
