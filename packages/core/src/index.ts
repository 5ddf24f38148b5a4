export type { AuditRecord } from "./domain/audit-record.ts";
export { canonicalJson, type Json } from "./domain/canonical-json.ts";
export type * from "./domain/events.ts";
export {
  CHAIN_START,
  type ChainHash,
  chained,
  dataDigest,
  type Link,
  lengthPrefixed,
  linkHash,
  metadataDigest,
} from "./domain/hash-chain.ts";
export {
  invalid,
  type Rejection,
  type RejectionReason,
  type Violation,
} from "./domain/rejection.ts";
export { MATERIAL_BYTES_MAX, Secret, trimMaterial } from "./domain/secret.ts";
export {
  type CallerKeyView,
  emptyKeyringView,
  type KeyringView,
  type KeyView,
  type PendingShred,
} from "./domain/views.ts";
export {
  callerStream,
  categoryOf,
  type Entitlement,
  type ExpectedEdit,
  type Instant,
  isOwnerId,
  isRequestId,
  isUuid,
  keyringStream,
  type Mode,
  type Owner,
  type OwnerKind,
  type OwnerName,
  ownerName,
  type Position,
  parseOwnerName,
  type Revision,
  type Role,
  type Stamp,
  type Uuid,
} from "./domain/vocabulary.ts";
export type { AccessLog, NewAccess } from "./ports/access-log.ts";
export type { AuditSink } from "./ports/audit-sink.ts";
export {
  type Appended,
  EventIdReused,
  type EventLog,
  type ExpectedRevision,
  type Feed,
  type Followed,
  type NewEvent,
  type Page,
  type PositionCheck,
  type RecordedEvent,
  WrongExpectedRevision,
} from "./ports/event-log.ts";
export { Cancelled, Corrupted, Fault, OutcomeUnknown, StoreUnavailable } from "./ports/faults.ts";
export type {
  CancelSignal,
  Clock,
  Crypto,
  Host,
  KeyHandle,
  Pause,
  Random,
  Sealed,
} from "./ports/host.ts";
export type { Kek, WrappedKey } from "./ports/kek.ts";
export type { KeyProbe, ProbeOutcome, ProbeReport } from "./ports/key-probe.ts";
export type { ParsedCredential, Provider, ProviderCatalogue } from "./ports/provider-catalogue.ts";
export type { ReadModels, ViewChanges } from "./ports/read-models.ts";
export type {
  EnvelopeRecord,
  Held,
  RecordVersion,
  SecretRef,
  SecretStore,
  Staged,
} from "./ports/secret-store.ts";
