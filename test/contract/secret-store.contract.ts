import { randomBytes, randomUUID } from "node:crypto";
import {
  type EnvelopeRecord,
  Fault,
  type Held,
  type SecretRef,
  type SecretStore,
  type Staged,
} from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** The data of one store: every store opened from it is the same one. */
export interface SecretStoreHome extends AsyncDisposable {
  open(): Promise<SecretStore & AsyncDisposable>;
}

export const newRef = (changes: Partial<SecretRef> = {}): SecretRef => ({
  owner: `user.${randomUUID()}`,
  keyId: randomUUID(),
  secretVersion: randomUUID(),
  ...changes,
});

const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

/** @param length of the ciphertext. */
export const newRecord = (length = 164, changes: Partial<EnvelopeRecord> = {}): EnvelopeRecord => ({
  schema: 1,
  provider: "openai",
  wrappedDek: { kekId: randomUUID(), kekVersion: 1, bytes: bytes(60) },
  iv: bytes(12),
  ciphertext: bytes(length),
  tag: bytes(16),
  contextSha256: bytes(32),
  createdAt: "2026-11-21T11:00:00.000Z",
  ...changes,
});

/** From the shortest to the longest material, on both sides of every bound a store may have. */
const LENGTHS = [1, 51, 164, 170, 220, 500, 512, 2_400, 3_700, 3_900, 4_096, 12_000, 16_384];

/** Bytes as hex, so that a store may answer any kind of byte array. */
const plain = ({ wrappedDek, iv, ciphertext, tag, contextSha256, ...rest }: EnvelopeRecord) => ({
  ...rest,
  kek: [wrappedDek.kekId, wrappedDek.kekVersion],
  bytes: [wrappedDek.bytes, iv, ciphertext, tag, contextSha256].map((part) =>
    Buffer.from(part).toString("hex"),
  ),
});

async function held(store: SecretStore, ref: SecretRef): Promise<Held> {
  const found = await store.get(ref);
  if (found === null) throw new Error("no record is there");
  return found;
}

const contentOf = async (store: SecretStore, ref: SecretRef) => {
  const found = await store.get(ref);
  return found && plain(found.record);
};

async function scanAll(store: SecretStore, limit: number): Promise<Staged[]> {
  const found: Staged[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Awaited<ReturnType<SecretStore["scan"]>> = await store.scan({ cursor, limit });
    expect(page.records.length).toBeLessThanOrEqual(limit);
    found.push(...page.records);
    cursor = page.next;
  }
  return found;
}

const nameOf = ({ owner, keyId, secretVersion }: SecretRef): string =>
  `${owner} ${keyId} ${secretVersion}`;

