import { randomBytes, randomUUID } from "node:crypto";
import { crc32 } from "node:zlib";
import { Corrupted, type EnvelopeRecord, Fault, type SecretRef } from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeReference, decodeSlot, encodeReference, encodeSlot } from "./envelope-codec.ts";

const newRef = (): SecretRef => ({
  owner: `user.${randomUUID()}`,
  keyId: randomUUID(),
  secretVersion: randomUUID(),
});

const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

const newRecord = (length = 164): EnvelopeRecord => ({
  schema: 1,
  provider: "openai",
  wrappedDek: { kekId: randomUUID(), kekVersion: 7, bytes: bytes(60) },
  iv: bytes(12),
  ciphertext: bytes(length),
  tag: bytes(16),
  contextSha256: bytes(32),
  createdAt: "2026-11-21T11:00:00.000Z",
});

/** The codec answers views of the slot; a copy compares by content alone. */
const plain = (record: EnvelopeRecord): EnvelopeRecord => ({
  ...record,
  wrappedDek: { ...record.wrappedDek, bytes: Uint8Array.from(record.wrappedDek.bytes) },
  iv: Uint8Array.from(record.iv),
  ciphertext: Uint8Array.from(record.ciphertext),
  tag: Uint8Array.from(record.tag),
  contextSha256: Uint8Array.from(record.contextSha256),
});

/** As an attacker who knows the format would do it. */
function forged(slot: Uint8Array, change: (slot: Buffer) => void): Uint8Array {
  const copy = Buffer.from(slot);
  change(copy);
  copy.writeUInt32BE(crc32(copy.subarray(5)), 1);
  return copy;
}

describe("A slot", () => {
  it("gives back any record, in the smallest size that holds it", () => {
    const anyBytes = (max: number) => fc.uint8Array({ maxLength: max });
    const record = fc.record(
      {
        provider: fc.stringMatching(/^[a-z-]{1,40}$/),
        wrappedDek: fc.record(
          { kekId: fc.string({ maxLength: 40 }), kekVersion: fc.nat(), bytes: anyBytes(200) },
          { noNullPrototype: true },
        ),
        iv: anyBytes(12),
        ciphertext: anyBytes(16_384),
        tag: anyBytes(16),
        contextSha256: anyBytes(32),
        createdAt: fc.string({ maxLength: 24 }),
      },
      { noNullPrototype: true },
    );
    const version = fc.integer({ min: 1, max: 0xffff_ffff });
    fc.assert(
      fc.property(record, version, (fields, replaced) => {
        const reference = encodeReference(newRef());
        const given: EnvelopeRecord = { schema: 1, ...fields };
        const slot = encodeSlot(reference, { record: given, version: replaced });
        const found = decodeSlot(reference, slot);
        expect(found.version).toBe(replaced);
        expect(plain(found.record)).toStrictEqual(plain(given));
        expect([512, 4_096, 20_480]).toContain(slot.length);
      }),
    );
  });

  it("of the smallest size holds the longest common API key, also of an owner with a hashed name", () => {
    const owner = `user.h_${"a".repeat(52)}` as const;
    const reference = encodeReference({ ...newRef(), owner });
    const slot = encodeSlot(reference, { record: newRecord(164), version: 1 });
    expect(slot).toHaveLength(512);
  });

  it("of the largest size holds the largest material under the longest names", () => {
    const owner = `organization.${"a".repeat(128)}` as const;
    const reference = encodeReference({ ...newRef(), owner });
    const slot = encodeSlot(reference, { record: newRecord(16_384), version: 1 });
    expect(slot).toHaveLength(20_480);
  });

  it("takes no record that is too large, and names the bound", () => {
    const work = () =>
      encodeSlot(encodeReference(newRef()), { record: newRecord(20_400), version: 1 });
    expect(work).toThrow(Fault);
    expect(work).toThrow("20480");
  });

  it("is damaged with any single bit turned, in the record or behind it", () => {
    const reference = encodeReference(newRef());
    for (const length of [1, 164, 1_000]) {
      const slot = encodeSlot(reference, { record: newRecord(length), version: 1 });
      for (let bit = 0; bit < slot.length * 8; bit++) {
        const altered = Uint8Array.from(slot);
        altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => decodeSlot(reference, altered)).toThrow(Corrupted);
      }
    }
  });

  it("is damaged when it was cut or is empty", () => {
    const reference = encodeReference(newRef());
    const slot = encodeSlot(reference, { record: newRecord(), version: 1 });
    for (let length = 0; length < slot.length; length++) {
      expect(() => decodeSlot(reference, slot.subarray(0, length))).toThrow(Corrupted);
    }
    for (const size of [512, 4_096, 20_480]) {
      expect(() => decodeSlot(reference, new Uint8Array(size))).toThrow(Corrupted);
    }
  });

  it("is damaged under another name", () => {
    const [one, other] = [encodeReference(newRef()), encodeReference(newRef())];
    const slot = encodeSlot(one, { record: newRecord(), version: 1 });
    expect(() => decodeSlot(other, slot)).toThrow(Corrupted);
  });

  it("is refused when its lengths were forged, checksum and all", () => {
    const reference = encodeReference(newRef());
    const slot = encodeSlot(reference, { record: newRecord(), version: 1 });
    for (const at of [13, 15 + reference.length]) {
      for (const length of [0xffff, 600]) {
        const altered = forged(slot, (copy) => copy.writeUInt16BE(length, at));
        expect(() => decodeSlot(reference, altered)).toThrow(Corrupted);
      }
    }
    expect(() =>
      decodeSlot(
        reference,
        forged(slot, (copy) => copy.writeUInt8(2)),
      ),
    ).toThrow(Corrupted);
  });

  it("tells a forged record apart from a damaged one: its checksum is right, its seal is not", () => {
    const reference = encodeReference(newRef());
    const record = newRecord();
    const slot = encodeSlot(reference, { record, version: 1 });
    const at = Buffer.from(slot).indexOf(record.ciphertext);
    const altered = forged(slot, (copy) => copy.writeUInt8(copy.readUInt8(at) ^ 1, at));
    expect(decodeSlot(reference, altered).record.ciphertext[0]).toBe(
      (record.ciphertext[0] ?? 0) ^ 1,
    );
  });
});

describe("The name of a record", () => {
  it("is given back from its bytes", () => {
    const ref = newRef();
    expect(decodeReference(encodeReference(ref))).toStrictEqual(ref);
  });

  it("is damaged where no owner is in it", () => {
    for (const length of [0, 16, 32, 40]) {
      expect(() => decodeReference(new Uint8Array(length))).toThrow(Corrupted);
    }
  });
});
