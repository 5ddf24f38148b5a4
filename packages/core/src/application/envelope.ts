import { lengthPrefixed } from "../domain/hash-chain.ts";
import { Secret } from "../domain/secret.ts";
import type { Host } from "../ports/host.ts";
import type { Kek } from "../ports/kek.ts";
import type { EnvelopeRecord, SecretRef } from "../ports/secret-store.ts";

/**
 * Seals material under a random data key of its own and wraps that key: one code path for both families. Owner, key,
 * version and provider are bound twice, as associated data of the material and as context of the wrapped key, so a
 * record opens at its own place only.
 */
export interface Envelope {
  seal(ref: SecretRef, provider: string, material: Uint8Array): Promise<EnvelopeRecord>;
  /** Unwraps, decrypts, and wipes the data key. */
  open(ref: SecretRef, record: EnvelopeRecord): Promise<Secret | null>;
  /** The data key of a record. @returns `null` where the record does not belong there, or its key version is gone. */
  unwrap(ref: SecretRef, record: EnvelopeRecord): Promise<Uint8Array | null>;
  /** @returns `null` where the record was altered, or the data key is another one's. */
  decrypt(ref: SecretRef, record: EnvelopeRecord, dek: Uint8Array): Secret | null;
}

const DEK_BYTES = 32;
const PURPOSE = "provider-key";

export function createEnvelope(kek: Kek, { crypto, random, clock }: Host): Envelope {
  const contextOf = ({ owner, keyId, secretVersion }: SecretRef, provider: string): Uint8Array => {
    const fields = [PURPOSE, owner, keyId, secretVersion, provider];
    const encoded = lengthPrefixed(fields.map((field) => crypto.utf8Encode(field)));
    const context = new Uint8Array(1 + encoded.byteLength);
    context[0] = 1; // version of this encoding
    context.set(encoded, 1);
    return context;
  };

  const envelope: Envelope = {
    async seal(ref, provider, material) {
      const context = contextOf(ref, provider);
      const dek = random.bytes(DEK_BYTES);
      try {
        const wrappedDek = await kek.wrap(dek, context);
        const sealed = crypto.seal(crypto.importKey(dek), material, context);
        const contextSha256 = crypto.sha256(context);
        return {
          schema: 1,
          provider,
          wrappedDek,
          ...sealed,
          contextSha256,
          createdAt: clock.now(),
        };
      } finally {
        dek.fill(0);
      }
    },

    async open(ref, record) {
      const dek = await envelope.unwrap(ref, record);
      if (!dek) return null;
      try {
        return envelope.decrypt(ref, record, dek);
      } finally {
        dek.fill(0);
      }
    },

    async unwrap(ref, record) {
      const context = contextOf(ref, record.provider);
      if (!crypto.equal(crypto.sha256(context), record.contextSha256)) return null;
      const [dek] = await kek.unwrap([{ wrapped: record.wrappedDek, context }]);
      return dek ?? null;
    },

    decrypt(ref, record, dek) {
      const context = contextOf(ref, record.provider);
      const material = crypto.open(crypto.importKey(dek), record, context);
      return material ? new Secret(material) : null;
    },
  };
  return envelope;
}
