import type {
  AccessEvent,
  AllowList,
  CallerKeyEvent,
  KeyMetadata,
  KeyringEvent,
  LedgerEvent,
} from "../domain/events.ts";
import {
  type Owner,
  type OwnerName,
  ownerName,
  parseOwnerName,
  type Role,
} from "../domain/vocabulary.ts";
import { Corrupted } from "../ports/faults.ts";

/**
 * Stored JSON ⇄ event. This file alone knows how events are stored, and holds every upcast there will ever be: a shape
 * that was stored once is read for ever (`test/history` keeps one of each).
 *
 * What is written is canonical JSON (see `canonicalJson`), made the quick way: each literal below names its members in
 * sorted order, and members left `undefined` are not written.
 */
export const SCHEMA_VERSION = 1;

/** The data of an event as canonical JSON text. */
export const encodeData = (event: LedgerEvent): string => JSON.stringify(dataOf(event));

function dataOf(event: LedgerEvent): object {
  switch (event.type) {
    case "KeyAdded":
      return {
        allowedCallerKeys: event.allowedCallerKeys,
        allowedModels: event.allowedModels,
        allowedUsers: event.allowedUsers,
        byokOnly: event.byokOnly,
        declaredZdr: event.declaredZdr,
        disabled: event.disabled,
        expiresAt: event.expiresAt,
        fallback: event.fallback,
        fingerprint: event.fingerprint,
        keyId: event.keyId,
        label: event.label,
        location: event.location,
        name: event.name,
        provider: event.provider,
        requiredForItsModels: event.requiredForItsModels,
        secretVersion: event.secretVersion,
        sortOrder: event.sortOrder,
        workspaceId: event.workspaceId,
      };
    case "KeyRotated":
      return {
        expiresAt: event.expiresAt,
        fingerprint: event.fingerprint,
        keyId: event.keyId,
        label: event.label,
        location: event.location,
        secretVersion: event.secretVersion,
        supersededVersion: event.supersededVersion,
      };
    case "KeyUpdated":
      return { changes: changesOf(event.changes), keyId: event.keyId };
    case "KeyDeleted":
      return { because: event.because, keyId: event.keyId, secretVersion: event.secretVersion };
    case "KeyProbed":
      return {
        code: event.code,
        keyId: event.keyId,
        outcome: event.outcome,
        secretVersion: event.secretVersion,
      };
    case "KeyHealthChanged":
      return { because: event.because, health: event.health, keyId: event.keyId };
    case "ModeSet":
      return { because: event.because, mode: event.mode };
    case "EntitlementSet":
      return { byok: event.byok };
    case "SecretShredded":
      return {
        keyId: event.keyId,
        method: event.method,
        secretVersion: event.secretVersion,
        store: event.store,
      };
    case "ApiKeyIssued":
      return {
        callerKeyId: event.callerKeyId,
        expiresAt: event.expiresAt,
        label: event.label,
        mac: event.mac,
        owner: event.owner && `${event.owner.kind}.${event.owner.id}`,
        role: event.role,
      };
    case "ApiKeyRevoked":
      return { callerKeyId: event.callerKeyId };
    case "AccessGranted":
    case "AccessRefused":
      return {
        callerKey: event.callerKey,
        keyId: event.keyId,
        leaseSeconds: event.leaseSeconds,
        model: event.model,
        owner: event.owner,
        provider: event.provider,
        purpose: event.purpose,
        reason: event.reason,
        revisionSeen: event.revisionSeen,
        secretVersion: event.secretVersion,
        service: event.service,
        source: event.source,
        userId: event.userId,
        workspaceId: event.workspaceId,
      };
  }
}

const changesOf = (changes: Partial<KeyMetadata>): object => ({
  allowedCallerKeys: changes.allowedCallerKeys,
  allowedModels: changes.allowedModels,
  allowedUsers: changes.allowedUsers,
  byokOnly: changes.byokOnly,
  declaredZdr: changes.declaredZdr,
  disabled: changes.disabled,
  expiresAt: changes.expiresAt,
  fallback: changes.fallback,
  location: changes.location,
  name: changes.name,
  requiredForItsModels: changes.requiredForItsModels,
  sortOrder: changes.sortOrder,
});

