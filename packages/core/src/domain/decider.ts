import type {
  CreateKey,
  DeleteKey,
  KeyringCommand,
  ProbeFinding,
  UpdateKey,
  UpsertKey,
} from "./commands.ts";
import type { KeyAdded, KeyMetadata, KeyringEvent, KeyUpdated } from "./events.ts";
import { invalid, type Rejection } from "./rejection.ts";
import { enabledCount, type KeyringView, type KeyView, primaryOf } from "./views.ts";

/** No legitimate owner comes near this, and it bounds what one answer and one decision cost. */
export const KEYS_PER_KEYRING_MAX = 500;

/**
 * What a command comes to: events to append (none = nothing to change), or a rejection. With both, the events are
 * appended and the rejection is the answer: a stored key that its provider refuses now is kept, and the refusal recorded.
 */
export type Decision =
  | { readonly accepted: readonly KeyringEvent[]; readonly refusal?: Rejection }
  | { readonly rejected: Rejection };

const accept = (...events: KeyringEvent[]): Decision => ({ accepted: events });
const reject = (rejection: Rejection): Decision => ({ rejected: rejection });

/** The business rules. Pure: the same command on the same keyring always decides the same. */
export function decide(command: KeyringCommand, keyring: KeyringView): Decision {
  switch (command.type) {
    case "UpsertKey":
      return upsertKey(command, keyring);
    case "CreateKey":
      return createKey(command, keyring);
    case "UpdateKey":
      return updateKey(command, keyring);
    case "DeleteKey":
      return deleteKey(command, keyring);
    case "SetMode":
      if (command.mode === "byok" && enabledCount(keyring) === 0) {
        return reject({ reason: "no-keys-for-byok" });
      }
      if (command.mode === keyring.mode) return accept();
      return accept({ type: "ModeSet", mode: command.mode, because: "requested" });
    case "SetEntitlement":
      if (command.byok === keyring.entitlement) return accept();
      return accept({ type: "EntitlementSet", byok: command.byok });
    case "RecordShred": {
      const { secretVersion, store, method } = command;
      const pending = keyring.pendingShreds.find((shred) => shred.secretVersion === secretVersion);
      if (!pending) return accept();
      return accept({ type: "SecretShredded", keyId: pending.keyId, secretVersion, store, method });
    }
  }
}

function upsertKey(command: UpsertKey, keyring: KeyringView): Decision {
  const primary = primaryOf(keyring, command.provider);
  if (primary) {
    const changes = command.name === undefined ? {} : { name: command.name };
    return replaceMaterial(keyring, primary, command, changes);
  }
  if (command.refusal) return reject(command.refusal);
  const { material } = command;
  return addKey(keyring, command, {
    workspaceId: null,
    name: command.name ?? null,
    fallback: false,
    disabled: false,
    allowedModels: null,
    allowedUsers: null,
    allowedCallerKeys: null,
    requiredForItsModels: false,
    byokOnly: false,
    declaredZdr: null,
    expiresAt: material.expiresAt,
  });
}

function createKey(command: CreateKey, keyring: KeyringView): Decision {
  const { metadata, workspaceId, material } = command;
  if (metadata.byokOnly && metadata.fallback) return reject(byokOnlyFallback);
  if (command.refusal) return reject(command.refusal);
  const expiresAt = metadata.expiresAt ?? material.expiresAt;
  return addKey(keyring, command, { ...metadata, workspaceId, expiresAt });
}

const byokOnlyFallback = invalid("byok_only", "cannot be set on a fallback key");

function addKey(
  keyring: KeyringView,
  { provider, newKeyId, material, probe }: UpsertKey | CreateKey,
  fields: Omit<KeyMetadata, "sortOrder" | "location"> & Pick<KeyAdded, "workspaceId">,
): Decision {
  if (keyring.keys.size >= KEYS_PER_KEYRING_MAX) return reject({ reason: "too-many-keys" });
  const { secretVersion, fingerprint, label, location } = material;
  const added: KeyringEvent = {
    type: "KeyAdded",
    keyId: newKeyId,
    provider,
    secretVersion,
    fingerprint,
    label,
    location,
    sortOrder: endOfGroup(keyring, provider, fields.fallback),
    ...fields,
  };
  return accept(added, ...probed({ keyId: newKeyId, secretVersion, lastProbe: null }, probe));
}

