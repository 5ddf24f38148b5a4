import { canonicalJson } from "./canonical-json.ts";
import type { Revision, Uuid } from "./vocabulary.ts";

/**
 * The chain that runs through each stream from its first event:
 * `hash(n) = SHA-256(lp(hash(n-1)) ‖ lp(stream) ‖ lp(revision) ‖ lp(event id) ‖ lp(type) ‖ lp(SHA-256(data)) ‖ lp(SHA-256(metadata)))`
 * where `lp` puts a big-endian uint32 length in front, the revision is ASCII decimal, data and metadata are canonical
 * JSON and the metadata leaves out `hash` and `prevHash`. Before the first event stand 32 zero bytes. Because the two
 * digests go in, a redacted export that carries them can still be verified.
 */

/** What hashing needs of the host. */
export interface ChainHash {
  sha256Hex(input: string | Uint8Array): string;
  utf8Encode(text: string): Uint8Array;
}

export interface Link {
  readonly prevHash: string;
  readonly stream: string;
  readonly revision: Revision;
  readonly id: Uuid;
  readonly type: string;
  readonly dataDigest: string;
  readonly metadataDigest: string;
}

/** Hash before the first event of a stream. */
export const CHAIN_START = "0".repeat(64);

/** Lower-case hex. */
export const dataDigest = (hash: ChainHash, data: string): string => hash.sha256Hex(data);

/** Lower-case hex of the digest over the metadata without `hash` and `prevHash`. */
export function metadataDigest(
  hash: ChainHash,
  metadata: Readonly<Record<string, string>>,
): string {
  const { hash: _hash, prevHash: _prevHash, ...rest } = metadata;
  return hash.sha256Hex(canonicalJson(rest));
}

/** The hash of one event, lower-case hex. */
export function linkHash(hash: ChainHash, link: Link): string {
  const parts = [
    fromHex(link.prevHash),
    hash.utf8Encode(link.stream),
    hash.utf8Encode(String(link.revision)),
    hash.utf8Encode(link.id),
    hash.utf8Encode(link.type),
    fromHex(link.dataDigest),
    fromHex(link.metadataDigest),
  ];
  return hash.sha256Hex(lengthPrefixed(parts));
}

/** What is stored beside an event: its metadata with the two hashes. */
export function chained(
  hash: ChainHash,
  prevHash: string,
  event: {
    readonly stream: string;
    readonly revision: Revision;
    readonly id: Uuid;
    readonly type: string;
    readonly data: string;
    readonly metadata: Readonly<Record<string, string>>;
  },
): Readonly<Record<string, string>> & { readonly hash: string; readonly prevHash: string } {
  const own = linkHash(hash, {
    prevHash,
    stream: event.stream,
    revision: event.revision,
    id: event.id,
    type: event.type,
    dataDigest: dataDigest(hash, event.data),
    metadataDigest: metadataDigest(hash, event.metadata),
  });
  return { ...event.metadata, prevHash, hash: own };
}

/** Concatenates parts, each behind its length as a big-endian uint32: two lists give the same bytes only if equal. */
export function lengthPrefixed(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.byteLength, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.byteLength);
    bytes.set(part, at + 4);
    at += 4 + part.byteLength;
  }
  return bytes;
}

/** Lower-case hex only, as every hash is written here: three times as fast as parsing numbers. */
function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = (digitOf(hex.charCodeAt(at * 2)) << 4) | digitOf(hex.charCodeAt(at * 2 + 1));
  }
  return bytes;
}

/** `0` to `9` are 0x30 to 0x39, `a` to `f` 0x61 to 0x66. */
const digitOf = (code: number): number => (code < 0x61 ? code - 0x30 : code - 0x57);
