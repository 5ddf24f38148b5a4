import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import * as wire from "@keyledger/contracts";
import {
  type AuditRecord,
  type CallerKeyView,
  type Candidate,
  type ExpectedEdit,
  holdsKey,
  type Instant,
  invalid,
  isOwnerId,
  isRequestId,
  isUuid,
  type KeyView,
  type Mode,
  type Owner,
  type ProbeReport,
  type Role,
  type Standing,
  type Uuid,
} from "@keyledger/core";
import { errorOf } from "./errors.ts";

/** Proto ⇄ domain. Wire types end here; what comes in is checked here, once, and refused by name and bound. */

export type WireOwner = wire.Owner;

const refused = (field: string, description: string) => errorOf(invalid(field, description));

const OWNER_KINDS = {
  [wire.OwnerKind.USER]: "user",
  [wire.OwnerKind.TEAM]: "team",
  [wire.OwnerKind.ORGANIZATION]: "organization",
} as const;

/** @returns `null` where no owner was named. */
export function ownerFrom(owner: wire.Owner | undefined): Owner | null {
  if (!owner) return null;
  const kind = OWNER_KINDS[owner.kind as keyof typeof OWNER_KINDS];
  if (!kind) throw refused("owner.kind", "is not user, team or organization");
  if (!isOwnerId(owner.id))
    throw refused("owner.id", "is not 1 to 128 of A-Z a-z 0-9 _ . : - without ..");
  return { kind, id: owner.id };
}

const WIRE_KINDS = {
  user: wire.OwnerKind.USER,
  team: wire.OwnerKind.TEAM,
  organization: wire.OwnerKind.ORGANIZATION,
} as const;

export const ownerTo = ({ kind, id }: Owner): wire.Owner => ({
  $typeName: "keyledger.v1.Owner",
  kind: WIRE_KINDS[kind],
  id,
});

/** @returns the id as given; empty stays empty, and is made later. */
export function requestIdFrom(text: string): string {
  if (text !== "" && !isRequestId(text))
    throw refused("request_id", "is not 1 to 64 of A-Z a-z 0-9 . _ -");
  assertNoKey("request_id", text);
  return text;
}

/** What is recorded for ever must hold no credential, wherever somebody pasted it. */
export function assertNoKey(field: string, text: string): void {
  if (holdsKey(text)) throw refused(field, "looks like a credential (secret_in_metadata)");
}

export function expectedFrom(
  expected: wire.ExpectedRevision | undefined,
): ExpectedEdit | undefined {
  const asked = expected?.expected;
  if (asked?.case === "none") {
    if (!asked.value) throw refused("expected_revision.none", "must be true where it is set");
    return "none";
  }
  if (asked?.case === "revision") return Number(asked.value);
  if (expected) throw refused("expected_revision", "names neither a revision nor none");
  return undefined;
}

export function uuidFrom(field: string, text: string): Uuid {
  const lower = text.toLowerCase();
  if (!isUuid(lower)) throw refused(field, "is not a UUID");
  return lower;
}

/** Absent keeps, empty clears. */
export const clearable = (text: string | undefined): string | null | undefined =>
  text === undefined ? undefined : text.trim() === "" ? null : text.trim();

/** Absent or empty: nothing. */
export const optional = (text: string | undefined): string | null => clearable(text) ?? null;

/** In an update: absent keeps, empty clears. */
export const listChangeFrom = (
  list: wire.AllowList | undefined,
): readonly string[] | null | undefined => (list === undefined ? undefined : listFrom(list));

export const listFrom = (list: wire.AllowList | undefined): readonly string[] | null =>
  list === undefined || list.values.length === 0 ? null : list.values;

const listTo = (list: readonly string[]): wire.AllowList => ({
  $typeName: "keyledger.v1.AllowList",
  values: [...list],
});

/** `undefined` = keep, `null` = nothing said. */
export function zdrFrom(declaration: wire.ZdrDeclaration): boolean | null | undefined {
  switch (declaration) {
    case wire.ZdrDeclaration.DECLARED:
      return true;
    case wire.ZdrDeclaration.NOT_DECLARED:
      return false;
    case wire.ZdrDeclaration.CLEARED:
      return null;
    case wire.ZdrDeclaration.UNSPECIFIED:
      return undefined;
    default:
      throw refused("declared_zdr", "is no declaration this release knows");
  }
}

export const zdrTo = (declared: boolean | null): wire.ZdrDeclaration =>
  declared === null
    ? wire.ZdrDeclaration.UNSPECIFIED
    : declared
      ? wire.ZdrDeclaration.DECLARED
      : wire.ZdrDeclaration.NOT_DECLARED;

