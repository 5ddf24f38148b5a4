import { appendTooLarge, eventTooLarge, missingProperty } from "./failures.ts";
import type { streams } from "./generated.ts";
import type { Limits } from "./node-context.ts";
import type { Expected, ProposedEvent } from "./store.ts";
import { readUuid } from "./uuid.ts";

type ProposedMessage = streams.AppendReq.ProposedMessage | streams.BatchAppendReq.ProposedMessage;

/** @throws {Failure} without the two properties every event must have. */
export function parseProposed(message: ProposedMessage): ProposedEvent {
  const properties = message.getMetadataMap();
  const type: string | undefined = properties.get("type");
  if (type === undefined) throw missingProperty("type");
  const contentType: string | undefined = properties.get("content-type");
  if (contentType === undefined) throw missingProperty("content-type");
  return {
    id: readUuid(message.getId()),
    type,
    contentType,
    metadata: message.getCustomMetadata_asU8(),
    data: message.getData_asU8(),
  };
}

/** @throws {Failure} */
export function assertSize(events: readonly ProposedEvent[], limits: Limits): void {
  let total = 0;
  for (const { id, type, metadata, data } of events) {
    const bytes = type.length + metadata.byteLength + data.byteLength;
    if (bytes > limits.eventBytesMax) throw eventTooLarge(id, bytes, limits.eventBytesMax);
    total += bytes;
  }
  if (total > limits.appendBytesMax) throw appendTooLarge(limits.appendBytesMax);
}

/** How append, delete and tombstone say what a stream must be; `revision` is read where they name none of the others. */
export function expectedOf(
  options: { hasAny(): boolean; hasNoStream(): boolean; hasStreamExists(): boolean },
  revision: string,
): Expected {
  if (options.hasAny()) return "any";
  if (options.hasNoStream()) return "none";
  return options.hasStreamExists() ? "exists" : BigInt(revision);
}
