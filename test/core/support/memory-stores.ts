import {
  type CallerKeyView,
  type Crypto,
  type EnvelopeRecord,
  Fault,
  type Held,
  type Kek,
  type KeyHandle,
  type KeyringView,
  ownerName,
  type Position,
  type ReadModels,
  type SecretRef,
  type SecretStore,
  type ViewChanges,
  type WrappedKey,
} from "@keyledger/core";

const nameOf = ({ owner, keyId, secretVersion }: SecretRef): string =>
  `${owner} ${keyId} ${secretVersion}`;

/** Envelope records in memory. */
export class MemorySecrets implements SecretStore {
  readonly store = "memory";
  readonly method = "forgotten";
  readonly records = new Map<string, { ref: SecretRef; record: EnvelopeRecord; version: number }>();

  has(ref: SecretRef): boolean {
    return this.records.has(nameOf(ref));
  }

  async put(ref: SecretRef, record: EnvelopeRecord): Promise<void> {
    if (this.has(ref)) throw new Fault("the record is there already", { retryable: false });
    this.records.set(nameOf(ref), { ref, record, version: 1 });
  }

  async get(ref: SecretRef): Promise<Held | null> {
    const held = this.records.get(nameOf(ref));
    return held ? { record: held.record, version: String(held.version) } : null;
  }

  async replace(ref: SecretRef, record: EnvelopeRecord, expected: string): Promise<boolean> {
    const held = this.records.get(nameOf(ref));
    if (!held || String(held.version) !== expected) return false;
    this.records.set(nameOf(ref), { ref, record, version: held.version + 1 });
    return true;
  }

  async shred(ref: SecretRef): Promise<void> {
    this.records.delete(nameOf(ref));
  }

  async scan({ cursor, limit }: { cursor: string; limit: number }) {
    const names = [...this.records.keys()].filter((name) => name > cursor).sort();
    const records = names.slice(0, limit).flatMap((name) => {
      const held = this.records.get(name);
      if (!held) return [];
      const { createdAt, wrappedDek } = held.record;
      return [
        { ref: held.ref, createdAt, kek: { id: wrappedDek.kekId, version: wrappedDek.kekVersion } },
      ];
    });
    return { records, next: names.length > limit ? (names[limit - 1] ?? null) : null };
  }
}

/** Wraps data keys under one key that this process made up. */
export class MemoryKek implements Kek {
  readonly #crypto: Crypto;
  readonly #key: KeyHandle;

  constructor(crypto: Crypto, key: KeyHandle) {
    this.#crypto = crypto;
    this.#key = key;
  }

  async wrap(dek: Uint8Array, context: Uint8Array): Promise<WrappedKey> {
    const { iv, ciphertext, tag } = this.#crypto.seal(this.#key, dek, context);
    return { kekId: "memory", kekVersion: 1, bytes: Uint8Array.of(...iv, ...tag, ...ciphertext) };
  }

  async unwrap(items: readonly { wrapped: WrappedKey; context: Uint8Array }[]) {
    return items.map(({ wrapped: { bytes }, context }) => {
      const sealed = {
        iv: bytes.slice(0, 12),
        tag: bytes.slice(12, 28),
        ciphertext: bytes.slice(28),
      };
      return this.#crypto.open(this.#key, sealed, context) ?? null;
    });
  }

  async rewrap(): Promise<never> {
    throw new Error("no test rewraps");
  }

  async current() {
    return { id: "memory", version: 1 };
  }

  async rotate(): Promise<never> {
    throw new Error("no test rotates the key-encryption key");
  }
}

/** Views in memory. */
export class MemoryModels implements ReadModels {
  #checkpoint: Position | null = null;
  readonly #keyrings = new Map<string, KeyringView>();
  readonly #callerKeys = new Map<string, CallerKeyView>();

  checkpoint(): Position | null {
    return this.#checkpoint;
  }

  commit({ keyrings, callerKeys }: ViewChanges, checkpoint: Position): void {
    // Copied before anything is changed: all or nothing.
    const copies = keyrings.map((view) => ({
      ...view,
      keys: new Map([...view.keys].map(([id, key]) => [id, { ...key }])),
    }));
    for (const view of copies) this.#keyrings.set(ownerName(view.owner), view);
    for (const view of callerKeys) this.#callerKeys.set(view.callerKeyId, view);
    this.#checkpoint = checkpoint;
  }

  reset(): void {
    this.#keyrings.clear();
    this.#callerKeys.clear();
    this.#checkpoint = null;
  }

  keyring(owner: KeyringView["owner"]): KeyringView | undefined {
    return this.#keyrings.get(ownerName(owner));
  }

  callerKey(id: string): CallerKeyView | undefined {
    return this.#callerKeys.get(id);
  }

  callerKeys({
    owner,
    before,
    limit,
  }: Parameters<ReadModels["callerKeys"]>[0]): readonly CallerKeyView[] {
    const rank = ({ issuedAt, callerKeyId }: CallerKeyView): string => `${issuedAt} ${callerKeyId}`;
    const last = before === null ? undefined : this.#callerKeys.get(before);
    if (before !== null && !last) return [];
    return [...this.#callerKeys.values()]
      .filter((key) => owner === null || (key.owner && ownerName(key.owner) === ownerName(owner)))
      .filter((key) => !last || rank(key) < rank(last))
      .sort((a, b) => (rank(a) < rank(b) ? 1 : -1))
      .slice(0, limit);
  }

  ownersWithPendingShreds(limit: number) {
    return [...this.#keyrings.values()]
      .filter(({ pendingShreds }) => pendingShreds.length > 0)
      .map(({ owner }) => owner)
      .slice(0, limit);
  }

  pendingShredCount(): number {
    return [...this.#keyrings.values()].reduce((sum, view) => sum + view.pendingShreds.length, 0);
  }
}
