import { createDecipheriv, createHash } from "node:crypto";
import type { EnvelopeRecord, Kek, SecretRef } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { createEnvelope } from "../../packages/core/src/application/envelope.ts";
import { textOf } from "./support/deployment.ts";
import { MemoryKek } from "./support/memory-stores.ts";

const host = nodeHost();
const { crypto, random } = host;

/** A keeper of keys that remembers what passed through it. */
function spyingKek() {
  const real = new MemoryKek(crypto, crypto.importKey(random.bytes(32)));
  const wrapped: { dek: Uint8Array; copy: Uint8Array; context: Uint8Array }[] = [];
  const unwrapped: Uint8Array[] = [];
  const kek: Kek = {
    wrap: async (dek, context) => {
      wrapped.push({ dek, copy: Uint8Array.from(dek), context });
      return real.wrap(dek, context);
    },
    unwrap: async (items) => {
      const deks = await real.unwrap(items);
      unwrapped.push(...deks.filter((dek) => dek !== null));
      return deks;
    },
    rewrap: () => real.rewrap(),
    current: () => real.current(),
    rotate: () => real.rotate(),
  };
  return { kek, wrapped, unwrapped };
}

const newRef = (): SecretRef => ({
  owner: "team.red",
  keyId: random.uuid(),
  secretVersion: random.uuid(),
});

const isWiped = (bytes: Uint8Array | undefined) => bytes?.every((byte) => byte === 0);

describe("an envelope", () => {
  it("opens to what was sealed", async () => {
    const envelope = createEnvelope(spyingKek().kek, host);
    const ref = newRef();
    for (const text of ["sk-one", "x".repeat(16_384), ""]) {
      const record = await envelope.seal(ref, "openai", Buffer.from(text));
      expect(textOf(await envelope.open(ref, record))).toBe(text);
    }
  });

  it("is AES-256-GCM under a data key of its own, bound to purpose, place and provider", async () => {
    const { kek, wrapped } = spyingKek();
    const ref = newRef();
    const record = await createEnvelope(kek, host).seal(ref, "openai", Buffer.from("sk-one"));
    const parts = ["provider-key", ref.owner, ref.keyId, ref.secretVersion, "openai"];
    const context = Buffer.concat([
      Buffer.from([1]),
      ...parts.flatMap((part) => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(part.length);
        return [length, Buffer.from(part)];
      }),
    ]);
    expect(Buffer.from(wrapped[0]?.context ?? [])).toStrictEqual(context);
    expect(Buffer.from(record.contextSha256)).toStrictEqual(
      createHash("sha256").update(context).digest(),
    );
    const dek = wrapped[0]?.copy ?? new Uint8Array();
    expect(dek).toHaveLength(32);
    const decipher = createDecipheriv("aes-256-gcm", dek, record.iv, { authTagLength: 16 });
    decipher.setAAD(context).setAuthTag(record.tag);
    const opened = Buffer.concat([decipher.update(record.ciphertext), decipher.final()]);
    expect(opened.toString()).toBe("sk-one");
  });

  it("never uses a data key or an iv twice", async () => {
    const { kek, wrapped } = spyingKek();
    const envelope = createEnvelope(kek, host);
    const ref = newRef();
    const ivs = new Set<string>();
    for (let nth = 0; nth < 50; nth++) {
      const record = await envelope.seal(ref, "openai", Buffer.from("same"));
      ivs.add(Buffer.from(record.iv).toString("hex"));
    }
    const keys = new Set(wrapped.map(({ copy }) => Buffer.from(copy).toString("hex")));
    expect([keys.size, ivs.size]).toStrictEqual([50, 50]);
  });

  it("leaves no data key behind, neither after sealing nor after opening", async () => {
    const { kek, wrapped, unwrapped } = spyingKek();
    const envelope = createEnvelope(kek, host);
    const ref = newRef();
    const record = await envelope.seal(ref, "openai", Buffer.from("sk-one"));
    await envelope.open(ref, record);
    await envelope.open(ref, { ...record, tag: new Uint8Array(16) });
    expect(wrapped.map(({ dek }) => isWiped(dek))).toStrictEqual([true]);
    expect(unwrapped.map(isWiped)).toStrictEqual([true, true]);
  });

  it("leaves no data key behind where the keeper fails", async () => {
    const { kek, wrapped } = spyingKek();
    const { wrap } = kek;
    const failing: Kek = {
      ...kek,
      wrap: async (dek, context) => {
        await wrap(dek, context);
        throw new Error("down");
      },
    };
    const envelope = createEnvelope(failing, host);
    await expect(envelope.seal(newRef(), "openai", Buffer.from("x"))).rejects.toThrow("down");
    expect(isWiped(wrapped[0]?.dek)).toBe(true);
  });

  it("opens nowhere but at its own place", async () => {
    const { kek, unwrapped } = spyingKek();
    const envelope = createEnvelope(kek, host);
    const ref = newRef();
    const record = await envelope.seal(ref, "openai", Buffer.from("sk-one"));
    for (const elsewhere of [
      { ...ref, owner: "team.blue" },
      { ...ref, owner: "user.red" },
      { ...ref, keyId: random.uuid() },
      { ...ref, secretVersion: random.uuid() },
    ] as const) {
      expect(await envelope.open(elsewhere, record)).toBeNull();
    }
    expect(await envelope.open(ref, { ...record, provider: "mistral" })).toBeNull();
    // A record in the wrong place is found before any key is unwrapped.
    expect(unwrapped).toHaveLength(0);
  });

  it("is not fooled by a context digest that was made to fit", async () => {
    const envelope = createEnvelope(spyingKek().kek, host);
    const [ref, other] = [newRef(), newRef()];
    const mine = await envelope.seal(ref, "openai", Buffer.from("mine"));
    const theirs = await envelope.seal(other, "openai", Buffer.from("theirs"));
    const moved = { ...theirs, contextSha256: mine.contextSha256 };
    expect(await envelope.open(ref, moved)).toBeNull();
    expect(await envelope.open(ref, { ...moved, wrappedDek: mine.wrappedDek })).toBeNull();
    expect(await envelope.open(ref, { ...mine, wrappedDek: theirs.wrappedDek })).toBeNull();
  });

  it.for(["iv", "ciphertext", "tag", "contextSha256"] as const)(
    "does not open with a single bit of its %s flipped",
    async (field) => {
      const envelope = createEnvelope(spyingKek().kek, host);
      const ref = newRef();
      const record = await envelope.seal(ref, "openai", Buffer.from("sk-one"));
      for (let bit = 0; bit < record[field].length * 8; bit++) {
        const bytes = Uint8Array.from(record[field]);
        const at = bit >> 3;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
        const tampered: EnvelopeRecord = { ...record, [field]: bytes };
        expect(await envelope.open(ref, tampered)).toBeNull();
      }
    },
  );

  it("does not open with its tag cut short", async () => {
    const envelope = createEnvelope(spyingKek().kek, host);
    const ref = newRef();
    const record = await envelope.seal(ref, "openai", Buffer.from("sk-one"));
    for (const length of [0, 4, 8, 12, 15]) {
      expect(await envelope.open(ref, { ...record, tag: record.tag.slice(0, length) })).toBeNull();
    }
  });
});
