import { expect } from "vitest";
import type {
  CreateKey,
  KeyringCommand,
  NewMaterial,
  ProbeFinding,
  UpdateKey,
  UpsertKey,
} from "./commands.ts";
import { decide } from "./decider.ts";
import type { KeyAdded, KeyDeleted, KeyMetadata, KeyringEvent } from "./events.ts";
import type { Rejection, RejectionReason } from "./rejection.ts";
import { emptyKeyringView, type KeyringView, project } from "./views.ts";
import { type Instant, type Owner, type Position, secondsAfter, type Uuid } from "./vocabulary.ts";

export const team: Owner = { kind: "team", id: "red" };

/** A UUID that is as good as its number is small: different numbers, different ids, and in their order. */
export const uuid = (number: number): Uuid =>
  `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;

let made = 0;
export const newUuid = (): Uuid => uuid(++made);

/** One event a second. */
export const timeAt = (revision: number): Instant =>
  secondsAfter("2026-01-01T00:00:00.000Z", revision);
export const positionAt = (revision: number): Position => revision.toString(16).padStart(16, "0");

/** The keyring that a history leaves. */
export const keyringAfter = (...history: readonly KeyringEvent[]): KeyringView =>
  history.reduce(
    (view, event, revision) =>
      project(view, event, {
        revision,
        position: positionAt(revision),
        time: timeAt(revision),
      }),
    emptyKeyringView(team),
  );

/** given(what happened).when(what is asked).records(what happens then). */
export const given = (...history: readonly KeyringEvent[]) => ({
  when: (command: KeyringCommand) => {
    const decision = decide(command, keyringAfter(...history));
    return {
      records: (...expected: readonly KeyringEvent[]) =>
        expect(decision).toStrictEqual({ accepted: expected }),
      rejects: (expected: RejectionReason | Rejection) =>
        expect(decision).toStrictEqual({
          rejected: typeof expected === "string" ? { reason: expected } : expected,
        }),
      /** The events are kept, and the answer is a refusal all the same. */
      refuses: (refusal: Rejection, ...recorded: readonly KeyringEvent[]) =>
        expect(decision).toStrictEqual({ accepted: recorded, refusal }),
    };
  },
});

export const metadata = (changes: Partial<KeyMetadata> = {}): KeyMetadata => ({
  name: null,
  location: null,
  sortOrder: 0,
  fallback: false,
  disabled: false,
  allowedModels: null,
  allowedUsers: null,
  allowedCallerKeys: null,
  requiredForItsModels: false,
  byokOnly: false,
  declaredZdr: null,
  expiresAt: null,
  ...changes,
});

export const keyAdded = (changes: Partial<KeyAdded> = {}): KeyAdded => ({
  type: "KeyAdded",
  keyId: newUuid(),
  provider: "openai",
  secretVersion: newUuid(),
  fingerprint: `root:${newUuid()}`,
  label: "sk-...abcd",
  workspaceId: null,
  ...metadata(),
  ...changes,
});

export const deletionOf = ({ keyId, secretVersion }: KeyAdded): KeyDeleted => ({
  type: "KeyDeleted",
  keyId,
  secretVersion,
  because: "requested",
});

export const byok = { type: "ModeSet", mode: "byok", because: "requested" } as const;
export const neo = { type: "ModeSet", mode: "neo", because: "requested" } as const;
export const lastKeyGone = { type: "ModeSet", mode: "neo", because: "last-key-gone" } as const;

export const newMaterial = (changes: Partial<NewMaterial> = {}): NewMaterial => ({
  secretVersion: newUuid(),
  fingerprint: `root:${newUuid()}`,
  label: "sk-...wxyz",
  location: null,
  expiresAt: null,
  ...changes,
});

/** The very secret that a key holds, given once more: only its version is new. */
export const sameMaterial = (key: KeyAdded, changes: Partial<NewMaterial> = {}): NewMaterial =>
  newMaterial({
    fingerprint: key.fingerprint,
    label: key.label,
    location: key.location,
    ...changes,
  });

export const valid: ProbeFinding = { outcome: "valid", code: "ok" };
export const refused: ProbeFinding = { outcome: "rejected", code: "invalid_api_key" };
export const unclear: ProbeFinding = { outcome: "indeterminate", code: "timeout" };

export const keyRejected: Rejection = { reason: "key-rejected", probeCode: "invalid_api_key" };

export const probed = (
  { keyId, secretVersion }: Pick<KeyAdded, "keyId" | "secretVersion">,
  finding: ProbeFinding,
): KeyringEvent => ({ type: "KeyProbed", keyId, secretVersion, ...finding });

export const upsert = (changes: Partial<UpsertKey> = {}): UpsertKey => ({
  type: "UpsertKey",
  provider: "openai",
  newKeyId: newUuid(),
  name: undefined,
  material: newMaterial(),
  probe: null,
  refusal: null,
  ...changes,
});

export const create = ({
  metadata: wished,
  ...changes
}: Partial<Omit<CreateKey, "metadata">> & {
  readonly metadata?: Partial<CreateKey["metadata"]>;
} = {}): CreateKey => {
  const { sortOrder: _sortOrder, location: _location, ...defaults } = metadata();
  return {
    type: "CreateKey",
    provider: "openai",
    newKeyId: newUuid(),
    workspaceId: null,
    material: newMaterial(),
    probe: null,
    refusal: null,
    metadata: { ...defaults, ...wished },
    ...changes,
  };
};

export const update = (
  { keyId }: Pick<KeyAdded, "keyId">,
  changes: Partial<KeyMetadata>,
  rotation: Partial<NonNullable<UpdateKey["rotation"]>> | null = null,
): UpdateKey => ({
  type: "UpdateKey",
  keyId,
  changes,
  rotation: rotation && { material: newMaterial(), probe: null, refusal: null, ...rotation },
});

export const updated = (
  { keyId }: Pick<KeyAdded, "keyId">,
  changes: Partial<KeyMetadata>,
): KeyringEvent => ({ type: "KeyUpdated", keyId, changes });

export const deleteById = ({ keyId }: Pick<KeyAdded, "keyId">): KeyringCommand => ({
  type: "DeleteKey",
  target: { keyId },
});

export const deleteSoleKeyOf = (provider: string): KeyringCommand => ({
  type: "DeleteKey",
  target: { soleKeyOf: provider },
});

export const setMode = (mode: "neo" | "byok"): KeyringCommand => ({ type: "SetMode", mode });

/** What an upsert or a creation must record for the key it makes. */
export const additionOf = (
  { provider, newKeyId, material }: UpsertKey | CreateKey,
  changes: Partial<KeyAdded> = {},
): KeyAdded => ({
  type: "KeyAdded",
  keyId: newKeyId,
  provider,
  secretVersion: material.secretVersion,
  fingerprint: material.fingerprint,
  label: material.label,
  workspaceId: null,
  ...metadata({ location: material.location, expiresAt: material.expiresAt }),
  ...changes,
});

/** What new material for a key must record. */
export const rotationOf = (
  key: Pick<KeyAdded, "keyId" | "secretVersion">,
  material: NewMaterial,
  changes: { readonly expiresAt?: Instant | null } = {},
): KeyringEvent => ({
  type: "KeyRotated",
  keyId: key.keyId,
  secretVersion: material.secretVersion,
  supersededVersion: key.secretVersion,
  fingerprint: material.fingerprint,
  label: material.label,
  location: material.location,
  expiresAt: material.expiresAt,
  ...changes,
});
