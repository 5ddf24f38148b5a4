import type { KeyringEvent } from "../domain/events.ts";
import { emptyKeyring, evolve, type Keyring } from "../domain/keyring.ts";
import { keyringStream, type Owner, ownerName, type Revision } from "../domain/vocabulary.ts";
import type { EventLog } from "../ports/event-log.ts";
import { happenedToKeyring } from "./happened.ts";
import { Recent } from "./recent.ts";

/** Keyrings kept in memory: some 10 KB each in practice, so some 50 MB at most. */
const KEPT_MAX = 5_000;
const PAGE = 500;

/** Loads what commands are decided on: a kept state, and what the log holds beyond it. */
export interface KeyringLoader {
  /** The keyring at the end of its stream. */
  load(owner: Owner): Promise<Keyring>;
  /** The same from the log alone, whatever is kept. */
  read(owner: Owner): Promise<Keyring>;
  /** Takes note of a state that is known to be in the log. */
  keep(keyring: Keyring): void;
  /** An append failed: what is kept may not be the end of the stream any more. */
  forget(owner: Owner): void;
  /** The keyring as it was before revision `first` and behind `last`, and the events between. */
  asOf(
    owner: Owner,
    first: Revision,
    last: Revision,
  ): Promise<{
    readonly before: Keyring;
    readonly keyring: Keyring;
    readonly events: readonly KeyringEvent[];
  }>;
}

export function createKeyringLoader(log: EventLog): KeyringLoader {
  const kept = new Recent<Keyring>(KEPT_MAX);
  // A load under way while an append failed may have read from before it.
  let failures = 0;

  /** A state never takes the place of a later one: two loads may end in any order. */
  const keep = (keyring: Keyring): void => {
    const name = ownerName(keyring.view.owner);
    const known = kept.get(name);
    if (known && revisionOf(known) > revisionOf(keyring)) return;
    kept.set(name, keyring);
  };

  async function readBeyond(known: Keyring): Promise<Keyring> {
    const stream = keyringStream(known.view.owner);
    for (let keyring = known; ; ) {
      const page = await log.readStream(stream, { from: revisionOf(keyring) + 1, limit: PAGE });
      keyring = page.map(happenedToKeyring).reduce(evolve, keyring);
      if (page.length < PAGE) return keyring;
    }
  }

  return {
    keep,
    forget(owner) {
      failures++;
      kept.delete(ownerName(owner));
    },

    read: (owner) => readBeyond(emptyKeyring(owner)),

    async load(owner) {
      const known = kept.get(ownerName(owner));
      if (known && log.isSoleWriter) return known;
      const before = failures;
      const keyring = await readBeyond(known ?? emptyKeyring(owner));
      if (failures === before) keep(keyring);
      return keyring;
    },

    async asOf(owner, first, last) {
      let keyring = emptyKeyring(owner);
      let before = keyring;
      const events: KeyringEvent[] = [];
      for (let from = 0; from <= last; ) {
        const limit = last - from + 1 < PAGE ? last - from + 1 : PAGE;
        const page = await log.readStream(keyringStream(owner), { from, limit });
        for (const recorded of page) {
          const next = happenedToKeyring(recorded);
          if (next.revision === first) before = keyring;
          keyring = evolve(keyring, next);
          if (next.revision >= first) events.push(next.event);
        }
        if (page.length === 0) break;
        from += page.length;
      }
      return { before, keyring, events };
    },
  };
}

/** -1 = no event yet. */
const revisionOf = ({ view }: Keyring): number => view.revision ?? -1;
