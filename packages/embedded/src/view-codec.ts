import type { CallerKeyView, KeyringView, KeyView, Owner } from "@keyledger/core";

/**
 * Views as JSON arrays: a third of the time and less than half of the bytes that objects take. Whatever changes here,
 * or in how events become views, makes the stored views worthless: raise `VIEW_SCHEMA` then.
 */

const keyFields = (key: KeyView) =>
  [
    key.keyId,
    key.provider,
    key.secretVersion,
    key.fingerprint,
    key.label,
    key.workspaceId,
    key.isValidated,
    key.lastProbe,
    key.health,
    key.createdAt,
    key.updatedAt,
    key.name,
    key.location,
    key.sortOrder,
    key.fallback,
    key.disabled,
    key.allowedModels,
    key.allowedUsers,
    key.allowedCallerKeys,
    key.requiredForItsModels,
    key.byokOnly,
    key.declaredZdr,
    key.expiresAt,
  ] as const;

export const encodeKey = (key: KeyView): string => JSON.stringify(keyFields(key));

/** @throws {SyntaxError} */
export const decodeKey = (document: string): KeyView => keyOf(JSON.parse(document) as KeyFields);

type KeyFields = ReturnType<typeof keyFields>;

function keyOf(fields: KeyFields): KeyView {
  const [
    keyId,
    provider,
    secretVersion,
    fingerprint,
    label,
    workspaceId,
    isValidated,
    lastProbe,
    health,
    createdAt,
    updatedAt,
    name,
    location,
    sortOrder,
    fallback,
    disabled,
    allowedModels,
    allowedUsers,
    allowedCallerKeys,
    requiredForItsModels,
    byokOnly,
    declaredZdr,
    expiresAt,
  ] = fields;
  return {
    keyId,
    provider,
    secretVersion,
    fingerprint,
    label,
    workspaceId,
    isValidated,
    lastProbe,
    health,
    createdAt,
    updatedAt,
    name,
    location,
    sortOrder,
    fallback,
    disabled,
    allowedModels,
    allowedUsers,
    allowedCallerKeys,
    requiredForItsModels,
    byokOnly,
    declaredZdr,
    expiresAt,
  };
}

/** With so many keys a keyring fits one page of the file; with more, each key has a row of its own. */
const INLINE_KEYS_MAX = 8;

/** Whether all keys are in the keyring's own document. */
export const isInline = ({ keys }: KeyringView): boolean => keys.size <= INLINE_KEYS_MAX;

const keyringFields = (view: KeyringView) =>
  [
    view.mode,
    view.entitlement,
    view.revision,
    view.editRevision,
    view.position,
    view.pendingShreds,
    isInline(view) ? inlineKeys(view) : null,
  ] as const;

function inlineKeys({ keys }: KeyringView): readonly KeyFields[] {
  const fields: KeyFields[] = [];
  for (const key of keys.values()) fields.push(keyFields(key));
  return fields;
}

export const encodeKeyring = (view: KeyringView): string => JSON.stringify(keyringFields(view));

/** @param keysApart called where the keys are not in the document. @throws {SyntaxError} */
export function decodeKeyring(
  owner: Owner,
  document: string,
  keysApart: () => readonly KeyView[],
): KeyringView {
  const [mode, entitlement, revision, editRevision, position, pendingShreds, inline] = JSON.parse(
    document,
  ) as ReturnType<typeof keyringFields>;
  const keys = inline?.map(keyOf) ?? keysApart();
  return {
    owner,
    keys: new Map(keys.map((key) => [key.keyId, key])),
    mode,
    entitlement,
    pendingShreds,
    revision,
    editRevision,
    position,
  };
}

const callerKeyFields = (key: CallerKeyView) =>
  [
    key.owner && ([key.owner.kind, key.owner.id] as const),
    key.role,
    key.mac,
    key.label,
    key.issuedAt,
    key.expiresAt,
    key.revokedAt,
    key.revision,
    key.position,
  ] as const;

export const encodeCallerKey = (key: CallerKeyView): string => JSON.stringify(callerKeyFields(key));

/** @throws {SyntaxError} */
export function decodeCallerKey(callerKeyId: string, document: string): CallerKeyView {
  const [holder, role, mac, label, issuedAt, expiresAt, revokedAt, revision, position] = JSON.parse(
    document,
  ) as ReturnType<typeof callerKeyFields>;
  const owner: Owner | null = holder && { kind: holder[0], id: holder[1] };
  return {
    callerKeyId,
    owner,
    role,
    mac,
    label,
    issuedAt,
    expiresAt,
    revokedAt,
    revision,
    position,
  };
}