/** @throws {Corrupted} where the text is not what some release of Keyledger stored under this type. */
export function decodeData(type: string, data: string): LedgerEvent {
  let stored: unknown;
  try {
    stored = JSON.parse(data);
  } catch {
    throw new Corrupted(`the data of a stored ${type} event is not JSON`);
  }
  const read = new Reader(type, stored);
  switch (type) {
    case "KeyAdded":
      return {
        type,
        keyId: read.text("keyId"),
        provider: read.text("provider"),
        secretVersion: read.text("secretVersion"),
        fingerprint: read.text("fingerprint"),
        label: read.text("label"),
        workspaceId: read.textOrNull("workspaceId"),
        name: read.textOrNull("name"),
        location: read.textOrNull("location"),
        sortOrder: read.integer("sortOrder"),
        fallback: read.flag("fallback"),
        disabled: read.flag("disabled"),
        allowedModels: read.list("allowedModels"),
        allowedUsers: read.list("allowedUsers"),
        allowedCallerKeys: read.list("allowedCallerKeys"),
        requiredForItsModels: read.flag("requiredForItsModels"),
        byokOnly: read.flag("byokOnly"),
        declaredZdr: read.flagOrNull("declaredZdr"),
        expiresAt: read.textOrNull("expiresAt"),
      };
    case "KeyRotated":
      return {
        type,
        keyId: read.text("keyId"),
        secretVersion: read.text("secretVersion"),
        supersededVersion: read.text("supersededVersion"),
        fingerprint: read.text("fingerprint"),
        label: read.text("label"),
        location: read.textOrNull("location"),
        expiresAt: read.textOrNull("expiresAt"),
      };
    case "KeyUpdated":
      return { type, keyId: read.text("keyId"), changes: decodeChanges(read.nested("changes")) };
    case "KeyDeleted":
      return {
        type,
        keyId: read.text("keyId"),
        secretVersion: read.text("secretVersion"),
        because: read.oneOf("because", ["requested", "keyring-closed"]),
      };
    case "KeyProbed":
      return {
        type,
        keyId: read.text("keyId"),
        secretVersion: read.text("secretVersion"),
        outcome: read.oneOf("outcome", ["valid", "rejected", "indeterminate"]),
        code: read.text("code"),
      };
    case "KeyHealthChanged":
      return {
        type,
        keyId: read.text("keyId"),
        health: read.oneOf("health", ["unprobed", "valid", "rejected", "pending", "quarantined"]),
        because: read.text("because"),
      };
    case "ModeSet":
      return {
        type,
        mode: read.oneOf("mode", ["neo", "byok"]),
        because: read.oneOf("because", ["requested", "last-key-gone"]),
      };
    case "EntitlementSet":
      return { type, byok: read.oneOf("byok", ["on", "off"]) };
    case "SecretShredded":
      return {
        type,
        keyId: read.text("keyId"),
        secretVersion: read.text("secretVersion"),
        store: read.text("store"),
        method: read.text("method"),
      };
    case "ApiKeyIssued":
      return {
        type,
        callerKeyId: read.text("callerKeyId"),
        owner: read.ownerOrNull("owner"),
        role: read.oneOf("role", ROLES),
        mac: read.text("mac"),
        label: read.text("label"),
        expiresAt: read.textOrNull("expiresAt"),
      };
    case "ApiKeyRevoked":
      return { type, callerKeyId: read.text("callerKeyId") };
    case "AccessGranted":
    case "AccessRefused":
      return {
        type,
        owner: read.ownerNameOrNull("owner"),
        provider: read.text("provider"),
        model: read.textOrNull("model"),
        userId: read.textOrNull("userId"),
        callerKey: read.textOrNull("callerKey"),
        workspaceId: read.textOrNull("workspaceId"),
        purpose: read.text("purpose"),
        service: read.text("service"),
        source: read.oneOfOrNull("source", ["byok", "neo"]),
        keyId: read.textOrNull("keyId"),
        secretVersion: read.textOrNull("secretVersion"),
        reason: read.text("reason"),
        revisionSeen: read.integerOrNull("revisionSeen"),
        leaseSeconds: read.integerOrNull("leaseSeconds"),
      };
    default:
      throw new Corrupted(
        `a stored event has the type ${JSON.stringify(type)}, which this release does not know`,
      );
  }
}

const ROLES = [
  "user",
  "team-admin",
  "team-member",
  "team-viewer",
  "organization-admin",
  "service",
  "auditor",
  "operator",
] as const satisfies readonly Role[];