function updateKey(command: UpdateKey, keyring: KeyringView): Decision {
  const key = keyring.keys.get(command.keyId);
  if (!key) return reject({ reason: "key-not-found" });
  const fallback = command.changes.fallback ?? key.fallback;
  if (fallback && (command.changes.byokOnly ?? key.byokOnly)) return reject(byokOnlyFallback);
  const moved =
    fallback !== key.fallback && command.changes.sortOrder === undefined
      ? { sortOrder: endOfGroup(keyring, key.provider, fallback) }
      : {};
  const changes = { ...command.changes, ...moved };
  if (command.rotation) return replaceMaterial(keyring, key, command.rotation, changes);
  return accept(...updated(keyring, key, changes));
}

/** The same secret again only updates; another one rotates. */
function replaceMaterial(
  keyring: KeyringView,
  key: KeyView,
  { material, probe, refusal }: Pick<UpsertKey, "material" | "probe" | "refusal">,
  asked: Partial<KeyMetadata>,
): Decision {
  const { keyId } = key;
  const isSame = key.fingerprint === material.fingerprint;
  if (refusal) {
    if (!isSame || probe?.outcome !== "rejected") return reject(refusal);
    return { accepted: probed(key, probe), refusal };
  }
  if (isSame) {
    const { location, expiresAt } = material;
    const known = expiresAt === null ? {} : { expiresAt };
    const events = updated(keyring, key, { location, ...known, ...asked });
    return accept(...events, ...probed(key, probe));
  }
  const { secretVersion } = material;
  const rotated: KeyringEvent = {
    type: "KeyRotated",
    keyId,
    secretVersion,
    supersededVersion: key.secretVersion,
    fingerprint: material.fingerprint,
    label: material.label,
    location: material.location,
    expiresAt: asked.expiresAt === undefined ? material.expiresAt : asked.expiresAt,
  };
  const { location: _location, expiresAt: _expiresAt, ...others } = asked;
  return accept(
    rotated,
    ...updated(keyring, key, others),
    ...probed({ keyId, secretVersion, lastProbe: null }, probe),
  );
}

function deleteKey({ target }: DeleteKey, keyring: KeyringView): Decision {
  const key =
    "keyId" in target ? keyring.keys.get(target.keyId) : primaryOf(keyring, target.soleKeyOf);
  if (!key) return reject({ reason: "key-not-found" });
  if ("soleKeyOf" in target && hasOtherKeys(keyring, key))
    return reject({ reason: "other-keys-exist" });
  const { keyId, secretVersion } = key;
  return accept(
    { type: "KeyDeleted", keyId, secretVersion, because: "requested" },
    ...modeWithout(keyring, key),
  );
}

function hasOtherKeys(keyring: KeyringView, key: KeyView): boolean {
  for (const other of keyring.keys.values()) {
    if (other.provider === key.provider && other.keyId !== key.keyId) return true;
  }
  return false;
}

/** The switch to neo that goes into the same append as the end of the last enabled key. */
function modeWithout(keyring: KeyringView, key: KeyView): readonly KeyringEvent[] {
  const isLastEnabled = !key.disabled && enabledCount(keyring) === 1;
  if (keyring.mode !== "byok" || !isLastEnabled) return [];
  return [{ type: "ModeSet", mode: "neo", because: "last-key-gone" }];
}

/** The changes that really change something, and the switch to neo if this disables the last enabled key. */
function updated(
  keyring: KeyringView,
  key: KeyView,
  asked: Partial<KeyMetadata>,
): readonly KeyringEvent[] {
  const entries = Object.entries(asked) as [keyof KeyMetadata, KeyMetadata[keyof KeyMetadata]][];
  const changed = entries.filter(
    ([name, value]) => value !== undefined && !isEqual(key[name], value),
  );
  if (changed.length === 0) return [];
  const changes: KeyUpdated["changes"] = Object.fromEntries(changed);
  const update: KeyringEvent = { type: "KeyUpdated", keyId: key.keyId, changes };
  return changes.disabled === true ? [update, ...modeWithout(keyring, key)] : [update];
}

function isEqual(a: KeyMetadata[keyof KeyMetadata], b: KeyMetadata[keyof KeyMetadata]): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function probed(
  key: Pick<KeyView, "keyId" | "secretVersion" | "lastProbe">,
  probe: ProbeFinding | null,
): readonly KeyringEvent[] {
  if (!probe) return [];
  const { keyId, secretVersion, lastProbe } = key;
  const { outcome, code } = probe;
  if (lastProbe?.outcome === outcome && lastProbe.code === code) return [];
  return [{ type: "KeyProbed", keyId, secretVersion, outcome, code }];
}

function endOfGroup(keyring: KeyringView, provider: string, fallback: boolean): number {
  let end = 0;
  for (const key of keyring.keys.values()) {
    if (key.provider === provider && key.fallback === fallback && key.sortOrder >= end) {
      end = key.sortOrder + 1;
    }
  }
  return end;
}