/** What every secret store promises. */
export function secretStoreContract(name: string, newHome: () => Promise<SecretStoreHome>): void {
  describe(`${name} keeps the secret-store contract`, () => {
    it.for(LENGTHS)("gives back a record with %i bytes of ciphertext", async (length) => {
      await using home = await newHome();
      await using store = await home.open();
      const [ref, record] = [newRef(), newRecord(length)];
      await store.put(ref, record);
      expect(await contentOf(store, ref)).toStrictEqual(plain(record));
    });

    it("answers null for a record that was never put", async () => {
      await using home = await newHome();
      await using store = await home.open();
      expect(await store.get(newRef())).toBe(null);
    });

    it("names what it is and how it destroys, for the evidence of a wipe", async () => {
      await using home = await newHome();
      await using store = await home.open();
      expect(store.store).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(store.method).toMatch(/^[a-z][a-z0-9-]*$/);
    });

    it("tells records apart by owner, key and secret version", async () => {
      await using home = await newHome();
      await using store = await home.open();
      const ref = newRef();
      const others = [
        newRef({ keyId: ref.keyId, secretVersion: ref.secretVersion }),
        newRef({ owner: ref.owner, secretVersion: ref.secretVersion }),
        newRef({ owner: ref.owner, keyId: ref.keyId }),
        newRef({ owner: ref.owner, keyId: ref.secretVersion, secretVersion: ref.keyId }),
      ];
      const record = newRecord();
      await store.put(ref, record);
      for (const other of others) expect(await store.get(other)).toBe(null);
      for (const other of others) await store.put(other, newRecord());
      for (const other of others) await store.shred(other);
      expect(await contentOf(store, ref)).toStrictEqual(plain(record));
    });

    it("refuses to write a ref twice, and keeps what is there", async () => {
      await using home = await newHome();
      await using store = await home.open();
      const [ref, record] = [newRef(), newRecord()];
      await store.put(ref, record);
      await expect(store.put(ref, newRecord())).rejects.toBeInstanceOf(Fault);
      await expect(store.put(ref, record)).rejects.toMatchObject({ retryable: false });
      expect(await contentOf(store, ref)).toStrictEqual(plain(record));
    });

    it("lets exactly one of two writers put a ref, and fails nobody else", async () => {
      await using home = await newHome();
      await using store = await home.open();
      const [ref, other] = [newRef(), newRef()];
      const [first, second] = [newRecord(), newRecord()];
      const race = await Promise.allSettled([
        store.put(ref, first),
        store.put(other, newRecord()),
        store.put(ref, second),
      ]);
      expect(race[1].status).toBe("fulfilled");
      expect(race.filter(({ status }) => status === "rejected")).toHaveLength(1);
      const winner = race[0].status === "fulfilled" ? first : second;
      expect(await contentOf(store, ref)).toStrictEqual(plain(winner));
    });

    it("keeps records when it is opened again", async () => {
      await using home = await newHome();
      const records = LENGTHS.map((length) => ({ ref: newRef(), record: newRecord(length) }));
      const shredded = newRef();
      {
        await using store = await home.open();
        for (const { ref, record } of records) await store.put(ref, record);
        await store.put(shredded, newRecord());
        await store.shred(shredded);
      }
      await using store = await home.open();
      for (const { ref, record } of records) {
        expect(await contentOf(store, ref)).toStrictEqual(plain(record));
      }
      expect(await store.get(shredded)).toBe(null);
    });

    describe("replace", () => {
      it("swaps a record that is at the expected version, again and again", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const ref = newRef();
        await store.put(ref, newRecord());
        const versions = new Set<string>();
        for (let round = 0; round < 5; round++) {
          const { version } = await held(store, ref);
          versions.add(version);
          const record = newRecord();
          expect(await store.replace(ref, record, version)).toBe(true);
          expect(await contentOf(store, ref)).toStrictEqual(plain(record));
        }
        expect(versions.size).toBe(5);
      });

      it("answers false and changes nothing when somebody replaced it first", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const ref = newRef();
        await store.put(ref, newRecord());
        const { version } = await held(store, ref);
        const record = newRecord();
        expect(await store.replace(ref, record, version)).toBe(true);
        expect(await store.replace(ref, newRecord(), version)).toBe(false);
        expect(await contentOf(store, ref)).toStrictEqual(plain(record));
      });

      it("lets exactly one of many win", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const ref = newRef();
        await store.put(ref, newRecord());
        const { version } = await held(store, ref);
        const records = Array.from({ length: 16 }, () => newRecord());
        const won = await Promise.all(records.map((record) => store.replace(ref, record, version)));
        expect(won.filter(Boolean)).toHaveLength(1);
        const winner = records[won.indexOf(true)];
        expect(await contentOf(store, ref)).toStrictEqual(winner && plain(winner));
      });

      it("answers false where nothing is, or no longer, and puts nothing there", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const [never, gone] = [newRef(), newRef()];
        await store.put(gone, newRecord());
        const { version } = await held(store, gone);
        await store.shred(gone);
        for (const ref of [never, gone]) {
          expect(await store.replace(ref, newRecord(), version)).toBe(false);
          expect(await store.get(ref)).toBe(null);
        }
      });

      it("answers false for a version that it never gave out", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const [ref, record] = [newRef(), newRecord()];
        await store.put(ref, record);
        for (const version of ["", "0", "-1", "1.5", "99", "one", "NaN", " 1"]) {
          if (version === (await held(store, ref)).version) continue;
          expect(await store.replace(ref, newRecord(), version)).toBe(false);
        }
        expect(await contentOf(store, ref)).toStrictEqual(plain(record));
      });

      it("takes records of another size, in both directions, and spares the others", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const others = LENGTHS.map((length) => ({ ref: newRef(), record: newRecord(length) }));
        for (const { ref, record } of others) await store.put(ref, record);
        const ref = newRef();
        await store.put(ref, newRecord());
        for (const length of [...LENGTHS, ...LENGTHS.toReversed()]) {
          const record = newRecord(length);
          const { version } = await held(store, ref);
          expect(await store.replace(ref, record, version)).toBe(true);
          expect(await contentOf(store, ref)).toStrictEqual(plain(record));
        }
        for (const { ref, record } of others) {
          expect(await contentOf(store, ref)).toStrictEqual(plain(record));
        }
      });
    });

    describe("shred", () => {
      it("leaves nothing to read", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const ref = newRef();
        await store.put(ref, newRecord());
        await store.shred(ref);
        expect(await store.get(ref)).toBe(null);
      });

      it("is no fault the second time, nor where nothing ever was", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const ref = newRef();
        await store.put(ref, newRecord());
        await Promise.all([store.shred(ref), store.shred(ref)]);
        await store.shred(ref);
        await store.shred(newRef());
        expect(await store.get(ref)).toBe(null);
      });

      it("destroys only what it names, with many at once", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const all = Array.from({ length: 120 }, (_, at) => ({
          ref: newRef(),
          record: newRecord(LENGTHS[at % LENGTHS.length]),
        }));
        await Promise.all(all.map(({ ref, record }) => store.put(ref, record)));
        const [gone, kept] = [
          all.filter((_, at) => at % 3 > 0),
          all.filter((_, at) => at % 3 === 0),
        ];
        await Promise.all(gone.map(({ ref }) => store.shred(ref)));
        const added = gone.map(({ record }) => ({ ref: newRef(), record }));
        await Promise.all(added.map(({ ref, record }) => store.put(ref, record)));
        for (const { ref } of gone) expect(await store.get(ref)).toBe(null);
        for (const { ref, record } of [...kept, ...added]) {
          expect(await contentOf(store, ref)).toStrictEqual(plain(record));
        }
      });

      it("wins over a replace that runs beside it", async () => {
        await using home = await newHome();
        await using store = await home.open();
        for (let round = 0; round < 10; round++) {
          const ref = newRef();
          await store.put(ref, newRecord());
          const { version } = await held(store, ref);
          const both = [() => store.shred(ref), () => store.replace(ref, newRecord(), version)];
          if (round % 2 === 1) both.reverse();
          await Promise.all(both.map((run) => run()));
          expect(await store.get(ref)).toBe(null);
        }
      });
    });

    describe("scan", () => {
      it("is empty where nothing is", async () => {
        await using home = await newHome();
        await using store = await home.open();
        expect(await store.scan({ cursor: "", limit: 10 })).toStrictEqual({
          records: [],
          next: null,
        });
      });

      it("tells the name, the age and the KEK of each record once, whatever the page size", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const expected = new Map<string, Staged>();
        for (let at = 0; at < 30; at++) {
          const ref = newRef();
          const createdAt = `2026-11-21T11:00:${String(at).padStart(2, "0")}.000Z`;
          const kek = { id: `kek-${at % 3}`, version: at };
          const wrappedDek = { kekId: kek.id, kekVersion: at, bytes: bytes(60) };
          const length = LENGTHS[at % LENGTHS.length];
          await store.put(ref, newRecord(length, { createdAt, wrappedDek }));
          expected.set(nameOf(ref), { ref, createdAt, kek });
        }
        for (const limit of [1, 7, 29, 30, 31, 1_000]) {
          const found = await scanAll(store, limit);
          expect(found).toHaveLength(30);
          for (const staged of found) {
            expect(staged).toStrictEqual(expected.get(nameOf(staged.ref)));
          }
          expect(new Set(found.map(({ ref }) => nameOf(ref))).size).toBe(30);
        }
      });

      it("keeps its order while records are added, replaced and shredded", async () => {
        await using home = await newHome();
        await using store = await home.open();
        const refs = Array.from({ length: 40 }, () => newRef());
        for (const ref of refs) await store.put(ref, newRecord());
        const before = (await scanAll(store, 100)).map(({ ref }) => nameOf(ref));
        const seen: string[] = [];
        const shredded = new Set<string>();
        for (let cursor: string | null = "", round = 0; cursor !== null; round++) {
          const page: Awaited<ReturnType<SecretStore["scan"]>> = await store.scan({
            cursor,
            limit: 7,
          });
          seen.push(...page.records.map(({ ref }) => nameOf(ref)));
          cursor = page.next;
          const moved = refs[round];
          const gone = refs[39 - round];
          if (!moved || !gone) throw new Error("more pages than expected");
          const length = LENGTHS[(round * 5) % LENGTHS.length];
          await store.replace(moved, newRecord(length), (await held(store, moved)).version);
          await store.shred(gone);
          shredded.add(nameOf(gone));
          await store.put(newRef(), newRecord());
        }
        const stayed = before.filter((at) => !shredded.has(at));
        expect(seen.filter((at) => stayed.includes(at))).toStrictEqual(stayed);
        expect(new Set(seen).size).toBe(seen.length);
      });
    });

    it("agrees with a Map, whatever is done in whatever order", async () => {
      await using home = await newHome();
      await using store = await home.open();
      const step = fc.record({
        does: fc.constantFrom("put", "get", "replace", "stale", "shred"),
        at: fc.nat(3),
        length: fc.constantFrom(...LENGTHS),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
          const refs = Array.from({ length: 4 }, () => newRef());
          const model = new Map<SecretRef, EnvelopeRecord>();
          for (const { does, at, length } of steps) {
            const ref = refs[at] ?? newRef();
            const record = newRecord(length);
            const found = await store.get(ref);
            const expected = model.get(ref);
            expect(found && plain(found.record)).toStrictEqual(expected ? plain(expected) : null);
            if (does === "put" && !expected) {
              await store.put(ref, record);
              model.set(ref, record);
            } else if (does === "put") {
              await expect(store.put(ref, record)).rejects.toBeInstanceOf(Fault);
            } else if (does === "replace") {
              const done = await store.replace(ref, record, found?.version ?? "1");
              expect(done).toBe(expected !== undefined);
              if (done) model.set(ref, record);
            } else if (does === "stale") {
              expect(await store.replace(ref, record, `${found?.version}0`)).toBe(false);
            } else if (does === "shred") {
              await store.shred(ref);
              model.delete(ref);
            }
          }
          for (const ref of refs) await store.shred(ref);
        }),
        { numRuns: 25 },
      );
      expect(await scanAll(store, 100)).toStrictEqual([]);
    });
  });
}
