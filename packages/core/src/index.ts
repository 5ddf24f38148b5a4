export type { Answer, Standing, WriteCall } from "./application/call.ts";
export {
  CALLER_KEY_PREFIX,
  CALLER_KEY_RANDOM_BYTES,
  parseCallerKey,
} from "./application/caller-key-text.ts";
export type { CallerKeys, IssueWish } from "./application/caller-keys.ts";
export { Canceller } from "./application/canceller.ts";
export { holdsKey } from "./application/check.ts";
export type { DeletedKey, DeleteTarget } from "./application/delete-key.ts";
export { decodeData, encodeData } from "./application/event-codec.ts";
export {
  createLedger,
  type Ledger,
  type LedgerPorts,
  type LedgerSettings,
} from "./application/ledger.ts";
export { createMac, type Mac, type MacRoot } from "./application/mac.ts";
export type { ProbePolicy } from "./application/probe-policy.ts";
export { createProjector, type FollowerState, type Projector } from "./application/project.ts";
export type { ListFilter, ModeAnswer, ReadCall, ShownKey } from "./application/queries.ts";
export { createRelay, type Relay } from "./application/relay-audit.ts";
export type { Resolved, ResolveQuestion } from "./application/resolve-key.ts";
export type { CreateWish, UpdateWish, UpsertWish, WrittenKey } from "./application/write-key.ts";
export type { AuditRecord } from "./domain/audit-record.ts";
export { ownerKindOf } from "./domain/caller-key.ts";
export { canonicalJson, type Json } from "./domain/canonical-json.ts";
export type * from "./domain/commands.ts";
export { decide, KEYS_PER_KEYRING_MAX } from "./domain/decider.ts";
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
export { type Candidate, PLATFORM, type ResolvePolicy } from "./domain/selection.ts";
export {
  type CallerKeyView,
  effectiveMode,
  emptyKeyringView,
  enabledCount,
  type KeyringView,
  type KeyView,
  type PendingShred,
  primaryOf,
  project,
  shownMode,
  sortedKeys,
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
  secondsAfter,
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
export {
  AuditUnavailable,
  Cancelled,
  Corrupted,
  Fault,
  NotCaughtUp,
  OutcomeUnknown,
  StoreUnavailable,
} from "./ports/faults.ts";
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
