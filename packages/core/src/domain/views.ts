import type { KeyHealth, KeyMetadata, KeyringEvent, ProbeVerdict } from "./events.ts";
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