export function modeFrom(mode: wire.Mode): Mode {
  if (mode === wire.Mode.NEO) return "neo";
  if (mode === wire.Mode.BYOK) return "byok";
  throw refused("mode", "is not neo or byok");
}

export const modeTo = (mode: Mode): wire.Mode => (mode === "byok" ? wire.Mode.BYOK : wire.Mode.NEO);

const ROLES = {
  [wire.Role.USER]: "user",
  [wire.Role.TEAM_ADMIN]: "team-admin",
  [wire.Role.TEAM_MEMBER]: "team-member",
  [wire.Role.TEAM_VIEWER]: "team-viewer",
  [wire.Role.ORGANIZATION_ADMIN]: "organization-admin",
  [wire.Role.SERVICE]: "service",
  [wire.Role.AUDITOR]: "auditor",
  [wire.Role.OPERATOR]: "operator",
} as const satisfies Partial<Record<wire.Role, Role>>;

const WIRE_ROLES = {
  user: wire.Role.USER,
  "team-admin": wire.Role.TEAM_ADMIN,
  "team-member": wire.Role.TEAM_MEMBER,
  "team-viewer": wire.Role.TEAM_VIEWER,
  "organization-admin": wire.Role.ORGANIZATION_ADMIN,
  service: wire.Role.SERVICE,
  auditor: wire.Role.AUDITOR,
  operator: wire.Role.OPERATOR,
} as const satisfies Record<Role, wire.Role>;

export function roleFrom(role: wire.Role): Role {
  const known = ROLES[role as keyof typeof ROLES];
  if (!known) throw refused("role", "is no role this release knows");
  return known;
}

/** Seconds of the years 0001 and 9999, what a Timestamp may hold. */
const SECONDS_MIN = -62_135_596_800;
const SECONDS_MAX = 253_402_300_799;

export function instantFrom(field: string, timestamp: Timestamp | undefined): Instant | undefined {
  if (!timestamp) return undefined;
  const seconds = Number(timestamp.seconds);
  const isInside = seconds >= SECONDS_MIN && seconds <= SECONDS_MAX;
  if (!isInside || timestamp.nanos < 0 || timestamp.nanos > 999_999_999) {
    throw refused(field, "is not within the years 0001 and 9999");
  }
  return new Date(seconds * 1_000 + Math.floor(timestamp.nanos / 1_000_000)).toISOString();
}

export function instantTo(instant: Instant): Timestamp {
  const ms = Date.parse(instant);
  const seconds = Math.floor(ms / 1_000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1_000) * 1_000_000,
  };
}

export const durationTo = (ms: number): Duration =>
  create(DurationSchema, {
    seconds: BigInt(Math.floor(ms / 1_000)),
    nanos: (ms % 1_000) * 1_000_000,
  });

const HEALTH = {
  unprobed: wire.KeyHealth.UNPROBED,
  valid: wire.KeyHealth.VALID,
  rejected: wire.KeyHealth.REJECTED,
  pending: wire.KeyHealth.PENDING,
  quarantined: wire.KeyHealth.QUARANTINED,
} as const satisfies Record<KeyView["health"], wire.KeyHealth>;

/** Messages of keys that did not change since they were last asked for: views are shared and never changed in place. */
const encoded = new WeakMap<KeyView, wire.ProviderKey>();

/** A key as a message, which nobody may change: it is shared between answers. */
export function keyTo(key: KeyView, isPrimary: boolean): wire.ProviderKey {
  const known = encoded.get(key);
  if (known?.primary === isPrimary) return known;
  const message = messageOf(key, isPrimary);
  encoded.set(key, message);
  return message;
}

/** Named as the message it is, so that it is encoded as it stands and not copied first: lists are read often. */
const messageOf = (key: KeyView, isPrimary: boolean): wire.ProviderKey => ({
  $typeName: "keyledger.v1.ProviderKey",
  keyId: key.keyId,
  provider: key.provider,
  label: key.label,
  ...(key.name !== null && { name: key.name }),
  ...(key.location !== null && { location: key.location }),
  secretVersion: key.secretVersion,
  sortOrder: key.sortOrder,
  fallback: key.fallback,
  disabled: key.disabled,
  ...(key.allowedModels && { allowedModels: listTo(key.allowedModels) }),
  ...(key.allowedUsers && { allowedUsers: listTo(key.allowedUsers) }),
  ...(key.allowedCallerKeys && { allowedCallerKeys: listTo(key.allowedCallerKeys) }),
  requiredForItsModels: key.requiredForItsModels,
  byokOnly: key.byokOnly,
  declaredZdr: zdrTo(key.declaredZdr),
  ...(key.workspaceId !== null && { workspaceId: key.workspaceId }),
  ...(key.expiresAt !== null && { expiresAt: instantTo(key.expiresAt) }),
  isValidated: key.isValidated,
  health: HEALTH[key.health],
  lastProbeCode: key.lastProbe?.code ?? "",
  createdAt: instantTo(key.createdAt),
  updatedAt: instantTo(key.updatedAt),
  primary: isPrimary,
});

