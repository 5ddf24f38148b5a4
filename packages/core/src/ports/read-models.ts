import type { CallerKeyView, KeyringView } from "../domain/views.ts";
import type { Owner, Position, Uuid } from "../domain/vocabulary.ts";

/** What one page of events changed. */
export interface ViewChanges {
  readonly keyrings: readonly KeyringView[];
  readonly callerKeys: readonly CallerKeyView[];
}

/**
 * The views: local to each process in both families, rebuildable from the log, so reading them is synchronous. What is
 * read is never newer or older than the checkpoint.
 */
export interface ReadModels {
  /** Position of the last event applied; `null` = none yet. */
  checkpoint(): Position | null;
  /** Replaces what changed and moves the checkpoint, in one transaction. */
  commit(changes: ViewChanges, checkpoint: Position): void;
  /** Forgets everything, checkpoint included. */
  reset(): void;
  /** @returns `undefined` where the owner has no event. Shared: nobody may change what it holds. */
  keyring(owner: Owner): KeyringView | undefined;
  callerKey(id: Uuid): CallerKeyView | undefined;
  /** Newest first, behind `before` (an id; `null` = from the newest), at most `limit`. */
  callerKeys(options: {
    owner: Owner | null;
    before: Uuid | null;
    limit: number;
  }): readonly CallerKeyView[];
  /** Owners with secret versions to shred, at most `limit`. */
  ownersWithPendingShreds(limit: number): readonly Owner[];
  /** Secret versions to shred, over all owners. */
  pendingShredCount(): number;
}
