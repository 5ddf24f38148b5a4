import type { RecordedEvent } from "@keyledger/core";
import { createAuditConsumer, type Place } from "../../../packages/client/src/audit-consumer.ts";
import { placeOf } from "../../../packages/client/src/kafka-headers.ts";

/** What a topic came to for a consumer that keeps the rule. */
export interface TopicVerdict {
  readonly applied: number;
  readonly duplicates: number;
  readonly gaps: number;
  /** Events of the log that no message stands for. */
  readonly missing: number;
}

/**
 * Consumes a topic by the rule, partition after partition, each in its order, and compares the outcome with the log: every
 * event once, in the order of its stream, under its own id and hash.
 * @throws where something else was applied than the log holds.
 */
export async function judgeTopic(
  messages: readonly { readonly headers: Readonly<Record<string, string>> }[],
  events: readonly RecordedEvent[],
): Promise<TopicVerdict> {
  const logged = new Map(events.map((event) => [`${event.stream}/${event.revision}`, event]));
  const marks = new Map<string, Place>();
  let [applied, duplicates, gaps] = [0, 0, 0];
  const consumer = createAuditConsumer<
    Place & { readonly headers: Readonly<Record<string, string>> }
  >({
    markOf: async (stream) => marks.get(stream),
    async apply({ headers, ...place }) {
      const event = logged.get(`${place.stream}/${place.revision}`);
      const isMarker = headers.ce_type === "io.keyledger.audit.gap.v1";
      const isSame =
        event?.position === place.position &&
        (isMarker ||
          (event.id === headers.ce_id && event.metadata.hash === headers.ce_keyledgerhash));
      if (!isSame) throw new Error(`${place.stream}/${place.revision} is not what the log holds`);
      marks.set(place.stream, place);
      applied++;
    },
    async *readGap() {},
    onGap: () => void gaps++,
  });
  for (const { headers } of messages) {
    const place = placeOf(headers);
    if (!place) throw new Error("a message has no place in the feed");
    const { verdict } = await consumer
      .take({ ...place, headers })
      .catch(() => ({ verdict: "gap" }));
    if (verdict === "drop") duplicates++;
  }
  return { applied, duplicates, gaps, missing: events.length - applied };
}