function decodeChanges(read: Reader): Partial<KeyMetadata> {
  return {
    ...(read.has("allowedCallerKeys") && { allowedCallerKeys: read.list("allowedCallerKeys") }),
    ...(read.has("allowedModels") && { allowedModels: read.list("allowedModels") }),
    ...(read.has("allowedUsers") && { allowedUsers: read.list("allowedUsers") }),
    ...(read.has("byokOnly") && { byokOnly: read.flag("byokOnly") }),
    ...(read.has("declaredZdr") && { declaredZdr: read.flagOrNull("declaredZdr") }),
    ...(read.has("disabled") && { disabled: read.flag("disabled") }),
    ...(read.has("expiresAt") && { expiresAt: read.textOrNull("expiresAt") }),
    ...(read.has("fallback") && { fallback: read.flag("fallback") }),
    ...(read.has("location") && { location: read.textOrNull("location") }),
    ...(read.has("name") && { name: read.textOrNull("name") }),
    ...(read.has("requiredForItsModels") && {
      requiredForItsModels: read.flag("requiredForItsModels"),
    }),
    ...(read.has("sortOrder") && { sortOrder: read.integer("sortOrder") }),
  };
}

/** @throws {Corrupted} where the event is none of a keyring. */
export function decodeKeyringEvent(type: string, data: string): KeyringEvent {
  const event = decodeData(type, data);
  if (isCallerKeyEvent(event) || isAccessEvent(event)) {
    throw new Corrupted(`a ${type} event stands in a keyring's stream`);
  }
  return event;
}

export const isCallerKeyEvent = (event: LedgerEvent): event is CallerKeyEvent =>
  event.type === "ApiKeyIssued" || event.type === "ApiKeyRevoked";

const isAccessEvent = (event: LedgerEvent): event is AccessEvent =>
  event.type === "AccessGranted" || event.type === "AccessRefused";

/** Takes typed members out of stored JSON. */
class Reader {
  readonly #type: string;
  readonly #stored: Readonly<Record<string, unknown>>;

  constructor(type: string, stored: unknown) {
    this.#type = type;
    if (typeof stored !== "object" || stored === null || Array.isArray(stored))
      throw this.#wrong("data");
    this.#stored = stored as Readonly<Record<string, unknown>>;
  }

  #wrong(name: string): Corrupted {
    return new Corrupted(
      `the member ${name} of a stored ${this.#type} event is not what it should be`,
    );
  }

  has(name: string): boolean {
    return this.#stored[name] !== undefined;
  }

  text(name: string): string {
    const value = this.#stored[name];
    if (typeof value !== "string") throw this.#wrong(name);
    return value;
  }

  textOrNull(name: string): string | null {
    return this.#stored[name] === null ? null : this.text(name);
  }

  integer(name: string): number {
    const value = this.#stored[name];
    if (typeof value !== "number" || !Number.isSafeInteger(value)) throw this.#wrong(name);
    return value;
  }

  integerOrNull(name: string): number | null {
    return this.#stored[name] === null ? null : this.integer(name);
  }

  flag(name: string): boolean {
    const value = this.#stored[name];
    if (typeof value !== "boolean") throw this.#wrong(name);
    return value;
  }

  flagOrNull(name: string): boolean | null {
    return this.#stored[name] === null ? null : this.flag(name);
  }

  list(name: string): AllowList {
    const value = this.#stored[name];
    if (value === null) return null;
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
      throw this.#wrong(name);
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = allowed.find((known) => known === this.#stored[name]);
    if (value === undefined) throw this.#wrong(name);
    return value;
  }

  oneOfOrNull<T extends string>(name: string, allowed: readonly T[]): T | null {
    return this.#stored[name] === null ? null : this.oneOf(name, allowed);
  }

  ownerOrNull(name: string): Owner | null {
    const text = this.textOrNull(name);
    if (text === null) return null;
    const owner = parseOwnerName(text);
    if (!owner) throw this.#wrong(name);
    return owner;
  }

  ownerNameOrNull(name: string): OwnerName | null {
    const owner = this.ownerOrNull(name);
    return owner && ownerName(owner);
  }

  nested(name: string): Reader {
    return new Reader(this.#type, this.#stored[name]);
  }
}
