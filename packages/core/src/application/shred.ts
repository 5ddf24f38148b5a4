import type { Host } from "../ports/host.ts";
import type { SecretRef, SecretStore } from "../ports/secret-store.ts";
import { Canceller } from "./canceller.ts";

/** How long an acknowledgement waits for the wipe before it says that it is pending, in milliseconds. */
const WIPE_WAIT_MS = 500;

/** Destroys the material of versions that no event names as current any more. */
export interface Shredder {
  /** @returns whether the wipe is still pending; the reaper then finishes it. */
  shred(refs: readonly SecretRef[]): Promise<boolean>;
}

/** @param wake tells the reaper that there is evidence to record, or a wipe to finish. */
export function createShredder({
  secrets,
  host,
  forget,
  wake,
}: {
  secrets: SecretStore;
  host: Host;
  /** Wipes what is kept in memory of a version. */
  forget: (ref: SecretRef) => void;
  wake: () => void;
}): Shredder {
  return {
    async shred(refs) {
      if (refs.length === 0) return false;
      for (const ref of refs) forget(ref);
      // Again behind the wipe: until then, whoever had chosen the key before could still fetch it.
      const wipe = (ref: SecretRef) => secrets.shred(ref).finally(() => forget(ref));
      const wiped = Promise.all(refs.map(wipe)).then(
        () => false,
        () => true,
      );
      const patience = new Canceller();
      const isLate = host.pause(WIPE_WAIT_MS, patience).then(() => true);
      const isPending = await Promise.race([wiped, isLate]);
      patience.cancel();
      wake();
      return isPending;
    },
  };
}
