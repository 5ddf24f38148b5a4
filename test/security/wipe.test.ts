import { execFileSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EnvelopeRecord, SecretRef, SecretStore } from "@keyledger/core";
import { expect, it } from "vitest";
import { openSqliteSecretStore } from "../../packages/embedded/src/sqlite-secret-store.ts";

/** Of ciphertexts: from the shortest to the longest, on both sides of every bound between slot sizes. */
const LENGTHS = [8, 20, 51, 120, 164, 180, 300, 900, 2_400, 3_500, 3_900, 8_000, 16_384];

const newRef = (): SecretRef => ({
  owner: `user.${randomUUID()}`,
  keyId: randomUUID(),
  secretVersion: randomUUID(),
});

const newWrappedDek = (kekVersion: number) => ({
  kekId: "00000000-0000-4000-8000-000000000000",
  kekVersion,
  bytes: new Uint8Array(randomBytes(60)),
});

const newRecord = (length: number): EnvelopeRecord => ({
  schema: 1,
  provider: "openai",
  wrappedDek: newWrappedDek(1),
  iv: new Uint8Array(randomBytes(12)),
  ciphertext: new Uint8Array(randomBytes(length)),
  tag: new Uint8Array(randomBytes(16)),
  contextSha256: new Uint8Array(randomBytes(32)),
  createdAt: "2026-11-21T11:00:00.000Z",
});

const secretsOf = ({ ciphertext, tag, wrappedDek }: EnvelopeRecord): readonly Uint8Array[] => [
  ciphertext,
  tag,
  wrappedDek.bytes,
];

/**
 * Any window of 32 bytes of a secret holds one of its blocks of 16 that begin at a multiple of 16. So where none of the
 * blocks is, no window is either. A secret shorter than that is searched for as a whole.
 */
const BLOCK = 16;

/** Searches bytes, at every offset, for the blocks of all secrets added. */
class Search {
  readonly #blocks = new Map<number, Uint8Array[]>();

  add(secret: Uint8Array): void {
    const length = Math.min(BLOCK, secret.length);
    for (let at = 0; at + length <= secret.length; at += BLOCK) {
      const start = startAt(secret, at);
      const others = this.#blocks.get(start) ?? [];
      this.#blocks.set(start, [...others, secret.subarray(at, at + length)]);
    }
  }

  /** Offsets at which a block stands. */
  in(bytes: Uint8Array): readonly number[] {
    const found: number[] = [];
    for (let offset = 0; offset + 4 <= bytes.length; offset++) {
      const blocks = this.#blocks.get(startAt(bytes, offset));
      const stands = blocks?.some(
        (block) => Buffer.compare(block, bytes.subarray(offset, offset + block.length)) === 0,
      );
      if (stands) found.push(offset);
    }
    return found;
  }
}

const startAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) << 24) |
  ((bytes[at + 1] ?? 0) << 16) |
  ((bytes[at + 2] ?? 0) << 8) |
  (bytes[at + 3] ?? 0);

/**
 * Copies every file of the directory as it is now and reads the copies. The copying is another process's: the locks
 * that this process has on a file end when it closes any descriptor of it.
 */
function filesOf(directory: string): ReadonlyMap<string, Uint8Array> {
  const copies = mkdtempSync(join(tmpdir(), "keyledger-copies-"));
  try {
    execFileSync("cp", ["-R", `${directory}/.`, copies]);
    return new Map(readdirSync(copies).map((name) => [name, readFileSync(join(copies, name))]));
  } finally {
    rmSync(copies, { recursive: true });
  }
}

/** Where in the directory any of the secrets is. */
function placesOf(secrets: Iterable<Uint8Array>, directory: string): readonly string[] {
  const search = new Search();
  for (const secret of secrets) search.add(secret);
  return [...filesOf(directory)].flatMap(([name, bytes]) =>
    search.in(bytes).map((offset) => `${name} at ${offset}`),
  );
}

/** Records that are there, and the secrets of those that no longer are. */
class Ledger {
  readonly live = new Map<SecretRef, EnvelopeRecord>();
  readonly dead: Uint8Array[] = [];
  readonly #store: SecretStore;

