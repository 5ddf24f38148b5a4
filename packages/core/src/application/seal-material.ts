import type { KeyAdded, KeyRotated, KeyringEvent } from "../domain/events.ts";
import type { Secret } from "../domain/secret.ts";
import { type Owner, ownerName } from "../domain/vocabulary.ts";
import type { SecretRef, SecretStore } from "../ports/secret-store.ts";
import type { Envelope } from "./envelope.ts";
import type { Staging } from "./handle-command.ts";

/**
 * Seals the material of one command under the key id that was decided, and stores it before the event that names it.
 * After a lost race the record is kept if the decision names the same one, else dropped and sealed anew.
 */
export function stageMaterial(
  { secrets, envelope }: { secrets: SecretStore; envelope: Envelope },
  owner: Owner,
  provider: string,
  material: Secret,
): Staging {
  let staged: SecretRef | undefined;
  const drop = async (events: readonly KeyringEvent[]): Promise<void> => {
    const ref = staged;
    staged = undefined;
    // What cannot be dropped now is dropped by the collector.
    if (ref && !isNamed(ref, materialIn(events))) await secrets.shred(ref).catch(() => {});
  };
  return {
    drop,
    async put(events) {
      const named = materialIn(events);
      if (staged && isNamed(staged, named)) return;
      await drop(events);
      if (!named) return;
      const { keyId, secretVersion } = named;
      const ref: SecretRef = { owner: ownerName(owner), keyId, secretVersion };
      const sealing = material.use((bytes) => envelope.seal(ref, provider, bytes));
      await secrets.put(ref, await sealing);
      staged = ref;
    },
  };
}

const materialIn = (events: readonly KeyringEvent[]): KeyAdded | KeyRotated | undefined =>
  events.find((event) => event.type === "KeyAdded" || event.type === "KeyRotated");

const isNamed = (ref: SecretRef, named: KeyAdded | KeyRotated | undefined): boolean =>
  ref.keyId === named?.keyId && ref.secretVersion === named.secretVersion;

/** Secret versions that no event names as current any more after these events. */
export function releasedBy(owner: Owner, events: readonly KeyringEvent[]): readonly SecretRef[] {
  return events.flatMap((event) => {
    if (event.type === "KeyDeleted") {
      return [{ owner: ownerName(owner), keyId: event.keyId, secretVersion: event.secretVersion }];
    }
    if (event.type === "KeyRotated") {
      return [
        { owner: ownerName(owner), keyId: event.keyId, secretVersion: event.supersededVersion },
      ];
    }
    return [];
  });
}
