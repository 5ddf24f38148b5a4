import { lengthPrefixed } from "../domain/hash-chain.ts";
import type { Uuid } from "../domain/vocabulary.ts";
import type { Crypto } from "../ports/host.ts";

/** Namespace of all ids that Keyledger derives; made once at random. */
const NAMESPACE = "6f1c2f0a-6f0e-4b5f-9a43-3f1d7d0f5b9e";

/** RFC 9562, version 5, over length-prefixed parts: the same parts always give the same id. */
export function uuidV5(crypto: Crypto, parts: readonly string[]): Uuid {
  const name = lengthPrefixed(parts.map((part) => crypto.utf8Encode(part)));
  const input = new Uint8Array(16 + name.byteLength);
  input.set(namespaceBytes, 0);
  input.set(name, 16);
  const digest = crypto.sha1(input).slice(0, 16);
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x50;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = crypto.hex(digest);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const namespaceBytes = Uint8Array.from(NAMESPACE.replaceAll("-", "").match(/../g) ?? [], (byte) =>
  Number.parseInt(byte, 16),
);
