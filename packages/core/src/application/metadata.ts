import type { Stamp } from "../domain/vocabulary.ts";
import { Corrupted } from "../ports/faults.ts";
import { SCHEMA_VERSION } from "./event-codec.ts";

/** What goes with an event, the two hashes of the chain apart. Names in sorted order: see `event-codec.ts`. */
export function metadataOf(
  stamp: Stamp,
  { owner, requestMac }: { owner: string | null; requestMac: string },
): Record<string, string> {
  const metadata: Record<string, string> = {};
  if (stamp.causationId !== undefined) metadata.$causationId = stamp.causationId;
  metadata.$correlationId = stamp.correlationId;
  metadata.actor = stamp.actor;
  metadata.actorType = stamp.actorType;
  if (owner !== null) metadata.owner = owner;
  metadata.requestId = stamp.requestId;
  if (requestMac !== "") metadata.requestMac = requestMac;
  metadata.schemaVersion = String(SCHEMA_VERSION);
  metadata.time = stamp.time;
  if (stamp.traceparent !== undefined) metadata.traceparent = stamp.traceparent;
  return metadata;
}

/** @throws {Corrupted} where a member every event has is missing. */
export function member(metadata: Readonly<Record<string, string>>, name: string): string {
  const value = metadata[name];
  if (value === undefined) throw new Corrupted(`a stored event has no ${name} in its metadata`);
  return value;
}
