import type { Instant, Owner, Position, Revision, Uuid } from "./vocabulary.ts";

/** The published form of one event: without fingerprints, keyed hashes and display names, with both digests. */
export interface AuditRecord {
  readonly position: Position;
  readonly stream: string;
  readonly revision: Revision;
  readonly eventId: Uuid;
  readonly type: string;
  readonly schemaVersion: number;
  readonly time: Instant;
  readonly actor: string;
  readonly actorType: string;
  readonly owner: Owner | null;
  readonly requestId: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly traceparent: string;
  /** Public data as JSON text. */
  readonly data: string;
  /** Lower-case hex, like the other hashes. */
  readonly dataDigest: string;
  readonly metadataDigest: string;
  readonly prevHash: string;
  readonly hash: string;
}
