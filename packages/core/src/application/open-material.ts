import type { Secret } from "../domain/secret.ts";
import { Corrupted } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { EnvelopeRecord, SecretRef, SecretStore } from "../ports/secret-store.ts";
import type { Envelope } from "./envelope.ts";

/**
 * Opens stored material, and keeps what opened it for a while: the sealed record and its data key, never the material.
 * Data keys are wiped when their time is over, when they have to make room, and when their version is destroyed.
 */
export interface MaterialOpener {
  /** @returns `null` where there is no record, or it does not open at its place. */
  open(ref: SecretRef, provider: string): Promise<Secret | null>;
  /** Wipes what is kept of a version. */
  forget(ref: SecretRef): void;
  /** Wipes what is over, again and again; and everything once the signal aborts. */
  run(signal: CancelSignal): Promise<void>;
}

/** How long a data key is kept, give or take a tenth so that keys of one moment do not all expire in another. */
const KEPT_MS = 60_000;
const KEPT_MAX = 10_000;
const SWEEP_EVERY_MS = 1_000;

interface Kept {
  readonly record: EnvelopeRecord;
  readonly dek: Uint8Array;
  readonly untilMs: number;
}

export function createMaterialOpener({
  secrets,
  envelope,
  host,
}: {
  secrets: SecretStore;
  envelope: Envelope;
  host: Host;
}): MaterialOpener {
  const { clock, random, pause } = host;
  /** In the order they came, which is nearly the order they end. */
  const kept = new Map<string, Kept>();
  /** Openings under way: many callers of one key make one of them. */
  const opening = new Map<string, Promise<Kept | null>>();
  // A version has one place for ever, so its id names it.
  const nameOf = ({ secretVersion }: SecretRef): string => secretVersion;

  function drop(name: string): void {
    kept.get(name)?.dek.fill(0);
    kept.delete(name);
  }

  function keep(name: string, entry: Kept): void {
    drop(name);
    kept.set(name, entry);
    if (kept.size <= KEPT_MAX) return;
    for (const oldest of kept.keys()) {
      drop(oldest);
      return;
    }
  }

  async function fetch(ref: SecretRef): Promise<Kept | null> {
    const held = await secrets.get(ref).catch((error: unknown) => {
      // One damaged record is one key that does not open; its owner's others are not affected.
      if (error instanceof Corrupted) return null;
      throw error;
    });
    if (!held) return null;
    const dek = await envelope.unwrap(ref, held.record);
    if (!dek) return null;
    const untilMs = clock.monotonicMs() + KEPT_MS * (0.9 + random.fraction() / 5);
    return { record: held.record, dek, untilMs };
  }

  async function entryOf(ref: SecretRef): Promise<Kept | null> {
    const name = nameOf(ref);
    const known = kept.get(name);
    if (known && known.untilMs > clock.monotonicMs()) return known;
    const underWay = opening.get(name);
    if (underWay) return underWay;
    const fetched = fetch(ref);
    opening.set(name, fetched);
    try {
      const entry = await fetched;
      if (entry && opening.get(name) === fetched) keep(name, entry);
      return entry;
    } finally {
      if (opening.get(name) === fetched) opening.delete(name);
    }
  }

  return {
    async open(ref, provider) {
      const entry = await entryOf(ref);
      // The provider is bound into the record; the log says which one it must be.
      if (!entry || entry.record.provider !== provider) return null;
      const material = envelope.decrypt(ref, entry.record, entry.dek);
      // Destroyed while it was fetched: it is kept for nobody, so it goes with its first use.
      if (kept.get(nameOf(ref)) !== entry) entry.dek.fill(0);
      return material;
    },

    forget(ref) {
      drop(nameOf(ref));
      opening.delete(nameOf(ref));
    },

    async run(signal) {
      while (!signal.aborted) {
        await pause(SWEEP_EVERY_MS, signal);
        const now = clock.monotonicMs();
        for (const [name, { untilMs }] of kept) {
          if (signal.aborted || untilMs <= now) drop(name);
        }
      }
    },
  };
}
