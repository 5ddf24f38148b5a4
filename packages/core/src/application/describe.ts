import type { AuditRecord } from "../domain/audit-record.ts";
import { dataDigest, metadataDigest } from "../domain/hash-chain.ts";
import { parseOwnerName } from "../domain/vocabulary.ts";
import type { RecordedEvent } from "../ports/event-log.ts";
import { Corrupted } from "../ports/faults.ts";
import type { Crypto } from "../ports/host.ts";
import { member } from "./metadata.ts";

/** Members that leave with no audit record, by event: keyed hashes, and the one free text people write. */
const WITHHELD: Readonly<Record<string, ReadonlySet<string>>> = {
  KeyAdded: new Set(["fingerprint", "name"]),
  KeyRotated: new Set(["fingerprint"]),
  KeyUpdated: new Set(["name"]),
  ApiKeyIssued: new Set(["mac"]),
};

/** An event or access as audit consumers see it. The digests are over what is stored, so the chain can be verified. */
export function describe(crypto: Crypto, recorded: RecordedEvent): AuditRecord {
  const { metadata } = recorded;
  const owner = metadata.owner;
  return {
    position: recorded.position,
    stream: recorded.stream,
    revision: recorded.revision,
    eventId: recorded.id,
    type: recorded.type,
    schemaVersion: Number(member(metadata, "schemaVersion")),
    time: member(metadata, "time"),
    actor: member(metadata, "actor"),
    actorType: member(metadata, "actorType"),
    owner: owner === undefined ? null : (parseOwnerName(owner) ?? null),
    requestId: member(metadata, "requestId"),
    correlationId: metadata.$correlationId ?? "",
    causationId: metadata.$causationId ?? "",
    traceparent: metadata.traceparent ?? "",
    data: publicData(recorded),
    dataDigest: dataDigest(crypto, recorded.data),
    metadataDigest: metadataDigest(crypto, metadata),
    prevHash: member(metadata, "prevHash"),
    hash: member(metadata, "hash"),
  };
}

function publicData({ type, data }: RecordedEvent): string {
  const withheld = WITHHELD[type];
  if (!withheld) return data;
  try {
    return JSON.stringify(JSON.parse(data), (name, value) =>
      withheld.has(name) ? undefined : value,
    );
  } catch {
    throw new Corrupted(`the data of a stored ${type} event is not JSON`);
  }
}
