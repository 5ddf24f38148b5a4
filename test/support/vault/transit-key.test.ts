import { createDecipheriv, hkdfSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { decrypt, encrypt, newKeyVersion, type TransitKey } from "./transit-key.ts";

const NONE = new Uint8Array();

const keyOf = (derived: boolean): TransitKey => ({
  name: "k",
  derived,
  exportable: false,
  allowPlaintextBackup: false,
  deletionAllowed: false,
  autoRotateSeconds: 0,
  latest: 1,
  minAvailable: 0,
  minDecryption: 1,
  minEncryption: 0,
  versions: { 1: newKeyVersion(0) },
});

const partsOf = (ciphertext: string) => {
  const bytes = Buffer.from(ciphertext.replace("vault:v1:", ""), "base64");
  return {
    nonce: bytes.subarray(0, 12),
    sealed: bytes.subarray(12, -16),
    tag: bytes.subarray(-16),
  };
};

/** What Node's own HKDF and AES-GCM make of a ciphertext. */
function openedByNode(key: Uint8Array, ciphertext: string, associatedData = NONE): string {
  const { nonce, sealed, tag } = partsOf(ciphertext);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
  decipher.setAAD(associatedData).setAuthTag(tag);
  return Buffer.concat([decipher.update(sealed), decipher.final()]).toString();
}

describe("A transit key", () => {
  it("encrypts by AES-256-GCM under HKDF-SHA-256 of its version and the context", () => {
    const key = keyOf(true);
    const context = Buffer.from("context");
    const binding = { context, associatedData: Buffer.from("aad") };
    const { ciphertext } = encrypt(key, Buffer.from("hello"), binding, 0);
    const root = Buffer.from(key.versions[1]?.key ?? "", "base64");
    const derived = new Uint8Array(hkdfSync("sha256", root, NONE, context, 32));
    expect(openedByNode(derived, ciphertext, binding.associatedData)).toBe("hello");
  });

  it("encrypts under the version itself where it is not derived", () => {
    const key = keyOf(false);
    const { ciphertext } = encrypt(key, Buffer.from("hello"), EMPTY, 0);
    expect(openedByNode(Buffer.from(key.versions[1]?.key ?? "", "base64"), ciphertext)).toBe(
      "hello",
    );
  });

  it("never seals twice alike", () => {
    const key = keyOf(false);
    const sealed = Array.from({ length: 100 }, () => encrypt(key, NONE, EMPTY, 0).ciphertext);
    expect(new Set(sealed).size).toBe(100);
  });

  it("opens nothing with a bit turned", () => {
    const key = keyOf(false);
    const { ciphertext } = encrypt(key, Buffer.from("hello"), EMPTY, 0);
    const bytes = Buffer.from(ciphertext.replace("vault:v1:", ""), "base64");
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const turned = Buffer.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const altered = `vault:v1:${turned.toString("base64")}`;
      expect(() => decrypt(key, altered, EMPTY)).toThrow("authentication failed");
    }
  });

  it("has no context too long for it", () => {
    const key = keyOf(true);
    const binding = { context: Buffer.alloc(5_000, 1), associatedData: NONE };
    const { ciphertext } = encrypt(key, Buffer.from("hello"), binding, 0);
    expect(decrypt(key, ciphertext, binding).toString()).toBe("hello");
  });
});

const EMPTY = { context: NONE, associatedData: NONE };
