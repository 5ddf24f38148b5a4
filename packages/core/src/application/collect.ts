import type { KeyringView } from "../domain/views.ts";
import { parseOwnerName, secondsAfter } from "../domain/vocabulary.ts";
import { Corrupted, Fault } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { ReadModels } from "../ports/read-models.ts";
import type { SecretRef, SecretStore } from "../ports/secret-store.ts";
import type { KeyringLoader } from "./load-keyring.ts";

/** Records younger than this may still be named by a command that is under way, in seconds. */
const STAGED_AGE_S = 15 * 60;
const COLLECT_EVERY_MS = 60_000;
const SCAN_PAGE = 500;

/** Drops staged records that no event came to name: what a crash between sealing and appending left. */
export function createCollector({
  loader,
  isFresh,
  models,
  secrets,
  host,
}: {
  loader: Pick<KeyringLoader, "read">;
  /** The views are at the end of the log. */
  isFresh: () => boolean;
  models: ReadModels;
  secrets: SecretStore;
  host: Host;
}): { collect(signal: CancelSignal): Promise<number>; run(signal: CancelSignal): Promise<void> } {
  /** By the views first, then by the log itself: what was shredded cannot be brought back. */
  async function isOrphan(ref: SecretRef): Promise<boolean> {
    const owner = parseOwnerName(ref.owner);
    if (!owner || isNamed(models.keyring(owner), ref)) return false;
    try {
      return !isNamed((await loader.read(owner)).view, ref);
    } catch (error) {
      // A stream that cannot be read says nothing; its records stay, and those of others are looked at.
      if (error instanceof Corrupted) return false;
      throw error;
    }
  }

  /** Candidates by the views, each then checked against the log itself. Answers how many were dropped. */
  async function collect(signal: CancelSignal): Promise<number> {
    if (!isFresh()) return 0;
    const before = secondsAfter(host.clock.now(), -STAGED_AGE_S);
    let dropped = 0;
    for (let cursor: string | null = ""; cursor !== null && !signal.aborted; ) {
      const page: Awaited<ReturnType<SecretStore["scan"]>> = await secrets.scan({
        cursor,
        limit: SCAN_PAGE,
      });
      for (const { ref, createdAt } of page.records) {
        if (createdAt >= before || !(await isOrphan(ref))) continue;
        await secrets.shred(ref);
        dropped++;
      }
      cursor = page.next;
    }
    return dropped;
  }

  return {
    collect,
    async run(signal) {
      while (!signal.aborted) {
        try {
          await collect(signal);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
        }
        await host.pause(COLLECT_EVERY_MS, signal);
      }
    },
  };
}

const isNamed = (view: KeyringView | undefined, { keyId, secretVersion }: SecretRef): boolean =>
  view?.keys.get(keyId)?.secretVersion === secretVersion;