  constructor(store: SecretStore) {
    this.#store = store;
  }

  async put(length: number): Promise<SecretRef> {
    const [ref, record] = [newRef(), newRecord(length)];
    await this.#store.put(ref, record);
    this.live.set(ref, record);
    return ref;
  }

  async shred(ref: SecretRef): Promise<void> {
    await this.#store.shred(ref);
    this.dead.push(...secretsOf(this.#at(ref)));
    this.live.delete(ref);
  }

  /** What a rotation of a credential does: another secret version comes, the old one goes. */
  async supersede(ref: SecretRef, length: number): Promise<void> {
    await this.put(length);
    await this.shred(ref);
  }

  /** Puts a record of any size into the place of another. */
  async replace(ref: SecretRef, record: EnvelopeRecord): Promise<void> {
    const old = this.#at(ref);
    const held = await this.#store.get(ref);
    expect(await this.#store.replace(ref, record, held?.version ?? "")).toBe(true);
    const kept = new Set(secretsOf(record));
    this.dead.push(...secretsOf(old).filter((secret) => !kept.has(secret)));
    this.live.set(ref, record);
  }

  /** What a rotation of the KEK does: only the data key is wrapped anew. */
  async rewrap(ref: SecretRef): Promise<void> {
    await this.replace(ref, { ...this.#at(ref), wrappedDek: newWrappedDek(2) });
  }

  #at(ref: SecretRef): EnvelopeRecord {
    const record = this.live.get(ref);
    if (record === undefined) throw new Error("the test lost a record");
    return record;
  }
}

const lengthAt = (at: number): number => LENGTHS[at % LENGTHS.length] ?? 0;

/** Runs the work in batches, so that some of it shares a commit. */
async function inBatches(work: readonly (() => Promise<unknown>)[], size: number): Promise<void> {
  for (let at = 0; at < work.length; at += size) {
    await Promise.all(work.slice(at, at + size).map((run) => run()));
  }
}

it("nothing of a deleted or rotated secret is left in any file, while the store is open", async () => {
  const directory = mkdtempSync(join(tmpdir(), "keyledger-wipe-"));
  try {
    await using store = openSqliteSecretStore({
      file: join(directory, "secrets.db"),
      deploymentId: randomUUID(),
    });
    const ledger = new Ledger(store);
    const puts = Array.from({ length: 2_400 }, (_, at) => () => ledger.put(lengthAt(at)));
    await inBatches(puts, 48);

    const refs = [...ledger.live.keys()];
    const work = refs.slice(0, 2_000).map((ref, at) => (): Promise<unknown> => {
      if (at % 2 === 0) return ledger.shred(ref);
      if (at % 6 === 1) return ledger.supersede(ref, lengthAt(at * 7));
      if (at % 6 === 3) return ledger.replace(ref, newRecord(lengthAt(at * 5)));
      return ledger.rewrap(ref);
    });
    await inBatches(work, 13);

    expect(ledger.dead.length).toBeGreaterThan(5_000);
    expect(placesOf(ledger.dead, directory)).toStrictEqual([]);

    for (const [ref, record] of ledger.live) {
      const held = await store.get(ref);
      expect(held && secretsOf(held.record).map(hex)).toStrictEqual(secretsOf(record).map(hex));
    }
    const live = [...ledger.live.values()].flatMap(secretsOf);
    expect(placesOf(live, directory).length).toBeGreaterThanOrEqual(live.length);

    for (const [at, secret] of ledger.dead.slice(0, 6).entries()) {
      const planted = join(directory, "planted");
      const start = Math.max(0, Math.min(at, secret.length - 32));
      const window = secret.subarray(start, start + 32);
      writeFileSync(planted, Buffer.concat([randomBytes(100 + at), window, randomBytes(100)]));
      expect(placesOf([secret], directory)).toStrictEqual([
        expect.stringMatching(/^planted at \d+$/),
      ]);
      rmSync(planted);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
