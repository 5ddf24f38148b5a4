import type { Place } from "./audit-consumer.ts";

/** `ce_type` of the message that stands in for an event which could not be published. */
export const GAP_MARKER_TYPE = "io.keyledger.audit.gap.v1";

/**
 * Where a Kafka message of an audit topic stands, from its headers alone, whatever library read them. True of a gap marker
 * too: it takes the place of an event, so the rule counts it like one.
 * @returns `undefined` where the message is none of ours.
 */
export function placeOf(headers: Readonly<Record<string, unknown>>): Place | undefined {
  const stream = textOf(headers.stream);
  const revision = textOf(headers.revision);
  const position = textOf(headers.position);
  if (stream === "" || position === "" || !/^\d{1,20}$/.test(revision)) return undefined;
  return { stream, revision: BigInt(revision), position };
}

/** Libraries give a header's value as text or as its bytes. */
const textOf = (value: unknown): string => {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : "";
};