/** Bytes of everything about a key but what people write: ids, times, flags, label, and their tags. */
const FIXED_BYTES_MAX = 700;

/** No key takes more bytes than this says; quicker than encoding it. A character takes three bytes at most. */
export const keyBytesMax = (key: wire.ProviderKey): number =>
  [key.allowedModels, key.allowedUsers, key.allowedCallerKeys].reduce(
    (bytes, list) =>
      bytes + (list?.values.reduce((sum, value) => sum + value.length * 3 + 3, 0) ?? 0),
    FIXED_BYTES_MAX + ((key.name?.length ?? 0) + (key.location?.length ?? 0)) * 3,
  );

const OUTCOMES = {
  valid: wire.ProbeOutcome.VALID,
  "valid-limited": wire.ProbeOutcome.VALID_LIMITED,
  rejected: wire.ProbeOutcome.REJECTED,
  blocked: wire.ProbeOutcome.BLOCKED,
  misconfigured: wire.ProbeOutcome.MISCONFIGURED,
  "rate-limited": wire.ProbeOutcome.RATE_LIMITED,
  unavailable: wire.ProbeOutcome.UNAVAILABLE,
  unexpected: wire.ProbeOutcome.UNEXPECTED,
  unprobed: wire.ProbeOutcome.UNPROBED,
} as const satisfies Record<ProbeReport["outcome"], wire.ProbeOutcome>;

export const probeTo = (report: ProbeReport) => ({
  outcome: OUTCOMES[report.outcome],
  code: report.code,
  message: report.message,
  retryable: report.retryable,
  ...(report.retryAfterMs !== undefined && { retryAfter: durationTo(report.retryAfterMs) }),
  ...(report.expiresAt !== undefined && { expiresAt: instantTo(report.expiresAt) }),
  facts: { ...report.facts },
});

/** Revision and position, as every answer has them. */
export const standingTo = ({ revision, position }: Standing) => ({
  ...(revision !== null && { revision: BigInt(revision) }),
  position,
});

export const candidateTo = (candidate: Candidate) =>
  candidate.source === "neo"
    ? { source: wire.Source.NEO, keyId: "", fallback: false }
    : { source: wire.Source.BYOK, keyId: candidate.key.keyId, fallback: candidate.key.fallback };

export const callerKeyTo = (key: CallerKeyView) => ({
  callerKeyId: key.callerKeyId,
  role: WIRE_ROLES[key.role],
  ...(key.owner && { owner: ownerTo(key.owner) }),
  label: key.label,
  issuedAt: instantTo(key.issuedAt),
  ...(key.expiresAt !== null && { expiresAt: instantTo(key.expiresAt) }),
  ...(key.revokedAt !== null && { revokedAt: instantTo(key.revokedAt) }),
});

export function feedFrom(feed: wire.Feed): "changes" | "access" {
  if (feed === wire.Feed.CHANGES) return "changes";
  if (feed === wire.Feed.ACCESS) return "access";
  throw refused("feed", "is not changes or access");
}

export const auditRecordTo = (record: AuditRecord) => ({
  position: record.position,
  stream: record.stream,
  revision: BigInt(record.revision),
  eventId: record.eventId,
  type: record.type,
  schemaVersion: record.schemaVersion,
  time: instantTo(record.time),
  actor: record.actor,
  actorType: record.actorType,
  ...(record.owner && { owner: ownerTo(record.owner) }),
  requestId: record.requestId,
  correlationId: record.correlationId,
  causationId: record.causationId,
  traceparent: record.traceparent,
  dataJson: record.data,
  dataDigest: record.dataDigest,
  metadataDigest: record.metadataDigest,
  prevHash: record.prevHash,
  hash: record.hash,
});

/** 0 means the default. */
export function pageSizeFrom(field: string, size: number): number {
  if (size > PAGE_SIZE_MAX) throw refused(field, `is ${size}, the most is ${PAGE_SIZE_MAX}`);
  return size === 0 ? PAGE_SIZE : size;
}

const PAGE_SIZE = 100;
const PAGE_SIZE_MAX = 500;

/** Free text that only ever is compared and recorded. */
export function boundedFrom(field: string, text: string | undefined): string | null {
  if (text === undefined || text === "") return null;
  if (text.length > TEXT_MAX)
    throw refused(field, `is ${text.length} characters, the most is ${TEXT_MAX}`);
  assertNoKey(field, text);
  return text;
}

const TEXT_MAX = 255;
