import type { Entitlement, Instant, Mode, Owner, OwnerName, Role, Uuid } from "./vocabulary.ts";

/** What a probe proved; the finer outcome is in the code. */
export type ProbeVerdict = "valid" | "rejected" | "indeterminate";

export type KeyHealth = "unprobed" | "valid" | "rejected" | "pending" | "quarantined";

/** A list that restricts use; `null` = no restriction. */
export type AllowList = readonly string[] | null;

/** What people set on a key. */
export interface KeyMetadata {
  readonly name: string | null;
  readonly location: string | null;
  readonly sortOrder: number;
  readonly fallback: boolean;
  readonly disabled: boolean;
  readonly allowedModels: AllowList;
  readonly allowedUsers: AllowList;
  readonly allowedCallerKeys: AllowList;
  readonly requiredForItsModels: boolean;
  readonly byokOnly: boolean;
  /** The owner's declaration about data retention; `null` = nothing said. */
  readonly declaredZdr: boolean | null;
  readonly expiresAt: Instant | null;
}

export interface KeyAdded extends KeyMetadata {
  readonly type: "KeyAdded";
  readonly keyId: Uuid;
  readonly provider: string;
  readonly secretVersion: Uuid;
  readonly fingerprint: string;
  readonly label: string;
  readonly workspaceId: Uuid | null;
}

export interface KeyRotated {
  readonly type: "KeyRotated";
  readonly keyId: Uuid;
  readonly secretVersion: Uuid;
  readonly supersededVersion: Uuid;
  readonly fingerprint: string;
  readonly label: string;
  readonly location: string | null;
  readonly expiresAt: Instant | null;
}

/** Only what changed stands in `changes`; `null` = cleared. */
export interface KeyUpdated {
  readonly type: "KeyUpdated";
  readonly keyId: Uuid;
  readonly changes: Partial<KeyMetadata>;
}

export interface KeyDeleted {
  readonly type: "KeyDeleted";
  readonly keyId: Uuid;
  readonly secretVersion: Uuid;
  readonly because: "requested" | "keyring-closed";
}

export interface KeyProbed {
  readonly type: "KeyProbed";
  readonly keyId: Uuid;
  readonly secretVersion: Uuid;
  readonly outcome: ProbeVerdict;
  readonly code: string;
}

export interface KeyHealthChanged {
  readonly type: "KeyHealthChanged";
  readonly keyId: Uuid;
  readonly health: KeyHealth;
  readonly because: string;
}

export interface ModeSet {
  readonly type: "ModeSet";
  readonly mode: Mode;
  readonly because: "requested" | "last-key-gone";
}

export interface EntitlementSet {
  readonly type: "EntitlementSet";
  readonly byok: Entitlement;
}

/** Evidence that the material of a deleted or superseded secret version is destroyed. */
export interface SecretShredded {
  readonly type: "SecretShredded";
  readonly keyId: Uuid;
  readonly secretVersion: Uuid;
  readonly store: string;
  readonly method: string;
}

/** Everything that happens in `keyring-<owner>`. */
export type KeyringEvent =
  | KeyAdded
  | KeyRotated
  | KeyUpdated
  | KeyDeleted
  | KeyProbed
  | KeyHealthChanged
  | ModeSet
  | EntitlementSet
  | SecretShredded;

export interface ApiKeyIssued {
  readonly type: "ApiKeyIssued";
  readonly callerKeyId: Uuid;
  readonly owner: Owner | null;
  readonly role: Role;
  /** Keyed hash of the key's 32 random bytes. */
  readonly mac: string;
  readonly label: string;
  readonly expiresAt: Instant | null;
}

export interface ApiKeyRevoked {
  readonly type: "ApiKeyRevoked";
  readonly callerKeyId: Uuid;
}

/** Everything that happens in `caller-<caller key id>`. */
export type CallerKeyEvent = ApiKeyIssued | ApiKeyRevoked;

interface Access {
  /** `null` = a caller without an owner of its own named none. */
  readonly owner: OwnerName | null;
  readonly provider: string;
  readonly model: string | null;
  readonly userId: string | null;
  readonly callerKey: string | null;
  readonly workspaceId: string | null;
  readonly purpose: string;
  /** The actor that asked. */
  readonly service: string;
  readonly source: "byok" | "neo" | null;
  readonly keyId: Uuid | null;
  readonly secretVersion: Uuid | null;
  readonly reason: string;
  /** Edit revision the decision was made at; `null` = no event yet. */
  readonly revisionSeen: number | null;
  readonly leaseSeconds: number | null;
}

export interface AccessGranted extends Access {
  readonly type: "AccessGranted";
}

export interface AccessRefused extends Access {
  readonly type: "AccessRefused";
}

/** Everything that happens in `access-<node>`. Every authenticated Resolve leaves one. */
export type AccessEvent = AccessGranted | AccessRefused;

export type LedgerEvent = KeyringEvent | CallerKeyEvent | AccessEvent;

/** Events of background work: they do not move the edit revision, so they never fail an honest client. */
export const isBackground = (type: LedgerEvent["type"]): boolean =>
  type === "KeyProbed" || type === "KeyHealthChanged" || type === "SecretShredded";
