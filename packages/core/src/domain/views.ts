import type { KeyHealth, KeyMetadata, KeyRotated, KeyringEvent, ProbeVerdict } from "./events.ts";
import { isBackground } from "./events.ts";
import type {
  Entitlement,
  Instant,
  Mode,
  Owner,
  Position,
  Revision,
  Role,
  Uuid,
} from "./vocabulary.ts";

/** A provider key as everybody sees it. */
export interface KeyView extends KeyMetadata {
  readonly keyId: Uuid;
  readonly provider: string;
  readonly secretVersion: Uuid;
  readonly fingerprint: string;
  readonly label: string;
  readonly workspaceId: Uuid | null;
  /** The last definitive probe of this secret version said valid. */
  readonly isValidated: boolean;
  /** Of this secret version; `null` = nobody asked. */
  readonly lastProbe: { readonly outcome: ProbeVerdict; readonly code: string } | null;
  readonly health: KeyHealth;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

/** A secret version whose material must go, and whose end is not on record yet. */
export interface PendingShred {
  readonly keyId: Uuid;
  readonly secretVersion: Uuid;
}

/** One owner's keyring, as decided on and as shown. */
export interface KeyringView {
  readonly owner: Owner;
  readonly keys: ReadonlyMap<Uuid, KeyView>;
  /** As last set; `shownMode` is what counts. */
  readonly mode: Mode;
  readonly entitlement: Entitlement | null;
  readonly pendingShreds: readonly PendingShred[];
  /** Of the stream's last event; `null` = no event yet. */
  readonly revision: Revision | null;
  /** Of the last event that is not background work. */
  readonly editRevision: Revision | null;
  /** Of the stream's last event; `null` = no event yet. */
  readonly position: Position | null;
}

export const emptyKeyringView = (owner: Owner): KeyringView => ({
  owner,
  keys: new Map(),
  mode: "neo",
  entitlement: null,
  pendingShreds: [],
  revision: null,
  editRevision: null,
  position: null,
});

/** Where and when an event happened, as far as the views need to know. */
export interface Occurrence {
  readonly revision: Revision;
  readonly position: Position;
  readonly time: Instant;
}

/** The fold behind every view of a keyring, the decider's state among them. */
export function project(view: KeyringView, event: KeyringEvent, at: Occurrence): KeyringView {
  return {
    ...change(view, event, at.time),
    revision: at.revision,
    editRevision: isBackground(event.type) ? view.editRevision : at.revision,
    position: at.position,
  };
}

function change(view: KeyringView, event: KeyringEvent, time: Instant): KeyringView {
  switch (event.type) {
    case "KeyAdded": {
      const { type: _type, ...fields } = event;
      return withKey(view, {
        ...fields,
        isValidated: false,
        lastProbe: null,
        health: "unprobed",
        createdAt: time,
        updatedAt: time,
      });
    }
    case "KeyRotated":
      return onKey(
        { ...view, pendingShreds: pendingWith(view, superseded(event)) },
        event.keyId,
        (key) => ({
          ...key,
          secretVersion: event.secretVersion,
          fingerprint: event.fingerprint,
          label: event.label,
          location: event.location,
          expiresAt: event.expiresAt,
          isValidated: false,
          lastProbe: null,
          health: "unprobed",
          updatedAt: time,
        }),
      );
    case "KeyUpdated":
      return onKey(view, event.keyId, (key) => ({ ...key, ...event.changes, updatedAt: time }));
    case "KeyDeleted": {
      const keys = new Map(view.keys);
      keys.delete(event.keyId);
      return { ...view, keys, pendingShreds: pendingWith(view, event) };
    }
    case "KeyProbed":
      return onKey(view, event.keyId, (key) =>
        key.secretVersion === event.secretVersion
          ? {
              ...key,
              lastProbe: { outcome: event.outcome, code: event.code },
              isValidated:
                event.outcome === "indeterminate" ? key.isValidated : event.outcome === "valid",
              health: key.health === "quarantined" ? key.health : healthAfter(key, event.outcome),
            }
          : key,
      );
    case "KeyHealthChanged":
      return onKey(view, event.keyId, (key) => ({ ...key, health: event.health }));
    case "ModeSet":
      return { ...view, mode: event.mode };
    case "EntitlementSet":
      return { ...view, entitlement: event.byok };
    case "SecretShredded":
      return {
        ...view,
        pendingShreds: view.pendingShreds.filter(
          ({ secretVersion }) => secretVersion !== event.secretVersion,
        ),
      };
  }
}

function healthAfter(key: KeyView, outcome: ProbeVerdict): KeyHealth {
  if (outcome !== "indeterminate") return outcome;
  return key.health === "unprobed" ? "pending" : key.health;
}

const superseded = ({ keyId, supersededVersion }: KeyRotated): PendingShred => ({
  keyId,
  secretVersion: supersededVersion,
});

const pendingWith = (view: KeyringView, { keyId, secretVersion }: PendingShred) => [
  ...view.pendingShreds,
  { keyId, secretVersion },
];

function withKey(view: KeyringView, key: KeyView): KeyringView {
  return { ...view, keys: new Map(view.keys).set(key.keyId, key) };
}

function onKey(view: KeyringView, keyId: Uuid, update: (key: KeyView) => KeyView): KeyringView {
  const key = view.keys.get(keyId);
  return key ? withKey(view, update(key)) : view;
}

/** Keys that count for the mode: not disabled. Expiry, quarantine and allow-lists do not matter here. */
export function enabledCount(view: KeyringView): number {
  let count = 0;
  for (const key of view.keys.values()) if (!key.disabled) count++;
  return count;
}

/** `byok` never without an enabled key, whatever the log says. */
export const shownMode = (view: KeyringView): Mode =>
  view.mode === "byok" && enabledCount(view) > 0 ? "byok" : "neo";

/** The mode that takes effect behind the feature gate. */
export const effectiveMode = (view: KeyringView, gateOpen: boolean): Mode =>
  gateOpen ? shownMode(view) : "neo";

/** Order within a group, and between groups by provider and fallback. */
export function compareKeys(a: KeyView, b: KeyView): number {
  return (
    compareText(a.provider, b.provider) ||
    Number(a.fallback) - Number(b.fallback) ||
    a.sortOrder - b.sortOrder ||
    compareText(a.createdAt, b.createdAt) ||
    compareText(a.keyId, b.keyId)
  );
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const sortedKeys = (view: KeyringView): readonly KeyView[] =>
  view.keys.size > 1 ? [...view.keys.values()].sort(compareKeys) : [...view.keys.values()];

/** A provider's primary: the first non-fallback key that is bound to no workspace, disabled or not. */
export function primaryOf(view: KeyringView, provider: string): KeyView | undefined {
  let first: KeyView | undefined;
  for (const key of view.keys.values()) {
    if (key.provider !== provider || key.fallback || key.workspaceId !== null) continue;
    if (!first || compareKeys(key, first) < 0) first = key;
  }
  return first;
}

/** A caller key, without its text. */
export interface CallerKeyView {
  readonly callerKeyId: Uuid;
  readonly owner: Owner | null;
  readonly role: Role;
  readonly mac: string;
  readonly label: string;
  readonly issuedAt: Instant;
  readonly expiresAt: Instant | null;
  readonly revokedAt: Instant | null;
  readonly revision: Revision;
  readonly position: Position;
}
